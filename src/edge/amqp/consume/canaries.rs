//! Taking the canaries that came out of delay queues.

use lapin::options::BasicGetOptions;
use uuid::Uuid;

use crate::edge::amqp::{Connection, Error, message, names};

/// Takes the canaries that came back, and returns their ids. One that gets lost on the way is sent again.
///
/// # Errors
/// [`Error`]: the queue is missing, or the channel or connection failed.
pub async fn take(connection: &Connection) -> Result<Vec<Uuid>, Error> {
    let (channel, mut taken) = (connection.channel().await?, Vec::new());
    while let Some(canary) =
        channel.basic_get(names::CANARY_QUEUE.into(), BasicGetOptions { no_ack: true }).await?
    {
        taken.extend(message::canary_id(&canary.properties));
    }
    channel.close(200, "done".into()).await?;
    Ok(taken)
}
