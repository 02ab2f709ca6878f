//! The spans that wait for the collector.

use std::{
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use opentelemetry_sdk::trace::SpanData;

/// The most spans that wait. One takes about a kilobyte.
const SPANS_MAX: usize = 4_096;

/// The most spans that are sent at once.
const BATCH_MAX: usize = 512;

/// The longest time for which a span waits for others to be sent with.
const DELAY: Duration = Duration::from_secs(1);

/// Spans on their way from the tasks that record them to the thread that sends them.
#[derive(Debug, Default)]
pub(super) struct Queue {
    waiting: Mutex<Waiting>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Waiting {
    spans: Vec<SpanData>,
    closed: bool,
}

impl Queue {
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds spans, and never waits for room. Returns how many had none.
    pub(super) fn add(&self, spans: impl IntoIterator<Item = SpanData>) -> usize {
        let mut waiting = self.lock();
        let (before, mut dropped) = (waiting.spans.len(), 0);
        for span in spans {
            if waiting.spans.len() < SPANS_MAX && !waiting.closed {
                waiting.spans.push(span);
            } else {
                dropped += 1;
            }
        }
        let now = waiting.spans.len();
        if (before == 0 && now > 0) || (before < BATCH_MAX && now >= BATCH_MAX) {
            self.changed.notify_one();
        }
        dropped
    }

    /// Waits for spans, and takes out those that are to be sent next. `None` once the queue is closed and
    /// empty.
    pub(super) fn next(&self) -> Option<Vec<SpanData>> {
        let mut waiting = self.lock();
        while waiting.spans.is_empty() {
            if waiting.closed {
                return None;
            }
            waiting = self.changed.wait(waiting).unwrap_or_else(PoisonError::into_inner);
        }
        let until = Instant::now() + DELAY;
        while !waiting.closed && waiting.spans.len() < BATCH_MAX {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            waiting = self.changed.wait_timeout(waiting, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        let count = waiting.spans.len().min(BATCH_MAX);
        Some(waiting.spans.drain(..count).collect())
    }

    /// Takes no more spans, and has those that wait sent at once.
    pub(super) fn close(&self) {
        self.lock().closed = true;
        self.changed.notify_one();
    }
}
