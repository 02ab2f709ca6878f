//! The processes of the program: a receiver and two workers, each killed and started again by a fault.

use std::{
    fs::File,
    path::PathBuf,
    process::{Child, Command},
    sync::Mutex,
};

use crate::support::{
    World,
    program::Program,
    services::{free_port, spawn},
};

/// The index of the receiver.
pub const RECEIVER: usize = 0;

/// The indices of the workers.
pub const WORKERS: [usize; 2] = [1, 2];

const ROLES: [&str; 3] = ["receiver", "worker", "worker"];

/// The processes; killed when dropped.
pub struct Fleet {
    program: Program,
    receiving: u16,
    admin: [u16; 3],
    children: Mutex<[Option<Child>; 3]>,
}

impl Fleet {
    /// Starts all processes.
    pub fn start(world: &World) -> Self {
        let admin = [free_port(), free_port(), free_port()];
        let fleet =
            Self { program: Program::of(world), receiving: free_port(), admin, children: Mutex::default() };
        (0..ROLES.len()).for_each(|n| fleet.start_one(n));
        fleet
    }

    /// Starts a process that does not run.
    pub fn start_one(&self, n: usize) {
        self.start_with(n, &[]);
    }

    /// Starts a process that does not run, with more settings: names and values of the environment.
    pub fn start_with(&self, n: usize, settings: &[(&str, PathBuf)]) {
        let log =
            File::options().create(true).append(true).open(self.program.file(&format!("{n}.log"))).unwrap();
        let mut command = self.program.tied(ROLES[n]);
        command
            .env("HOOKSWITCH_RECEIVER_LISTEN", format!("127.0.0.1:{}", self.receiving))
            .env("HOOKSWITCH_ADMIN_LISTEN", format!("127.0.0.1:{}", self.admin[n]))
            .envs(settings.iter().map(|(name, value)| (name, value)))
            .stderr(log);
        self.children.lock().unwrap()[n] = Some(spawn(command));
    }

    /// Kills a process as `kill -9` does.
    pub fn kill(&self, n: usize) {
        if let Some(mut child) = self.children.lock().unwrap()[n].take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    /// Kills a process and starts it again.
    pub fn restart(&self, n: usize) {
        self.kill(n);
        self.start_one(n);
    }

    /// Returns the id of a running process.
    pub fn pid(&self, n: usize) -> u32 {
        self.children.lock().unwrap()[n].as_ref().expect("it runs").id()
    }

    /// Returns the role and the admin port of each process.
    pub fn targets(&self) -> Vec<(&'static str, u16)> {
        ROLES.into_iter().zip(self.admin).collect()
    }

    /// Returns the port of the receiver.
    pub fn receiving(&self) -> u16 {
        self.receiving
    }

    /// Runs a command of the program, which must succeed.
    pub fn run(&self, line: &str) {
        let output = self.program.command(line).output().unwrap();
        assert!(output.status.success(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
    }

    /// Changes the configuration of all processes, which read it again within 10 seconds.
    pub fn configure(&self, change: impl FnOnce(String) -> String) {
        let file = self.program.file("hookswitch.toml");
        let before = std::fs::read_to_string(&file).unwrap();
        std::fs::write(file, change(before)).unwrap();
    }

    /// Returns the last lines of each process' log.
    pub fn logs(&self) -> String {
        let last = |n| {
            let file = self.program.file(&format!("{n}.log"));
            Command::new("tail").args(["-n", "15"]).arg(file).output().unwrap().stdout
        };
        (0..ROLES.len()).map(|n| format!("-- {}\n{}", ROLES[n], String::from_utf8_lossy(&last(n)))).collect()
    }
}

impl Drop for Fleet {
    fn drop(&mut self) {
        (0..ROLES.len()).for_each(|n| self.kill(n));
    }
}
