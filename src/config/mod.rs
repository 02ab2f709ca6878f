//! The configuration: one TOML file, environment overrides, every problem reported at once.

mod problem;
mod read;
mod sections;
mod show;
mod sources;
pub mod units;

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

pub use problem::{ConfigProblems, Problem};

use crate::core::{
    auth::Auth,
    delivery::{fault::Reason, retry::Schedule},
    providers::Provider,
    shard::Sharding,
    webhook::SourceName,
};

/// Everything that can be set.
#[derive(Clone, Debug)]
pub struct Config {
    /// `[amqp]`
    pub amqp: Amqp,
    /// `[redis]`
    pub redis: Redis,
    /// `[receiver]`
    pub receiver: Receiver,
    /// `[admin]`
    pub admin: Admin,
    /// `[worker]`
    pub worker: Worker,
    /// `[retry]`
    pub retry: Retry,
    /// `[dedup]`
    pub dedup: Dedup,
    /// `[log]`
    pub log: Log,
    /// `[sources.<name>]`
    pub sources: BTreeMap<SourceName, Source>,
    /// `[subscriptions.<queue>]`
    pub subscriptions: BTreeMap<String, Subscription>,
}

impl Config {
    /// Reads the file at `path`, if there is one, and lays the environment over it.
    ///
    /// `HOOKSWITCH_<SECTION>_<KEY>` overrides a key of every section but those of sources and subscriptions; a
    /// variable that is empty counts as not set.
    ///
    /// # Errors
    /// [`ConfigProblems`] lists everything that is wrong, not only the first.
    pub fn load(path: Option<&Path>, env: &BTreeMap<String, String>) -> Result<Self, ConfigProblems> {
        let Some(path) = path else {
            return Self::parse("", Path::new(""), env);
        };
        let text = std::fs::read_to_string(path).map_err(|e| {
            let problem = format!("cannot be read: {e}");
            ConfigProblems(vec![Problem::File { path: path.display().to_string(), problem }])
        })?;
        Self::parse(&text, path, env)
    }

    /// Reads `text`, which stands at `path`.
    ///
    /// # Errors
    /// As [`Config::load`].
    pub fn parse(text: &str, path: &Path, env: &BTreeMap<String, String>) -> Result<Self, ConfigProblems> {
        let table = text.parse::<toml::Table>().map_err(|e| {
            // The error's own text quotes the line, and a secret may stand in it.
            let (line, column) = position(text, e.span().map_or(0, |span| span.start));
            let problem = format!("line {line}, column {column}: {}", e.message().trim());
            ConfigProblems(vec![Problem::File { path: path.display().to_string(), problem }])
        })?;
        let reader = read::Reader::new(env);
        let config = sections::read(&reader, table);
        reader.check_variables();
        let (problems, _) = reader.into_parts();
        if problems.is_empty() { Ok(config) } else { Err(ConfigProblems(problems)) }
    }

    /// Every key that is read, with `<name>` and `<queue>` for what the operator names.
    pub fn keys() -> BTreeSet<String> {
        let env = BTreeMap::new();
        let reader = read::Reader::new(&env);
        let empty =
            || toml::Value::Table(toml::Table::from_iter([("x".to_owned(), toml::Table::new().into())]));
        let table = ["sources", "subscriptions"].map(|key| (key.to_owned(), empty()));
        sections::read(&reader, toml::Table::from_iter(table));
        reader.into_parts().1
    }
}

/// Line and column of a byte, both from 1.
fn position(text: &str, byte: usize) -> (usize, usize) {
    let before = text.get(..byte).unwrap_or(text);
    let line = before.matches('\n').count() + 1;
    let column = before.chars().rev().take_while(|c| *c != '\n').count() + 1;
    (line, column)
}

/// A value that is never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Wraps a value.
    pub fn new(value: impl Into<String>) -> Self {
        Self(value.into())
    }

    /// The value itself, for the one place that needs it.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

/// The broker.
#[derive(Clone, Debug)]
pub struct Amqp {
    /// `amqp://` or `amqps://` addresses of the cluster's nodes, tried in turn from any of them on. Default
    /// `amqp://guest:guest@127.0.0.1:5672/%2f`.
    pub urls: Vec<Secret>,
    /// How long connecting and setting up may take. Default 10 s.
    pub connect_timeout: Duration,
    /// How often the broker and we say that we live; silence of twice that is death. Default 10 s.
    pub heartbeat: Duration,
    /// How long to wait for a confirm before its outcome counts as unknown. Default 10 s.
    pub confirm_timeout: Duration,
    /// Channels to publish on. Default 1: over two, each has half of the confirms together.
    pub publish_channels: usize,
    /// Messages on a channel that are not confirmed yet, at most. Default 256.
    pub publish_window: usize,
    /// The largest frame in bytes; a connection holds 64 of them in memory. All headers of a message must fit in one.
    /// Default 64 KiB.
    pub frame_max: u32,
}

/// The store of idempotency keys.
#[derive(Clone, Debug)]
pub struct Redis {
    /// `redis://` or `rediss://` addresses of a master and its replicas, tried in turn until one takes writes. Default
    /// `redis://127.0.0.1:6379/0`.
    pub urls: Vec<Secret>,
    /// How long one command may take. Default 1 s.
    pub timeout: Duration,
}

/// The HTTP side.
#[derive(Clone, Debug)]
pub struct Receiver {
    /// Where webhooks come in. Default `127.0.0.1:8080`.
    pub listen: SocketAddr,
    /// How long reading one request may take. Default 10 s.
    pub read_timeout: Duration,
    /// How long the broker may take to confirm before we answer 503. Default 5 s: below every provider's time-out.
    pub confirm_timeout: Duration,
    /// What `Retry-After` says on a 503, in seconds. Default 5.
    pub retry_after: Duration,
    /// Connections at a time. Default 4096.
    pub connections_max: usize,
    /// Webhooks of one source that are on their way to the broker at a time while other sources send too; more wait their
    /// turn for half of `confirm_timeout`, and are refused with 503 then. Default 64.
    pub concurrency_shared: usize,
    /// Bytes of captured headers per webhook; what does not fit is left out and counted. Default 8192.
    pub header_bytes_max: usize,
}

/// The side that operators see.
#[derive(Clone, Debug)]
pub struct Admin {
    /// Where `/livez`, `/readyz` and `/metrics` are. Default `127.0.0.1:9464`.
    pub listen: SocketAddr,
}

/// The worker pool.
#[derive(Clone, Debug)]
pub struct Worker {
    /// Unacked messages per raw queue and process; a source has as many raw queues as shards. Default 512.
    pub prefetch: u16,
    /// Messages in work at a time per raw queue and process, at most `prefetch`. Default 256.
    pub concurrency: usize,
    /// The same while other sources have messages too; no more than `concurrency` in any case. Default 32.
    pub concurrency_shared: usize,
    /// How long a stop may take before what is in flight is given back. Default 30 s.
    pub grace: Duration,
    /// The largest event that is published. Default 16 MiB (RabbitMQ 4's own limit; 128 MiB in 3.x).
    pub event_bytes_max: usize,
    /// Which sources this process works on. Default: all.
    pub sources: Option<Vec<SourceName>>,
}

/// Retries and delays.
#[derive(Clone, Debug)]
pub struct Retry {
    /// The delay queues. Default 5 s, 30 s, 2 min, 10 min, 1 h.
    pub tiers: Vec<Duration>,
    /// Where messages wait that are not at fault. Default 1 s.
    pub wait: Duration,
    /// How often a message is tried again over which our code panicked. Default 5.
    pub panic_retries: u32,
    /// How often a message is tried again that failed for a reason. Default 0 each.
    pub retries: BTreeMap<Reason, u32>,
    /// How often the broker gives a message out before it is dead-lettered: the net under a message that kills
    /// its worker. Default 100.
    pub delivery_limit: u32,
}

impl Retry {
    /// The schedule for the core.
    pub fn schedule(&self) -> Schedule {
        Schedule::new(&self.tiers, self.wait, self.retries.clone(), self.panic_retries)
    }
}

/// The memory of what is done.
#[derive(Clone, Debug)]
pub struct Dedup {
    /// How long a claim holds. Default 30 s; more than twice `amqp.confirm_timeout`.
    pub lease: Duration,
    /// How long a done key is remembered. Default 7 days.
    pub done_ttl: Duration,
}

/// Logging.
#[derive(Clone, Debug)]
pub struct Log {
    /// `pretty` or `json`. Default `pretty`.
    pub format: LogFormat,
    /// A `tracing` filter. Default `info`.
    pub filter: String,
}

/// How logs are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Pretty,
    /// One JSON object a line.
    Json,
}

/// One endpoint, `POST /in/<name>`.
#[derive(Clone, Debug)]
pub struct Source {
    /// The format that it speaks.
    pub provider: Provider,
    /// Who may post to it.
    pub auth: Auth,
    /// The largest body. Default 1 MiB.
    pub body_bytes_max: usize,
    /// Headers to capture beside those of the provider's contract, in lower case. Default none.
    pub capture_headers: Vec<String>,
    /// What a 200 answers. Default empty.
    pub answer_body: String,
    /// Its content type. Default `text/plain; charset=utf-8`; none is sent with an empty body.
    pub answer_content_type: String,
    /// What to do with an event whose name nobody knows. Default dead-letter.
    pub unsupported: Unsupported,
    /// Overrides `dedup.done_ttl`.
    pub done_ttl: Option<Duration>,
    /// How many raw queues it has, and what chooses one of them. Default one.
    pub sharding: Sharding,
}

/// What to do with an event whose name nobody knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unsupported {
    /// It becomes a dead letter, `unsupported_event`.
    DeadLetter,
    /// It is passed on as `provider.unmapped`.
    PassOn,
}

/// A queue for a consumer, bound to the events.
#[derive(Clone, Debug)]
pub struct Subscription {
    /// Routing patterns: `call.#`, `#.wavix-eu`, …
    pub patterns: Vec<String>,
    /// Messages before the queue refuses more; then what would go there waits in the broker. Default none.
    pub length_max: Option<u32>,
}

/// Where the configuration came from, for messages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// A file.
    File(PathBuf),
    /// No file: defaults and environment only.
    Defaults,
}
