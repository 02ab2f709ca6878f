//! The processes under test, and a supervisor that restarts them, as an orchestrator would.

use std::{
    fs::File,
    os::unix::process::ExitStatusExt,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use super::{
    book::{Book, Wrong, now},
    services::free_port,
};

/// Time after which anything counts as failed.
pub const PATIENCE: Duration = Duration::from_secs(120);

/// Environment variable of a process with a clock of its own; such a process also has a log of its own.
pub const OTHER_CLOCK: &str = "FAKETIME_TIMESTAMP_FILE";

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Role {
    Receiver,
    Worker,
}

impl Role {
    /// Returns the name of its user in the broker and in the documentation of permissions.
    pub fn user(self) -> &'static str {
        match self {
            Self::Receiver => "receiver",
            Self::Worker => "worker",
        }
    }
}

/// One place in the fleet. Its successive processes share ports and log.
struct Slot {
    role: Role,
    name: String,
    admin: u16,
    http: u16,
    program: PathBuf,
    env: Vec<(String, String)>,
    child: Option<Child>,
    starts: u32,
    /// Exit status of its last process.
    ended: Option<ExitStatus>,
    /// The harness is ending it, so its end is expected.
    expected: bool,
    up: bool,
}

/// Ends of processes that the harness did not ask for.
#[derive(Default)]
pub struct Ends {
    pub crashes: u64,
    pub surprises: Vec<String>,
}

/// The processes by index: receivers first, then workers.
pub struct Fleet {
    slots: Arc<Mutex<Vec<Slot>>>,
    ends: Arc<Mutex<Ends>>,
    receivers: usize,
}

impl Fleet {
    /// Starts the processes and their supervisor.
    pub fn start(
        receivers: usize,
        workers: usize,
        program: &Path,
        config: PathBuf,
        dir: PathBuf,
        env: impl Fn(Role, usize) -> Vec<(String, String)>,
        book: Arc<Book>,
    ) -> Self {
        let roles =
            (0..receivers).map(|n| (Role::Receiver, n)).chain((0..workers).map(|n| (Role::Worker, n)));
        let slots = roles.map(|(role, n)| Slot {
            role,
            name: format!("{}-{n}", if role == Role::Worker { "worker" } else { "receiver" }),
            admin: free_port(),
            http: free_port(),
            program: program.to_owned(),
            env: env(role, n),
            child: None,
            starts: 0,
            ended: None,
            expected: false,
            up: true,
        });
        let slots = Arc::new(Mutex::new(slots.collect::<Vec<_>>()));
        let ends = Arc::<Mutex<Ends>>::default();
        let fleet = Self { slots: slots.clone(), ends: ends.clone(), receivers };
        // The kernel ends the processes together with the thread that started them, so this thread lives as
        // long as the program.
        std::thread::spawn(move || {
            loop {
                for slot in slots.lock().unwrap().iter_mut() {
                    slot.look(&book, &ends);
                    if slot.child.is_none() && slot.up {
                        slot.start(&config, &dir);
                    }
                }
                std::thread::sleep(Duration::from_millis(50));
            }
        });
        fleet
    }

    pub fn receiver_addresses(&self) -> Vec<String> {
        let slots = self.slots.lock().unwrap();
        let receivers = slots.iter().filter(|slot| slot.role == Role::Receiver);
        receivers.map(|slot| format!("http://127.0.0.1:{}", slot.http)).collect()
    }

    /// Returns the index of worker `n`.
    pub fn worker(&self, n: usize) -> usize {
        self.receivers + n
    }

    pub fn len(&self) -> usize {
        self.slots.lock().unwrap().len()
    }

    pub fn workers(&self) -> usize {
        self.len() - self.receivers
    }

    pub fn name(&self, index: usize) -> String {
        self.slots.lock().unwrap()[index].name.clone()
    }

    /// Sends a signal to the process, if there is one.
    pub fn signal(&self, index: usize, signal: &str) {
        let mut slots = self.slots.lock().unwrap();
        let slot = &mut slots[index];
        if let Some(child) = &slot.child {
            slot.expected |= matches!(signal, "KILL" | "TERM");
            let pid = child.id().to_string();
            // It may have ended a moment ago.
            drop(Command::new("kill").args(["-s", signal, &pid]).stderr(Stdio::null()).status());
        }
    }

    /// Forgets the most memory that its process has had.
    pub fn forget_peak(&self, index: usize) {
        if let Some(pid) = self.pid(index) {
            // 5 is the kernel's word for it. The process may have ended a moment ago.
            drop(std::fs::write(format!("/proc/{pid}/clear_refs"), "5"));
        }
    }

    /// Returns the most memory that its process has had since then; none if there is no process.
    pub fn peak_bytes(&self, index: usize) -> Option<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid(index)?)).ok()?;
        let kib = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
        kib.trim().trim_end_matches(" kB").parse::<u64>().ok().map(|kib| kib << 10)
    }

    fn pid(&self, index: usize) -> Option<u32> {
        self.slots.lock().unwrap()[index].child.as_ref().map(Child::id)
    }

    /// Sets its environment from its next start on.
    pub fn change(&self, index: usize, program: Option<&Path>, env: Vec<(String, String)>) {
        let mut slots = self.slots.lock().unwrap();
        slots[index].env = env;
        if let Some(program) = program {
            slots[index].program = program.to_owned();
        }
    }

    pub fn env(&self, index: usize) -> Vec<(String, String)> {
        self.slots.lock().unwrap()[index].env.clone()
    }

    /// Returns the number of its starts, and the exit status of its last process.
    pub fn life(&self, index: usize) -> (u32, Option<ExitStatus>) {
        let slots = self.slots.lock().unwrap();
        (slots[index].starts, slots[index].ended)
    }

    /// Ends its process by `signal` and waits for the next one. Returns the exit status of the old one.
    pub fn replace(&self, index: usize, signal: &str) -> Result<ExitStatus, String> {
        let (starts, _) = self.life(index);
        self.signal(index, signal);
        wait_for(|| self.life(index).0 > starts)
            .map_err(|()| format!("{} did not end within {PATIENCE:?} of {signal}", self.name(index)))?;
        self.life(index).1.ok_or_else(|| "no process ended".to_owned())
    }

    /// Returns true if its `/readyz` reports ready.
    pub fn is_ready(&self, index: usize) -> bool {
        use std::io::{Read, Write};
        let port = self.slots.lock().unwrap()[index].admin;
        let Ok(mut stream) = std::net::TcpStream::connect(("127.0.0.1", port)) else { return false };
        drop(stream.set_read_timeout(Some(Duration::from_secs(2))));
        let mut answer = [0; 12];
        let request = b"GET /readyz HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
        stream.write_all(request).is_ok()
            && stream.read_exact(&mut answer).is_ok()
            && answer.ends_with(b"200")
    }

    /// Waits until all processes are ready.
    pub fn ready(&self) -> Result<(), String> {
        for index in 0..self.len() {
            wait_for(|| self.is_ready(index)).map_err(|()| format!("{} is not ready", self.name(index)))?;
        }
        Ok(())
    }

    pub fn ends(&self) -> (u64, Vec<String>) {
        let ends = self.ends.lock().unwrap();
        (ends.crashes, ends.surprises.clone())
    }

    /// Stops all processes, and checks that they end in time and without an error.
    pub fn stop(&self, book: &Book) {
        for index in 0..self.len() {
            self.slots.lock().unwrap()[index].up = false;
            self.signal(index, "TERM");
        }
        for index in 0..self.len() {
            let name = self.name(index);
            if wait_for(|| self.slots.lock().unwrap()[index].child.is_none()).is_err() {
                book.complain(Wrong::Row, format!("{name} did not stop within {PATIENCE:?}"));
            }
        }
    }
}

impl Drop for Fleet {
    fn drop(&mut self) {
        for slot in self.slots.lock().unwrap().iter_mut() {
            slot.up = false;
            if let Some(mut child) = slot.child.take() {
                drop(child.kill());
                drop(child.wait());
            }
        }
    }
}

impl Slot {
    fn start(&mut self, config: &Path, dir: &Path) {
        let name = if self.env.iter().any(|(name, _)| name == OTHER_CLOCK) {
            format!("{}-{OTHER_CLOCK}.log", self.name)
        } else {
            format!("{}.log", self.name)
        };
        let log = File::options().create(true).append(true).open(dir.join(name));
        let role = if self.role == Role::Worker { "worker" } else { "receiver" };
        let child = Command::new("setpriv")
            .args(["--pdeathsig", "KILL"])
            .arg(&self.program)
            .args([role, "--config"])
            .arg(config)
            .env("HOOKSWITCH_ADMIN_LISTEN", format!("127.0.0.1:{}", self.admin))
            .env("HOOKSWITCH_RECEIVER_LISTEN", format!("127.0.0.1:{}", self.http))
            .envs(self.env.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log.unwrap())
            .spawn();
        self.child = Some(child.expect("setpriv is installed"));
        self.starts += 1;
        self.expected = false;
    }

    /// Handles the end of its process.
    fn look(&mut self, book: &Book, ends: &Mutex<Ends>) {
        let Some(status) = self.child.as_mut().and_then(|child| child.try_wait().unwrap()) else { return };
        self.child = None;
        self.ended = Some(status);
        let at = now();
        book.trouble(at.saturating_sub(500), at);
        // SIGABRT is a crash point. Any other unexpected end is recorded.
        if status.signal() == Some(6) {
            ends.lock().unwrap().crashes += 1;
        } else if !self.expected {
            ends.lock().unwrap().surprises.push(format!("{} ended: {status}", self.name));
        }
    }
}

/// Waits until a condition holds, up to [`PATIENCE`].
pub fn wait_for(mut holds: impl FnMut() -> bool) -> Result<(), ()> {
    let began = Instant::now();
    while !holds() {
        if began.elapsed() > PATIENCE {
            return Err(());
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}
