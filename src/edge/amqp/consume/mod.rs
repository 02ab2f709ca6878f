//! Consuming: raw queues, the ledger's marks, streams, dead-letter queues, and the tail of the events. The
//! lock of the jobs that consume dead-letter queues is here too.

pub mod acks;
pub mod canaries;
pub mod dead_queue;
pub mod delivery;
pub mod lock;
pub mod marks;
pub mod raw;
pub mod stream;
pub mod tail;

use lapin::{
    Channel, Consumer,
    options::{BasicConsumeOptions, BasicQosOptions},
    types::{AMQPValue, FieldTable},
};

use super::connect::Connection;

/// The way to consume a queue.
pub(super) enum Mode {
    /// With acks; at most `prefetch` deliveries are unacked at a time.
    Acked { prefetch: u16 },
    /// As [`Mode::Acked`], from an offset of a stream on.
    Stream { prefetch: u16, offset: AMQPValue },
    /// As [`Mode::Acked`], by this consumer only.
    Moving { prefetch: u16 },
}

/// Starts consuming a queue over a channel of its own. The only `basic_consume` of the program.
///
/// lapin buffers deliveries without bound, so the prefetch is set before consuming starts.
pub(super) async fn consume(
    connection: &Connection,
    queue: &str,
    mode: Mode,
) -> lapin::Result<(Channel, Consumer)> {
    let mut arguments = FieldTable::default();
    let exclusive = matches!(mode, Mode::Moving { .. });
    let prefetch = match mode {
        Mode::Acked { prefetch } | Mode::Moving { prefetch } => prefetch,
        Mode::Stream { prefetch, offset } => {
            arguments.insert("x-stream-offset".into(), offset);
            prefetch
        }
    };
    let channel = connection.channel().await?;
    channel.basic_qos(prefetch, BasicQosOptions { global: false }).await?;
    let options = BasicConsumeOptions { no_local: false, no_ack: false, exclusive, nowait: false };
    let consumer = channel.basic_consume(queue.into(), "".into(), options, arguments).await?;
    Ok((channel, consumer))
}
