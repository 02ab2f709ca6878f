//! The exchanges, queues and bindings: what they must be, making them, and checking them.

use lapin::{
    Channel, ExchangeKind,
    options::{ExchangeBindOptions, ExchangeDeclareOptions, QueueBindOptions, QueueDeclareOptions},
    protocol::{AMQPErrorKind, AMQPSoftError},
    types::{AMQPValue, FieldTable},
};

use super::{
    connect::Connection,
    depth::Depths,
    error::{Error, says_missing},
    names,
};
use crate::{
    config::Config,
    core::{shard::Shard, webhook::SourceName},
};

/// RabbitMQ 4 gives a message up after 20 deliveries unless told otherwise: a queue that people browse or that
/// belongs to a consumer must never do that, and none that waits must come early by it. 3.x knows no "unlimited", so: more than anybody will ever reach.
const NO_DELIVERY_LIMIT: i64 = 1_000_000_000;

/// How long the log of dead letters remembers, as RabbitMQ writes days.
const DEAD_LOG_AGE_MAX: &str = "90D";

/// How long the journal of jobs remembers: it must outlive the log, or letters that are gone would show again.
const DEAD_JOBS_AGE_MAX: &str = "400D";

/// Bytes of a stream's segment.
const STREAM_SEGMENT: i64 = 50_000_000;

/// One queue.
#[derive(Clone, Debug, PartialEq)]
pub struct Queue {
    /// Its name.
    pub name: String,
    /// Its arguments.
    pub arguments: Vec<(&'static str, Argument)>,
    /// Exchange and key of each binding.
    pub bindings: Vec<(String, String)>,
}

/// The value of a queue's argument.
#[derive(Clone, Debug, PartialEq)]
pub enum Argument {
    /// Text.
    Text(String),
    /// A number.
    Number(i64),
}

/// One exchange.
#[derive(Clone, Debug, PartialEq)]
pub struct Exchange {
    /// Its name.
    pub name: String,
    /// How it routes.
    pub kind: ExchangeKind,
    /// Where goes what it cannot route.
    pub alternate: Option<&'static str>,
    /// The exchange from which it gets everything.
    pub bound_to: Option<&'static str>,
}

/// Everything that must be there.
#[derive(Clone, Debug, PartialEq)]
pub struct Topology {
    /// In the order in which they can be declared.
    pub exchanges: Vec<Exchange>,
    /// The queues.
    pub queues: Vec<Queue>,
}

fn text(value: &str) -> Argument {
    Argument::Text(value.to_owned())
}

/// A queue that dead-letters to `exchange` and keeps a message until it has arrived there: at-least-once
/// dead-lettering needs a quorum queue that refuses when it is full, else it is silently at most once.
fn dead_lettering(exchange: &str) -> Vec<(&'static str, Argument)> {
    vec![
        ("x-queue-type", text("quorum")),
        ("x-dead-letter-exchange", text(exchange)),
        ("x-dead-letter-strategy", text("at-least-once")),
        ("x-overflow", text("reject-publish")),
    ]
}

/// A queue that gives a message out as often as anybody asks.
fn lasting() -> Vec<(&'static str, Argument)> {
    vec![("x-queue-type", text("quorum")), ("x-delivery-limit", Argument::Number(NO_DELIVERY_LIMIT))]
}

/// A stream, read again and again from wherever one likes.
///
/// It forgets by age only, and only whole segments: small ones, since dead letters are few. A letter that is older than
/// the log remembers is still in its queue, and `dead-letters reindex` writes it to the log anew.
fn stream(name: &str, age_max: &str) -> Queue {
    let arguments = vec![
        ("x-queue-type", text("stream")),
        ("x-max-age", text(age_max)),
        ("x-stream-max-segment-size-bytes", Argument::Number(STREAM_SEGMENT)),
    ];
    Queue { name: name.to_owned(), arguments, bindings: Vec::new() }
}

impl Topology {
    /// What the configuration asks for.
    pub fn of(config: &Config) -> Self {
        Self { exchanges: exchanges(config), queues: queues(config) }
    }
}

fn exchanges(config: &Config) -> Vec<Exchange> {
    let plain = |name: &str, kind| Exchange { name: name.to_owned(), kind, alternate: None, bound_to: None };
    let mut all = vec![
        plain(names::RAW_EXCHANGE, ExchangeKind::Direct),
        plain(names::DEAD_EXCHANGE, ExchangeKind::Direct),
        plain(names::UNROUTED_EXCHANGE, ExchangeKind::Fanout),
        plain(names::PUBLISHED_EXCHANGE, ExchangeKind::Fanout),
        Exchange {
            alternate: Some(names::UNROUTED_EXCHANGE),
            bound_to: Some(names::PUBLISHED_EXCHANGE),
            ..plain(names::EVENTS_EXCHANGE, ExchangeKind::Topic)
        },
    ];
    for tier in config.retry.schedule().all_tiers() {
        all.push(plain(&names::retry_exchange(tier), ExchangeKind::Fanout));
    }
    all
}

fn queues(config: &Config) -> Vec<Queue> {
    let mut all = Vec::new();
    for (source, settings) in &config.sources {
        let mut arguments = dead_lettering(names::DEAD_EXCHANGE);
        arguments.push(("x-dead-letter-routing-key", text(source.as_str())));
        arguments.push(("x-delivery-limit", Argument::Number(config.retry.delivery_limit.into())));
        for shard in settings.sharding.shards() {
            all.push(Queue {
                name: names::raw_queue(source, shard),
                arguments: arguments.clone(),
                bindings: vec![(names::RAW_EXCHANGE.to_owned(), names::raw_key(source, shard))],
            });
        }
        all.push(Queue {
            name: names::dead_queue(source),
            arguments: lasting(),
            bindings: vec![(names::DEAD_EXCHANGE.to_owned(), source.to_string())],
        });
    }
    for tier in config.retry.schedule().all_tiers() {
        let mut arguments = dead_lettering(names::RAW_EXCHANGE);
        let ttl = i64::try_from(tier.delay.as_millis()).unwrap_or(i64::MAX);
        arguments.push(("x-message-ttl", Argument::Number(ttl)));
        arguments.push(("x-delivery-limit", Argument::Number(NO_DELIVERY_LIMIT)));
        all.push(Queue {
            name: names::retry_queue(tier),
            arguments,
            bindings: vec![(names::retry_exchange(tier), String::new())],
        });
    }
    all.push(Queue {
        name: names::UNROUTED_QUEUE.to_owned(),
        arguments: lasting(),
        bindings: vec![(names::UNROUTED_EXCHANGE.to_owned(), String::new())],
    });
    all.push(Queue {
        name: names::LEDGER_QUEUE.to_owned(),
        arguments: lasting(),
        // Every queue can be reached by its name over the default exchange.
        bindings: Vec::new(),
    });
    all.push(stream(names::DEAD_LOG, DEAD_LOG_AGE_MAX));
    all.push(stream(names::DEAD_JOBS, DEAD_JOBS_AGE_MAX));
    for (name, subscription) in &config.subscriptions {
        let mut arguments = lasting();
        if let Some(length_max) = subscription.length_max {
            arguments.push(("x-max-length", Argument::Number(length_max.into())));
            arguments.push(("x-overflow", text("reject-publish")));
        }
        let bind = |pattern: &String| (names::EVENTS_EXCHANGE.to_owned(), pattern.clone());
        let bindings = subscription.patterns.iter().map(bind).collect();
        all.push(Queue { name: name.clone(), arguments, bindings });
    }
    all
}

/// What is wrong with the broker's topology, in words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// `queue raw.x` or `exchange hookswitch.raw`.
    pub what: String,
    /// In which way, and what to do.
    pub how: String,
}

/// Why the topology could not be made or checked.
#[derive(Debug, thiserror::Error)]
pub enum TopologyError {
    /// The broker has something else than we need. Trying again does not help: somebody must decide.
    #[error("the broker's topology is not what hookswitch needs:\n{}", .0.iter().map(|d| format!("  {}: {}", d.what, d.how)).collect::<Vec<_>>().join("\n"))]
    Differs(Vec<Difference>),
    /// The broker went away in the middle, or a queue has no leader at the moment.
    #[error("the broker could not be asked about its topology: {0}")]
    Lost(#[from] Error),
}

/// What is declared next.
enum Step<'a> {
    Exchange(&'a Exchange),
    Queue(&'a Queue),
}

impl Step<'_> {
    fn name(&self) -> String {
        match self {
            Self::Exchange(exchange) => format!("exchange {}", exchange.name),
            Self::Queue(queue) => format!("queue {}", queue.name),
        }
    }

    async fn declare(&self, channel: &Channel, passive: bool) -> lapin::Result<()> {
        match self {
            Self::Exchange(exchange) => declare_exchange(channel, exchange, passive).await,
            Self::Queue(queue) => declare_queue(channel, queue, passive).await,
        }
    }

    async fn bind(&self, channel: &Channel) -> lapin::Result<()> {
        match self {
            Self::Exchange(exchange) => {
                let Some(from) = exchange.bound_to else { return Ok(()) };
                let options = ExchangeBindOptions { nowait: false };
                let to = exchange.name.as_str().into();
                channel.exchange_bind(to, from.into(), "".into(), options, FieldTable::default()).await
            }
            Self::Queue(queue) => {
                for (exchange, key) in &queue.bindings {
                    let options = QueueBindOptions { nowait: false };
                    let (name, from) = (queue.name.as_str().into(), exchange.as_str().into());
                    channel
                        .queue_bind(name, from, key.as_str().into(), options, FieldTable::default())
                        .await?;
                }
                Ok(())
            }
        }
    }
}

impl Topology {
    fn steps(&self) -> impl Iterator<Item = Step<'_>> {
        let exchanges = self.exchanges.iter().map(Step::Exchange);
        exchanges.chain(self.queues.iter().map(Step::Queue))
    }

    /// Makes what is missing; changes nothing that is there. What it made or found, by name.
    ///
    /// # Errors
    /// [`TopologyError::Differs`] lists everything that is there and is not as it must be.
    pub async fn apply(&self, connection: &Connection) -> Result<Vec<String>, TopologyError> {
        let mut channel = connection.channel().await.map_err(Error::from)?;
        let (mut made, mut differences) = (Vec::new(), Vec::new());
        for step in self.steps() {
            let done = async {
                step.declare(&channel, false).await?;
                step.bind(&channel).await
            };
            match done.await {
                Ok(()) => made.push(step.name()),
                Err(error) => {
                    differences.push(difference(&step, error)?);
                    channel = connection.channel().await.map_err(Error::from)?;
                }
            }
        }
        if differences.is_empty() { Ok(made) } else { Err(TopologyError::Differs(differences)) }
    }

    /// Looks whether everything is there as it must be; changes nothing. How many things it looked at.
    ///
    /// Bindings cannot be read over AMQP: where one is missing the publisher sees it, since it publishes
    /// `mandatory`, and dead-lettering keeps the message, since it is at-least-once.
    ///
    /// # Errors
    /// [`TopologyError::Differs`] lists everything that is not as it must be.
    pub async fn check(&self, connection: &Connection) -> Result<usize, TopologyError> {
        let mut channel = connection.channel().await.map_err(Error::from)?;
        let (mut looked_at, mut differences) = (0, Vec::new());
        for step in self.steps() {
            looked_at += 1;
            // Only what exists is declared in full, so that nothing is made.
            let looked = async {
                step.declare(&channel, true).await?;
                step.declare(&channel, false).await
            };
            if let Err(error) = looked.await {
                differences.push(difference(&step, error)?);
                channel = connection.channel().await.map_err(Error::from)?;
            }
        }
        if differences.is_empty() { Ok(looked_at) } else { Err(TopologyError::Differs(differences)) }
    }
}

/// All raw queues that there are: those of the configured shards, and those that are left from when a source had more.
///
/// What is left may hold webhooks, or get them back from a delay queue: it is worked on and counted until somebody
/// deletes it, the highest first, since looking ends at the first that is missing.
///
/// Each source costs a line in the broker's log: AMQP can be asked for a queue only by declaring it passively, and a no
/// ends the channel. A note of how many there ever were would save that, but where it is lost and the queue is not,
/// nobody would work on what is in there.
///
/// # Errors
/// The broker is not there, or cannot say it of a queue at the moment.
pub async fn raw_shards(connection: &Connection, config: &Config) -> Result<Vec<(SourceName, Shard)>, Error> {
    let mut all = Vec::new();
    let mut depths = Depths::new(connection);
    for (source, settings) in &config.sources {
        all.extend(settings.sharding.shards().map(|shard| (source.clone(), shard)));
        for shard in settings.sharding.beyond() {
            match depths.of(&names::raw_queue(source, shard)).await {
                Ok(_) => all.push((source.clone(), shard)),
                Err(Error::Missing(_)) => break,
                Err(error) => return Err(error),
            }
        }
    }
    depths.close().await?;
    Ok(all)
}

async fn declare_exchange(channel: &Channel, exchange: &Exchange, passive: bool) -> lapin::Result<()> {
    let options =
        ExchangeDeclareOptions { passive, durable: true, auto_delete: false, internal: false, nowait: false };
    let mut arguments = FieldTable::default();
    if let Some(alternate) = exchange.alternate {
        arguments.insert("alternate-exchange".into(), AMQPValue::LongString(alternate.into()));
    }
    channel.exchange_declare(exchange.name.as_str().into(), exchange.kind.clone(), options, arguments).await
}

async fn declare_queue(channel: &Channel, queue: &Queue, passive: bool) -> lapin::Result<()> {
    let options =
        QueueDeclareOptions { passive, durable: true, exclusive: false, auto_delete: false, nowait: false };
    let mut arguments = FieldTable::default();
    for (key, value) in &queue.arguments {
        let value = match value {
            Argument::Text(text) => AMQPValue::LongString(text.as_str().into()),
            Argument::Number(number) => AMQPValue::LongLongInt(*number),
        };
        arguments.insert((*key).into(), value);
    }
    channel.queue_declare(queue.name.as_str().into(), options, arguments).await.map(drop)
}

/// What the broker's refusal says; an error of another kind means that the broker is gone.
fn difference(step: &Step<'_>, error: lapin::Error) -> Result<Difference, TopologyError> {
    let lapin::ErrorKind::ProtocolError(refusal) = error.kind() else {
        return Err(TopologyError::Lost(error.into()));
    };
    let broker_says = refusal.get_message();
    let how = match refusal.kind() {
        // Also what RabbitMQ says of a queue that is there and has no leader at the moment.
        AMQPErrorKind::Soft(AMQPSoftError::NOTFOUND) if !says_missing(broker_says.as_str()) => {
            return Err(TopologyError::Lost(error.into()));
        }
        AMQPErrorKind::Soft(AMQPSoftError::NOTFOUND) => {
            "is missing; `hookswitch topology apply` makes it".to_owned()
        }
        AMQPErrorKind::Soft(AMQPSoftError::PRECONDITIONFAILED) => {
            format!(
                "is different ({broker_says}); drain it and delete it, then run `hookswitch topology apply`"
            )
        }
        AMQPErrorKind::Soft(AMQPSoftError::ACCESSREFUSED) => {
            format!("may not be declared by this user ({broker_says}); give it configure permission")
        }
        AMQPErrorKind::Soft(_) => broker_says.to_string(),
        AMQPErrorKind::Hard(_) => return Err(TopologyError::Lost(error.into())),
    };
    Ok(Difference { what: step.name(), how })
}
