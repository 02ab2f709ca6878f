//! The yardstick of every figure: the least code that gives the same work to the broker and to Redis.
//!
//! The worker claims a key, rewrites the JSON through typed structs that borrow, publishes with a confirm,
//! marks the key done, and acks; on one thread, with grouped acks. The receiver is a bare axum handler that
//! publishes and awaits the confirm. Both use hookswitch's queues and exchanges, and messages of the same
//! size with the same properties, each with one webhook. They promise nothing: no owner of a claim, no
//! ledger, no retry, no dead letter, no bundles, no check for returned messages, no log, no metrics.
//!
//! The lean yardstick has a plain queue in and out, one exchange, an event of half the size and no headers.
//! That is less work for the broker, which is most of the cost of a webhook.

use std::{
    collections::VecDeque,
    process::Command,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    task::Poll,
};

use axum::{Router, body::Bytes, extract::State, http::StatusCode, routing::post};
use futures_util::stream::{FuturesUnordered, StreamExt};
use lapin::{
    BasicProperties, Channel, Connection, ConnectionProperties,
    message::Delivery,
    options::{
        BasicAckOptions, BasicConsumeOptions, BasicPublishOptions, BasicQosOptions, ConfirmSelectOptions,
    },
    types::{AMQPValue, FieldTable, LongString},
};
use redis::aio::MultiplexedConnection;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// The broker's side of a yardstick.
#[derive(Clone, Copy)]
pub struct Wiring {
    /// Queue that the worker consumes.
    pub queue: &'static str,
    /// Exchange that the receiver publishes to.
    pub raw: (&'static str, &'static str),
    /// Exchange that the worker publishes to.
    pub events: (&'static str, &'static str),
    /// Messages are `mandatory`, have headers, and carry the whole webhook.
    whole: bool,
}

/// Hookswitch's queues and messages.
pub const SAME: Wiring = Wiring {
    queue: "raw.bench",
    raw: ("hookswitch.raw", "bench"),
    events: ("hookswitch.published", "call.ended.bench"),
    whole: true,
};

/// The least work for the broker.
pub const LEAN: Wiring = Wiring {
    queue: "lean.in",
    raw: ("", "lean.in"),
    events: ("amq.topic", "call.ended.bench"),
    whole: false,
};

/// Queue of the lean worker's events.
pub const LEAN_OUT: &str = "lean.out";

const PREFETCH: u16 = 256;
/// Deliveries acked at a time.
const ACKS: u64 = 32;

/// What hookswitch says about a raw webhook without captured headers.
const HEAD: &str = r#"{"source":"bench","provider":"morph","received_at":"2026-01-02T03:04:05.678Z","entry":"19aa4b64500-5f3759df:1"}"#;

/// Returns the command that starts its `role`.
pub fn command(role: &str, lean: bool) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.arg(role).args(lean.then_some("--lean"));
    command
}

/// Returns the least properties of a message.
pub fn properties(id: &str) -> BasicProperties {
    BasicProperties::default()
        .with_delivery_mode(2)
        .with_content_type("application/json".into())
        .with_message_id(id.into())
}

/// Returns the properties that hookswitch's messages have.
fn with_all(properties: BasicProperties) -> BasicProperties {
    properties.with_app_id("yardstick".into()).with_type("event".into()).with_timestamp(1)
}

/// Returns a header like the one of hookswitch's raw messages.
fn with_head(properties: BasicProperties) -> BasicProperties {
    let mut headers = FieldTable::default();
    headers.insert("yardstick".into(), AMQPValue::LongString(LongString::from(HEAD)));
    properties.with_headers(headers)
}

/// A confirm channel whose tags and frames stay in step although several tasks publish on it.
struct Publisher {
    channel: Channel,
    order: Mutex<()>,
}

impl Publisher {
    async fn open(connection: &Connection) -> Self {
        let channel = connection.create_channel().await.unwrap();
        channel.confirm_select(ConfirmSelectOptions::default()).await.unwrap();
        Self { channel, order: Mutex::default() }
    }

    /// Publishes, and returns true if the broker confirmed.
    async fn publish(
        &self,
        (exchange, key): (&str, &str),
        mandatory: bool,
        body: &[u8],
        properties: BasicProperties,
    ) -> bool {
        let options = BasicPublishOptions { mandatory, immediate: false };
        let sending = self.channel.basic_publish(exchange.into(), key.into(), options, body, properties);
        let mut sending = std::pin::pin!(sending);
        // lapin takes the tag and queues the frames in the first poll, during which no other task may
        // publish.
        let first = std::future::poll_fn(|context| {
            let _order = self.order.lock().unwrap();
            Poll::Ready(sending.as_mut().poll(context))
        });
        let sent = match first.await {
            Poll::Ready(sent) => sent,
            Poll::Pending => sending.await,
        };
        sent.unwrap().await.unwrap().is_ack()
    }
}

/// Runs the worker until it is killed.
pub async fn work(wiring: Wiring, amqp: &str, redis: &str) {
    let connection = Connection::connect(amqp, ConnectionProperties::default()).await.unwrap();
    let publisher = Publisher::open(&connection).await;
    let redis = redis::Client::open(redis).unwrap().get_multiplexed_async_connection().await.unwrap();
    let channel = connection.create_channel().await.unwrap();
    channel.basic_qos(PREFETCH, BasicQosOptions::default()).await.unwrap();
    let options = BasicConsumeOptions::default();
    let mut deliveries =
        channel.basic_consume(wiring.queue.into(), "".into(), options, FieldTable::default()).await.unwrap();
    let mut in_work = FuturesUnordered::new();
    let mut acks = Acks::default();
    let mut taken = 0;
    loop {
        tokio::select! {
            Some(delivery) = deliveries.next() => {
                taken += 1;
                in_work.push(handle(wiring, delivery.unwrap(), &publisher, redis.clone()));
            }
            Some(tag) = in_work.next(), if !in_work.is_empty() => {
                if let Some(through) = acks.settle(tag, in_work.is_empty(), taken) {
                    channel.basic_ack(through, BasicAckOptions { multiple: true }).await.unwrap();
                }
            }
        }
    }
}

async fn handle(
    wiring: Wiring,
    delivery: Delivery,
    publisher: &Publisher,
    mut redis: MultiplexedConnection,
) -> u64 {
    let id = delivery.properties.message_id().as_ref().map_or("", |id| id.as_str()).to_owned();
    let name = format!("y:{id}");
    let claim = redis::cmd("SET").arg(&name).arg("claimed").arg("NX").arg("PX").arg(30_000).to_owned();
    if claim.query_async::<Option<String>>(&mut redis).await.unwrap().is_some() {
        let body = rewrite(&delivery.data, &id, wiring.whole);
        let mut properties = properties(&id);
        if wiring.whole {
            properties = with_all(properties);
        }
        assert!(publisher.publish(wiring.events, wiring.whole, &body, properties).await);
        let done = redis::cmd("SET").arg(&name).arg("done").arg("PX").arg(604_800_000).to_owned();
        done.query_async::<()>(&mut redis).await.unwrap();
    }
    delivery.delivery_tag
}

/// The tags that are done, to ack many at once.
#[derive(Default)]
struct Acks {
    window: VecDeque<bool>,
    through: u64,
    acked: u64,
}

impl Acks {
    /// Returns the tag to ack up to, once there are enough or nothing else is in progress.
    fn settle(&mut self, tag: u64, idle: bool, taken: u64) -> Option<u64> {
        let at = usize::try_from(tag - self.through - 1).unwrap();
        if self.window.len() <= at {
            self.window.resize(at + 1, false);
        }
        self.window[at] = true;
        while self.window.front() == Some(&true) {
            self.window.pop_front();
            self.through += 1;
        }
        let due = self.through - self.acked >= ACKS || (idle && self.through == taken);
        (due && self.through > self.acked).then(|| {
            self.acked = self.through;
            self.through
        })
    }
}

#[derive(Deserialize)]
struct Hook<'a> {
    #[serde(borrow)]
    data: &'a RawValue,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Data<'a> {
    #[serde(borrow)]
    id: &'a RawValue,
    fields: Fields<'a>,
    raw_resource: &'a RawValue,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Fields<'a> {
    #[serde(borrow)]
    direction: &'a RawValue,
    status: &'a RawValue,
    started_at: &'a RawValue,
    answered_at: &'a RawValue,
    ended_at: &'a RawValue,
    duration: &'a RawValue,
    recording_url: &'a RawValue,
    external_number: &'a RawValue,
    internal_number: &'a RawValue,
    users: Vec<Reference<'a>>,
    contacts: Vec<Reference<'a>>,
}

#[derive(Deserialize)]
struct Reference<'a> {
    #[serde(borrow)]
    id: &'a RawValue,
}

#[derive(Serialize)]
struct Event<'a> {
    specversion: &'a str,
    id: &'a str,
    r#type: &'a str,
    source: &'a str,
    call_id: &'a RawValue,
    direction: &'a RawValue,
    status: &'a RawValue,
    started_at: &'a RawValue,
    answered_at: &'a RawValue,
    ended_at: &'a RawValue,
    duration_s: &'a RawValue,
    recording_url: &'a RawValue,
    from: &'a RawValue,
    to: &'a RawValue,
    users: Vec<&'a RawValue>,
    contacts: Vec<&'a RawValue>,
    raw: &'a RawValue,
}

fn rewrite(body: &[u8], id: &str, whole: bool) -> Vec<u8> {
    let hook: Hook<'_> = serde_json::from_slice(body).unwrap();
    let data: Data<'_> = serde_json::from_str(hook.data.get()).unwrap();
    let fields = data.fields;
    let event = Event {
        specversion: "1.0",
        id,
        r#type: "call.updated",
        source: "yardstick",
        call_id: data.id,
        direction: fields.direction,
        status: fields.status,
        started_at: fields.started_at,
        answered_at: fields.answered_at,
        ended_at: fields.ended_at,
        duration_s: fields.duration,
        recording_url: fields.recording_url,
        from: fields.external_number,
        to: fields.internal_number,
        users: fields.users.iter().map(|user| user.id).collect(),
        contacts: fields.contacts.iter().map(|contact| contact.id).collect(),
        raw: if whole { hook.data } else { data.raw_resource },
    };
    let mut out = Vec::with_capacity(2 * body.len());
    serde_json::to_writer(&mut out, &event).unwrap();
    out
}

struct Ingest {
    wiring: Wiring,
    publisher: Publisher,
    next: AtomicU64,
}

/// Runs the receiver until it is killed.
pub async fn receive(wiring: Wiring, amqp: &str, listen: &str) {
    let connection = Connection::connect(amqp, ConnectionProperties::default()).await.unwrap();
    let publisher = Publisher::open(&connection).await;
    // Redis still knows the ids of earlier runs.
    let ingest = Ingest { wiring, publisher, next: AtomicU64::new(rand::random()) };
    let app = Router::new().route("/in/bench", post(take)).with_state(Arc::new(ingest));
    let listener = tokio::net::TcpListener::bind(listen).await.unwrap();
    let listener = axum::serve::ListenerExt::tap_io(listener, |stream| stream.set_nodelay(true).unwrap());
    axum::serve(listener, app).await.unwrap();
}

async fn take(State(ingest): State<Arc<Ingest>>, body: Bytes) -> StatusCode {
    let id = format!("{:016x}", ingest.next.fetch_add(1, Ordering::Relaxed));
    let mut properties = properties(&id);
    if ingest.wiring.whole {
        properties = with_head(with_all(properties));
    }
    let stored = ingest.publisher.publish(ingest.wiring.raw, ingest.wiring.whole, &body, properties).await;
    if stored { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }
}
