//! Asking the broker how many messages are ready in a queue.

use lapin::{Channel, options::QueueDeclareOptions, types::FieldTable};

use super::{connect::Connection, error::Error};

/// What a look at a queue shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Look {
    /// Messages that are ready. Those that consumers hold are not among them.
    pub ready: u32,
    /// Consumers.
    pub consumers: u32,
}

/// Returns how many messages are ready in a queue.
///
/// # Errors
/// [`Error::Missing`] if there is no such queue.
pub async fn depth(connection: &Connection, queue: &str) -> Result<u32, Error> {
    Ok(look(connection, queue).await?.ready)
}

/// Looks at a queue.
///
/// # Errors
/// [`Error::Missing`] if there is no such queue.
pub async fn look(connection: &Connection, queue: &str) -> Result<Look, Error> {
    let mut depths = Depths::new(connection);
    let look = depths.look(queue).await?;
    depths.close().await?;
    Ok(look)
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
        Ok(self.look(queue).await?.ready)
    }

    /// Returns how many messages are ready in a queue; none if there is no such queue.
    ///
    /// # Errors
    /// [`Error`]
    pub async fn if_present(&mut self, queue: &str) -> Result<Option<u32>, Error> {
        match self.of(queue).await {
            Ok(ready) => Ok(Some(ready)),
            Err(Error::Missing(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Looks at a queue.
    ///
    /// # Errors
    /// [`Error::Missing`] if there is no such queue. The next question goes over a new channel.
    pub async fn look(&mut self, queue: &str) -> Result<Look, Error> {
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
        Ok(Look { ready: queue.message_count(), consumers: queue.consumer_count() })
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
