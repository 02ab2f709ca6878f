//! The program as a command: run, piped, interrupted, killed.

use std::{
    io::Read,
    os::unix::process::ExitStatusExt,
    path::PathBuf,
    process::{Child, ChildStdout, Command, Output, Stdio},
    time::Duration,
};

use serde_json::Value;

use super::{PATIENCE, World, services::tied};

/// The path of the program.
pub const PROGRAM: &str = env!("CARGO_BIN_EXE_hookswitch");

/// The program with the configuration of one world, in its own folder.
pub struct Program {
    dir: tempfile::TempDir,
}

/// The output and the end of a process.
#[derive(Debug)]
pub struct Said {
    pub code: Option<i32>,
    pub out: String,
    pub err: String,
}

impl Said {
    fn of(output: Output) -> Self {
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        Self { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
    }

    /// Parses its output as one JSON object.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// Parses its output as one JSON object per line.
    pub fn lines(&self) -> Vec<Value> {
        self.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

impl Program {
    pub fn of(world: &World) -> Self {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("hookswitch.toml"), &world.toml).unwrap();
        Self { dir }
    }

    /// Returns the path of a file in its folder.
    pub fn file(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Prepares a command by the operator `ann`. Its arguments contain no spaces.
    pub fn command(&self, line: &str) -> Command {
        // Under `nohup` the tests ignore SIGHUP, and what they start would too.
        let mut command = Command::new("env");
        command.args(["--default-signal=HUP", PROGRAM]);
        self.prepare(command, line)
    }

    /// Prepares a command that dies with the thread that starts it.
    pub fn tied(&self, line: &str) -> Command {
        self.prepare(tied(PROGRAM), line)
    }

    fn prepare(&self, mut command: Command, line: &str) -> Command {
        command
            .args(line.split_whitespace())
            .env("HOOKSWITCH_CONFIG", self.file("hookswitch.toml"))
            .env("HOOKSWITCH_ACTOR", "ann")
            .current_dir(self.dir.path())
            .stdin(Stdio::null());
        command
    }

    /// Runs a command to its end.
    pub async fn run(&self, line: &str) -> Said {
        let mut command = self.command(line);
        let output = tokio::task::spawn_blocking(move || command.output().unwrap());
        Said::of(tokio::time::timeout(2 * PATIENCE, output).await.expect("the program ends").unwrap())
    }

    /// Runs a command that must succeed.
    pub async fn ok(&self, line: &str) -> Said {
        let said = self.run(line).await;
        assert_eq!(said.code, Some(0), "{line}: {said:?}");
        said
    }

    /// Starts a command.
    pub fn start(&self, line: &str) -> Running {
        self.start_with(line, Stdio::piped())
    }

    /// Starts a command with this standard output.
    pub fn start_with(&self, line: &str, out: Stdio) -> Running {
        let child = self.command(line).stdout(out).stderr(Stdio::piped()).spawn().unwrap();
        Running { child }
    }
}

/// A running command; killed when dropped.
pub struct Running {
    child: Child,
}

impl Running {
    pub fn is_over(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }

    pub fn signal(&self, signal: &str) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args(["-s", signal, &pid]).status().unwrap().success());
    }

    /// Takes its standard output, to be read, or closed by dropping it.
    pub fn take_out(&mut self) -> ChildStdout {
        self.child.stdout.take().unwrap()
    }

    /// Kills it as `kill -9` does. Fails with its output if it had ended before.
    pub fn kill(mut self) -> Result<(), Said> {
        self.child.kill().unwrap();
        let status = self.child.wait().unwrap();
        if status.signal() == Some(9) { Ok(()) } else { Err(self.said(status.code())) }
    }

    /// Waits for its end.
    pub async fn end(mut self) -> Said {
        let waiting = tokio::task::spawn_blocking(move || {
            // Its output is far less than a pipe holds.
            let code = self.child.wait().unwrap().code();
            self.said(code)
        });
        tokio::time::timeout(2 * PATIENCE, waiting).await.expect("the program ends").unwrap()
    }

    fn said(&mut self, code: Option<i32>) -> Said {
        let (mut out, mut err) = (String::new(), String::new());
        if let Some(mut stdout) = self.child.stdout.take() {
            stdout.read_to_string(&mut out).unwrap();
        }
        self.child.stderr.take().unwrap().read_to_string(&mut err).unwrap();
        Said { code, out, err }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Sleeps briefly, between two polls.
pub async fn moment() {
    tokio::time::sleep(Duration::from_millis(2)).await;
}
