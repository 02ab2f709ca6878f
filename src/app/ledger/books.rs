//! A receiver's books: they number its webhooks and report how far they are answered.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock},
    time::Duration,
};

use super::marks::{self, now};
use crate::{
    core::{
        ledger::{Book, Entry, Mark},
        webhook::SourceName,
    },
    edge::amqp::publish::{PublishError, Publisher},
};

/// The time between two reports of a receiver.
pub const REPORT_EVERY: Duration = Duration::from_secs(1);

/// One receiver's books, one per source. That of a source that is configured no more stays, for what is still
/// to be reported.
#[derive(Debug, Default)]
pub struct Books(RwLock<BTreeMap<SourceName, Arc<Mutex<Book>>>>);

impl Books {
    /// Opens an empty book for each source that has none.
    pub fn open<'a>(&self, sources: impl Iterator<Item = &'a SourceName>) {
        let mut books = self.0.write().unwrap_or_else(PoisonError::into_inner);
        for source in sources {
            books.entry(source.clone()).or_default();
        }
    }

    /// Gives a webhook its entry; none if its source has no book.
    pub fn enter(&self, source: &SourceName) -> Option<Open> {
        let book = self.of(source)?;
        let entry = lock(&book).enter(now(), rand::random);
        Some(Open { book, entry, accepted: false })
    }

    fn of(&self, source: &SourceName) -> Option<Arc<Mutex<Book>>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).get(source).cloned()
    }

    fn all(&self) -> BTreeMap<SourceName, Arc<Mutex<Book>>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Reports every second how far each source is, until it is dropped.
    pub async fn keep_reporting(&self, publisher: &Publisher) {
        loop {
            tokio::time::sleep(REPORT_EVERY).await;
            if let Err(error) = self.report(publisher).await {
                tracing::debug!(%error, "the ledger's marks could not be published and will be retried");
            }
        }
    }

    /// Ends all runs and reports it. If that fails, the ledger misses what this receiver accepted last until
    /// the workers have settled it.
    pub async fn close(&self, publisher: &Publisher) {
        self.all().values().for_each(|book| lock(book).end());
        if let Err(error) = self.report(publisher).await {
            tracing::warn!(%error, "the ledger's last marks could not be published");
        }
    }

    async fn report(&self, publisher: &Publisher) -> Result<(), PublishError> {
        let books = self.all();
        let marks_of = |(source, book): (&SourceName, &Arc<Mutex<Book>>)| {
            let mut book = lock(book);
            book.end_old(now());
            book.marks(source)
        };
        let marks: Vec<Mark> = books.iter().flat_map(marks_of).collect();
        if marks.is_empty() {
            return Ok(());
        }
        marks::publish(publisher, &marks).await?;
        for mark in &marks {
            let book = mark.source.parse().ok().and_then(|source: SourceName| books.get(&source));
            if let Some(book) = book {
                lock(book).reported(mark);
            }
        }
        Ok(())
    }
}

/// The entry of a webhook that is not answered yet. If it is dropped, the webhook counts as refused: the
/// sender may have gone.
#[derive(Debug)]
pub struct Open {
    book: Arc<Mutex<Book>>,
    entry: Entry,
    accepted: bool,
}

impl Open {
    /// Returns the entry that travels with the webhook.
    pub fn entry(&self) -> Entry {
        self.entry
    }

    /// Records that the webhook is answered with 200.
    pub fn accept(mut self) {
        self.accepted = true;
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        lock(&self.book).answered(self.entry, self.accepted);
    }
}

fn lock(book: &Mutex<Book>) -> MutexGuard<'_, Book> {
    book.lock().unwrap_or_else(PoisonError::into_inner)
}
