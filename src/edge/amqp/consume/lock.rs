//! The lock of the jobs that move dead letters: an exclusive queue, which the broker deletes when its
//! connection closes.

use lapin::{
    Channel,
    options::{QueueDeclareOptions, QueueDeleteOptions},
    types::FieldTable,
};

use crate::edge::amqp::{Connection, Error, depth::depth, names};

/// The lock, held while a job runs. The broker releases it if the process is killed.
#[derive(Debug)]
pub struct Lock(Channel);

impl Lock {
    /// Takes the lock.
    ///
    /// # Errors
    /// [`Error::Locked`] if another job holds it.
    pub async fn take(connection: &Connection) -> Result<Self, Error> {
        let channel = connection.channel().await?;
        let options = QueueDeclareOptions {
            passive: false,
            durable: false,
            exclusive: true,
            auto_delete: true,
            nowait: false,
        };
        channel.queue_declare(names::DEAD_LOCK.into(), options, FieldTable::default()).await?;
        Ok(Self(channel))
    }

    /// Releases the lock. If this fails the connection is gone, and the lock with it.
    pub async fn release(self) {
        let options = QueueDeleteOptions { if_unused: false, if_empty: false, nowait: false };
        drop(self.0.queue_delete(names::DEAD_LOCK.into(), options).await);
        drop(self.0.close(200, "done".into()).await);
    }

    /// Returns whether a job holds the lock.
    ///
    /// # Errors
    /// [`Error::Lost`]: the broker did not answer.
    pub async fn is_held(connection: &Connection) -> Result<bool, Error> {
        match depth(connection, names::DEAD_LOCK).await {
            Ok(_) | Err(Error::Locked(_)) => Ok(true),
            Err(Error::Missing(_) | Error::Denied(_) | Error::Leaderless(_) | Error::Refused(_)) => Ok(false),
            Err(error @ (Error::Lost(_) | Error::Replaced(_))) => Err(error),
        }
    }
}
