//! Asking the broker how many messages are ready in a queue.

use lapin::{Channel, options::QueueDeclareOptions, types::FieldTable};

use super::{connect::Connection, error::Error};

/// Returns how many messages are ready in a queue.
///
/// # Errors
/// [`Error::Missing`] if there is no such queue.
pub async fn depth(connection: &Connection, queue: &str) -> Result<u32, Error> {
    let mut depths = Depths::new(connection);
    let depth = depths.of(queue).await?;
    depths.close().await?;
    Ok(depth)
}

/// Asks for the depths of several queues over one channel.
pub struct Depths<'a> {
    connection: &'a Connection,
    /// None before the first question and after an error: the broker closes a channel with its refusal.
    channel: Option<Channel>,
}

impl<'a> Depths<'a> {
    /// Prepares to ask; the first question opens the channel.
    pub fn new(connection: &'a Connection) -> Self {
        Self { connection, channel: None }
    }

    /// Returns how many messages are ready in a queue.
    ///
    /// # Errors
    /// [`Error::Missing`] if there is no such queue. The next question goes over a new channel.
    pub async fn of(&mut self, queue: &str) -> Result<u32, Error> {
        let channel = match self.channel.take() {
            Some(channel) => channel,
            None => self.connection.channel().await?,
        };
        let options = QueueDeclareOptions {
            passive: true,
            durable: true,
            exclusive: false,
            auto_delete: false,
            nowait: false,
        };
        let queue = channel.queue_declare(queue.into(), options, FieldTable::default()).await?;
        self.channel = Some(channel);
        Ok(queue.message_count())
    }

    /// Closes the channel.
    ///
    /// # Errors
    /// [`Error::Lost`]
    pub async fn close(self) -> Result<(), Error> {
        if let Some(channel) = self.channel {
            channel.close(200, "done".into()).await?;
        }
        Ok(())
    }
}
