//! Private services, started by the project's own scripts, on free ports, in temporary folders.

use std::{
    ffi::OsStr,
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{Mutex, mpsc},
    time::{Duration, Instant},
};

use tempfile::TempDir;

const START_MAX: Duration = Duration::from_secs(120);

/// Returns a free port.
pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// Creates a folder that is deleted with its service. HOOKSWITCH_TEST_KEEP=1 keeps it, with its logs.
fn folder() -> TempDir {
    let mut dir = TempDir::new().unwrap();
    dir.disable_cleanup(std::env::var_os("HOOKSWITCH_TEST_KEEP").is_some());
    dir
}

/// Returns a file of this checkout.
fn checkout(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// Runs the script with the services that HOOKSWITCH_SERVICES_ROOT names, or with the machine's own.
const IN_SERVICES_ROOT: &str = "tests/scripts/in-services-root.sh";

/// Prepares a program that dies with the thread that starts it.
pub fn tied(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL"]).arg(program);
    command
}

/// Starts a [`tied`] program, which dies with the test binary, however that ends.
///
/// The kernel watches the thread that started it, so that thread never ends.
pub fn spawn(mut command: Command) -> Child {
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || {
        sender.send(command.spawn().expect("a process starts")).expect("somebody waits");
        loop {
            std::thread::park();
        }
    });
    receiver.recv().expect("the thread answers")
}

/// Prepares a script of `deploy/local` that runs a service.
fn service(name: &str) -> Command {
    let mut command = tied(checkout(IN_SERVICES_ROOT));
    command.arg(checkout("deploy/local").join(name)).stdin(Stdio::null());
    command
}

/// A running service that can be stopped, frozen, killed and started again on its data.
struct Service {
    child: Mutex<Option<Child>>,
    dir: TempDir,
    port: u16,
}

impl Service {
    fn signal(&self, signal: &str) {
        let pid = self.pid().to_string();
        let killed = Command::new("kill").args(["-s", signal, &pid]).status().unwrap();
        assert!(killed.success(), "kill -{signal} {pid}");
    }

    fn pid(&self) -> u32 {
        self.child.lock().unwrap().as_ref().expect("it runs").id()
    }

    fn kill(&self) {
        if let Some(mut child) = self.child.lock().unwrap().take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    fn wait_until(&self, what: &str, answers: impl Fn(u16) -> bool) {
        let began = Instant::now();
        while !answers(self.port) {
            let gone = self.child.lock().unwrap().as_mut().and_then(|child| child.try_wait().unwrap());
            let log = || std::fs::read_to_string(self.dir.path().join("out")).unwrap_or_default();
            assert!(gone.is_none(), "{what} ended: {gone:?}\n{}", log());
            assert!(began.elapsed() < START_MAX, "{what} does not answer\n{}", log());
            std::thread::sleep(Duration::from_millis(100));
        }
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Returns the permissions that the documentation gives a user: configure, write, read.
pub fn documented(user: &str) -> [String; 3] {
    let page = include_str!("../../../docs/permissions.md");
    let start = format!("rabbitmqctl set_permissions -p / hookswitch-{user} ");
    let line = page.lines().find_map(|line| line.strip_prefix(&start)).unwrap();
    let patterns: Vec<_> = line.split('\'').skip(1).step_by(2).map(str::to_owned).collect();
    patterns.try_into().unwrap()
}

/// A private RabbitMQ.
pub struct Broker {
    service: Service,
    vhosts: usize,
    environment: Vec<(&'static str, String)>,
}

impl Broker {
    /// Starts one with vhosts `t1` to `t<vhosts>`.
    pub fn start(vhosts: usize) -> Self {
        let broker = Self::prepare(vhosts, free_port(), Vec::new());
        broker.start_again();
        broker
    }

    /// Prepares one that is not started yet, with more settings for `rabbitmq-server.sh` and
    /// `in-services-root.sh`.
    pub fn prepare(vhosts: usize, port: u16, environment: Vec<(&'static str, String)>) -> Self {
        let service = Service { child: Mutex::new(None), dir: folder(), port };
        Self { service, vhosts, environment }
    }

    /// Returns the folder with its data and logs.
    pub fn dir(&self) -> &Path {
        self.service.dir.path()
    }

    /// Restarts it on its data.
    pub fn start_again(&self) {
        let names: Vec<_> = (1..=self.vhosts).map(|n| format!("t{n}")).collect();
        let out = std::fs::File::create(self.service.dir.path().join("out")).unwrap();
        let mut command = service("rabbitmq-server.sh");
        command
            .arg(self.service.dir.path())
            .arg(self.service.port.to_string())
            .env("HOOKSWITCH_RABBITMQ_VHOSTS", names.join(" "))
            .envs(self.environment.iter().cloned())
            .stdout(out.try_clone().unwrap())
            .stderr(out);
        *self.service.child.lock().unwrap() = Some(spawn(command));
        self.service.wait_until("RabbitMQ", |port| {
            use std::io::{Read, Write};
            let Ok(mut stream) = std::net::TcpStream::connect(("127.0.0.1", port)) else { return false };
            stream.set_read_timeout(Some(Duration::from_secs(1))).unwrap();
            let mut answer = [0; 1];
            stream.write_all(b"AMQP\x00\x00\x09\x01").is_ok() && matches!(stream.read(&mut answer), Ok(1))
        });
    }

    /// Returns the URL of vhost `n`.
    pub fn url(&self, n: usize) -> String {
        format!("amqp://guest:guest@127.0.0.1:{}/t{n}", self.service.port)
    }

    /// Returns its process id.
    pub fn pid(&self) -> u32 {
        self.service.pid()
    }

    /// Kills it with SIGKILL.
    pub fn kill(&self) {
        self.service.kill();
    }

    /// Freezes it with SIGSTOP.
    pub fn freeze(&self) {
        self.service.signal("STOP");
    }

    /// Continues it with SIGCONT.
    pub fn thaw(&self) {
        self.service.signal("CONT");
    }

    /// Stops it with SIGTERM.
    pub fn stop(&self) {
        self.service.signal("TERM");
        if let Some(mut child) = self.service.child.lock().unwrap().take() {
            child.wait().unwrap();
        }
    }

    /// Makes the processes stand still that deliver what has waited long enough in delay queues.
    pub fn hold_delays(&self) {
        let workers = "supervisor:which_children(rabbit_fifo_dlx_sup)";
        self.ctl(&["eval", &format!("[sys:suspend(P) || {{_, P, worker, _}} <- {workers}].")]);
    }

    /// Mends delay queues that are stuck, with the command of the runbook.
    pub fn mend_delays(&self) {
        let page = include_str!("../../../docs/runbook.md");
        let line = page.lines().find_map(|line| line.strip_prefix("rabbitmqctl eval '")).unwrap();
        self.ctl(&["eval", line.strip_suffix('\'').unwrap()]);
    }

    /// Runs `rabbitmqctl`, which must succeed, and returns its output.
    pub fn ctl(&self, arguments: &[&str]) -> String {
        self.ask(arguments).unwrap()
    }

    /// Runs `rabbitmqctl` and returns its output, or its error.
    pub fn ask(&self, arguments: &[&str]) -> Result<String, String> {
        let output = Command::new(checkout(IN_SERVICES_ROOT))
            .arg(checkout("tests/scripts/rabbitmqctl.sh"))
            .arg(self.service.dir.path())
            .args(arguments)
            .envs(self.environment.iter().cloned())
            .output()
            .unwrap();
        let said = if output.status.success() { Ok(output.stdout) } else { Err(output.stderr) };
        said.map(|text| String::from_utf8(text).unwrap()).map_err(|text| String::from_utf8(text).unwrap())
    }
}

/// Returns whether a Redis, or a Sentinel, answers on this port, be it that it asks for a login.
fn redis_answers(port: u16) -> bool {
    use std::io::{Read, Write};
    let Ok(mut stream) = std::net::TcpStream::connect(("127.0.0.1", port)) else { return false };
    stream.set_read_timeout(Some(Duration::from_secs(1))).unwrap();
    let mut answer = [0; 5];
    stream.write_all(b"PING\r\n").is_ok()
        && stream.read_exact(&mut answer).is_ok()
        && [b"+PONG", b"-NOAU"].contains(&&answer)
}

/// A private Redis.
pub struct Redis {
    service: Service,
    options: Vec<String>,
}

impl Redis {
    /// Starts one.
    pub fn start() -> Self {
        Self::with(Vec::new())
    }

    /// Starts a replica of `master`.
    pub fn replica_of(master: &Self) -> Self {
        Self::with(vec!["--replicaof".to_owned(), format!("127.0.0.1 {}", master.service.port)])
    }

    /// Starts one with options of its own.
    pub fn with(options: Vec<String>) -> Self {
        let service = Service { child: Mutex::new(None), dir: folder(), port: free_port() };
        let redis = Self { service, options };
        redis.start_again();
        redis
    }

    /// Restarts it on its data.
    pub fn start_again(&self) {
        let out = std::fs::File::create(self.service.dir.path().join("out")).unwrap();
        let mut command = service("redis-server.sh");
        command
            .arg(self.service.dir.path())
            .arg(self.service.port.to_string())
            .args(["--databases", "1000", "--appendfsync", "always"])
            .args(&self.options)
            .stdout(out.try_clone().unwrap())
            .stderr(out);
        *self.service.child.lock().unwrap() = Some(spawn(command));
        self.service.wait_until("Redis", redis_answers);
    }

    /// Restarts it on its data, with more options.
    pub fn start_again_with(&mut self, options: &[&str]) {
        self.options.extend(options.iter().map(ToString::to_string));
        self.start_again();
    }

    /// Returns its port.
    pub fn port(&self) -> u16 {
        self.service.port
    }

    /// Returns the URL of database `n`.
    pub fn url(&self, n: usize) -> String {
        format!("redis://127.0.0.1:{}/{n}", self.service.port)
    }

    /// Returns its process id.
    pub fn pid(&self) -> u32 {
        self.service.pid()
    }

    /// Kills it with SIGKILL.
    pub fn kill(&self) {
        self.service.kill();
    }

    /// Freezes it with SIGSTOP.
    pub fn freeze(&self) {
        self.service.signal("STOP");
    }

    /// Continues it with SIGCONT.
    pub fn thaw(&self) {
        self.service.signal("CONT");
    }
}

/// A private Redis Sentinel.
pub struct Sentinel(Service);

impl Sentinel {
    /// Starts one that watches the Redis at `port` as `mymaster`, together with others of which two must
    /// agree. It asks for the password `watch`, and the Redis for `secret`.
    pub fn of(port: u16) -> Self {
        let service = Service { child: Mutex::new(None), dir: folder(), port: free_port() };
        let config = service.dir.path().join("sentinel.conf");
        let settings = format!(
            "bind 127.0.0.1\nport {}\ndir {}\nrequirepass watch\nsentinel sentinel-pass watch\n\
             sentinel monitor mymaster 127.0.0.1 {port} 2\nsentinel auth-pass mymaster secret\n\
             sentinel down-after-milliseconds mymaster 1000\nsentinel failover-timeout mymaster 5000\n",
            service.port,
            service.dir.path().display()
        );
        std::fs::write(&config, settings).unwrap();
        let out = std::fs::File::create(service.dir.path().join("out")).unwrap();
        let mut command = tied(checkout(IN_SERVICES_ROOT));
        command.arg(checkout("tests/scripts/redis-sentinel.sh")).arg(config).stdin(Stdio::null());
        command.stdout(out.try_clone().unwrap()).stderr(out);
        *service.child.lock().unwrap() = Some(spawn(command));
        service.wait_until("Redis Sentinel", redis_answers);
        Self(service)
    }

    /// Returns its port.
    pub fn port(&self) -> u16 {
        self.0.port
    }

    /// Returns its URL, with the password.
    pub fn url(&self) -> String {
        format!("redis://:watch@127.0.0.1:{}", self.0.port)
    }
}
