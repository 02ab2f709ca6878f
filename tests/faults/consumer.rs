//! The independent consumer: its own connections and reconnect loop, and an ack only for recorded messages.

use std::{
    collections::HashSet,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use futures_util::StreamExt;
use hookswitch::edge::amqp::message;
use lapin::{
    Channel, Connection, ConnectionProperties,
    options::{BasicAckOptions, BasicConsumeOptions, BasicGetOptions, BasicQosOptions},
    types::FieldTable,
};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::book::{Book, Recent, Seen};

/// Prefetch. No more messages than this can be redelivered after a cut.
const PREFETCH: u16 = 500;
const PATIENCE: Duration = Duration::from_secs(5);
/// Time without a message after which the connection is replaced. RabbitMQ 3.10 carries a consumer over to a
/// queue that is deleted and at once declared again, and hands over nothing of what it delivers to it then.
const QUIET_MAX: Duration = Duration::from_secs(10);

/// Connects as any program might. The heartbeat distinguishes a frozen broker from a quiet one.
pub async fn connect(url: &str) -> lapin::Result<Connection> {
    let url = format!("{url}?heartbeat=3");
    let connecting = Connection::connect(&url, ConnectionProperties::default());
    match timeout(PATIENCE, connecting).await {
        Ok(connection) => connection,
        Err(_) => Err(std::io::Error::from(std::io::ErrorKind::TimedOut).into()),
    }
}

/// Consumes `queue` until `stop`, with a pause of `pause` milliseconds before each message.
pub async fn consume(
    book: Arc<Book>,
    url: String,
    queue: &'static str,
    unrouted: bool,
    pause: Arc<AtomicU64>,
    stop: CancellationToken,
) {
    let (mut again, mut recent) = (HashSet::new(), Recent::default());
    let working = async {
        loop {
            // After any error the connection is dropped and a new one is made.
            drop(consume_once(&book, &url, queue, unrouted, &pause, &mut again, &mut recent).await);
            again.extend(recent.maybe_again());
            sleep(Duration::from_millis(200)).await;
        }
    };
    stop.run_until_cancelled(working).await;
}

async fn consume_once(
    book: &Book,
    url: &str,
    queue: &str,
    unrouted: bool,
    pause: &AtomicU64,
    again: &mut HashSet<(super::traffic::Number, usize)>,
    recent: &mut Recent,
) -> lapin::Result<()> {
    let connection = connect(url).await?;
    let channel = connection.create_channel().await?;
    channel.basic_qos(PREFETCH, BasicQosOptions::default()).await?;
    let options = BasicConsumeOptions::default();
    let mut messages = channel.basic_consume(queue.into(), "".into(), options, FieldTable::default()).await?;
    while let Ok(Some(delivery)) = timeout(QUIET_MAX, messages.next()).await {
        let delivery = delivery?;
        let rest = pause.load(Ordering::Relaxed);
        if rest > 0 {
            sleep(Duration::from_millis(rest)).await;
        }
        let seen = Seen {
            body: &delivery.data,
            delivery_id: &delivery_id(&delivery.data),
            redelivered: delivery.redelivered,
            unrouted,
        };
        book.event(&seen, again, recent, PREFETCH.into());
        channel.basic_ack(delivery.delivery_tag, BasicAckOptions::default()).await?;
    }
    Ok(())
}

fn delivery_id(event: &[u8]) -> String {
    let event: serde_json::Value = serde_json::from_slice(event).unwrap_or_default();
    event["deliveryid"].as_str().unwrap_or_default().to_owned()
}

/// Consumes every dead letter of `dead.<source>`.
pub async fn dead_letters(book: &Book, url: &str, source: &str) -> lapin::Result<()> {
    let connection = connect(url).await?;
    let channel: Channel = connection.create_channel().await?;
    let queue = format!("dead.{source}");
    while let Some(got) = channel.basic_get(queue.as_str().into(), BasicGetOptions::default()).await? {
        let delivery = got.delivery;
        match message::decode(&delivery.properties, delivery.data) {
            Ok(letter) => book.dead(&letter),
            Err((error, _)) => book.complain(super::book::Wrong::Corrupt, format!("{queue}: {error}")),
        }
        channel.basic_ack(delivery.delivery_tag, BasicAckOptions::default()).await?;
    }
    connection.close(200, "done".into()).await
}
