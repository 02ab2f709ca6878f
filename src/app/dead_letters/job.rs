//! A job: who does what, on record from its beginning to its end, and alone.

use jiff::Timestamp;
use lapin::{Channel, options::QueueDeclareOptions, types::FieldTable};
use uuid::Uuid;

use super::{DeadLetterError, Desk};
use crate::{
    app::settle,
    core::letters::{Fate, JobId, Journal, Kind, Outcome, Record},
    edge::amqp::{names, publisher::Publisher, topology},
};

/// What somebody asks for.
#[derive(Clone, Debug)]
pub struct Order {
    /// What to do.
    pub kind: Kind,
    /// Who asks.
    pub actor: String,
    /// Why.
    pub reason: Option<String>,
    /// Which letters are meant, in words.
    pub filter: String,
    /// How many they are.
    pub letters: u64,
}

/// A job that runs.
pub(super) struct Running<'a> {
    /// Its id.
    pub(super) id: JobId,
    publisher: &'a Publisher,
    /// Held while the job runs; the broker lets go of it if we are killed.
    lock: Option<Channel>,
}

impl Desk<'_> {
    /// Puts on record that somebody is shown personal data.
    ///
    /// # Errors
    /// [`DeadLetterError`]: then nothing may be shown.
    pub async fn record(&self, publisher: &Publisher, order: &Order) -> Result<(), DeadLetterError> {
        self.begin_reading(publisher, order).await?.end(Outcome::Finished, order.letters, None).await
    }

    /// Begins a job that moves no letters: it disturbs no other.
    pub(super) async fn begin_reading<'a>(
        &self,
        publisher: &'a Publisher,
        order: &Order,
    ) -> Result<Running<'a>, DeadLetterError> {
        let job = Running { id: JobId::new(Uuid::now_v7()), publisher, lock: None };
        job.begin(order).await?;
        Ok(job)
    }

    /// Begins a job that moves letters: one at a time. The journal is that of all jobs before.
    pub(super) async fn begin<'a>(
        &self,
        publisher: &'a Publisher,
        order: &Order,
    ) -> Result<(Running<'a>, Journal), DeadLetterError> {
        let lock = self.connection.create_channel().await?;
        let options = QueueDeclareOptions {
            passive: false,
            durable: false,
            exclusive: true,
            auto_delete: true,
            nowait: false,
        };
        if let Err(error) = lock.queue_declare(names::DEAD_LOCK.into(), options, FieldTable::default()).await
        {
            if !topology::is_refusal(&error) {
                return Err(error.into());
            }
            let journal = self.journal().await?;
            let running =
                journal.jobs().iter().rev().find(|job| job.outcome.is_none() && job.kind.is_alone());
            return Err(DeadLetterError::Busy(running.cloned().map(Box::new)));
        }
        let job = Running { id: JobId::new(Uuid::now_v7()), publisher, lock: Some(lock) };
        let journal = self.journal().await?;
        job.begin(order).await?;
        Ok((job, journal))
    }
}

impl Running<'_> {
    async fn begin(&self, order: &Order) -> Result<(), DeadLetterError> {
        let Order { kind, actor, reason, filter, letters } = order.clone();
        let (at, version) = (Timestamp::now(), env!("CARGO_PKG_VERSION").to_owned());
        self.write(&Record::Begun { job: self.id, at, kind, actor, reason, filter, letters, version }).await
    }

    /// Writes down that letters are safe elsewhere, or thrown away: only then may they be acked.
    pub(super) async fn gone(&self, fate: Fate, letters: Vec<u64>) -> Result<(), DeadLetterError> {
        if letters.is_empty() {
            return Ok(());
        }
        self.write(&Record::Gone { job: self.id, fate, letters }).await
    }

    /// Writes down that letters that were missing are there.
    pub(super) async fn found(&self, letters: Vec<u64>) -> Result<(), DeadLetterError> {
        if letters.is_empty() {
            return Ok(());
        }
        self.write(&Record::Found { job: self.id, letters }).await
    }

    /// Ends the job and lets the next one begin.
    pub(super) async fn end(
        self,
        outcome: Outcome,
        handled: u64,
        note: Option<String>,
    ) -> Result<(), DeadLetterError> {
        let ended = Record::Ended { job: self.id, at: Timestamp::now(), outcome, handled, note };
        let written = self.write(&ended).await;
        if let Some(lock) = self.lock {
            let options =
                lapin::options::QueueDeleteOptions { if_unused: false, if_empty: false, nowait: false };
            drop(lock.queue_delete(names::DEAD_LOCK.into(), options).await);
            drop(lock.close(200, "done".into()).await);
        }
        written
    }

    /// Ends the job as what came of it: an error is put on record and passed on.
    pub(super) async fn end_with<T>(
        self,
        came: Result<(Outcome, u64, Option<String>, T), DeadLetterError>,
    ) -> Result<T, DeadLetterError> {
        match came {
            Ok((outcome, handled, note, value)) => {
                self.end(outcome, handled, note).await?;
                Ok(value)
            }
            Err(error) => {
                // The error that matters is the first one.
                drop(self.end(Outcome::Failed, 0, Some(error.to_string())).await);
                Err(error)
            }
        }
    }

    async fn write(&self, record: &Record) -> Result<(), DeadLetterError> {
        settle::publish_surely(self.publisher, || settle::record(record, Timestamp::now()))
            .await
            .map_err(DeadLetterError::NoJournal)
    }
}
