//! Logs: one line per delivery, for people or for machines, on standard error.
//!
//! Lines are gathered for some milliseconds and written together: a system call a line would cost more than all else
//! that is done for a delivery but publishing it. What warns is written at once, with all that came before.

use std::{
    io::{self, Write},
    sync::{Arc, Condvar, Mutex, PoisonError},
    thread::JoinHandle,
    time::Duration,
};

use tracing::{Level, Metadata};
use tracing_subscriber::{
    EnvFilter,
    fmt::{self, MakeWriter},
    layer::SubscriberExt,
    util::SubscriberInitExt,
};

use crate::config::{Log, LogFormat};

/// lapin and redis-rs speak only when they warn, and lapin not of a message that the broker returned: it would print
/// all of it, body and headers. Of a channel that ended whoever used it says what it means; that a queue is not there,
/// which ends one too, is often just the answer.
const LIBRARIES: &str = "lapin=warn,lapin::channel=off,lapin::returned_messages=off,redis=warn";

/// How long a line may wait.
const GATHER_MAX: Duration = Duration::from_millis(20);
/// How much is gathered before whoever adds to it must write.
const GATHER_BYTES_MAX: usize = 64 * 1024;

/// Starts logging, until what is returned is dropped: then everything is written.
pub fn start(config: &Log) -> Logging {
    let lines = Lines::default();
    let registry = tracing_subscriber::registry().with(filter(&config.filter));
    let writer = lines.clone();
    // A second start, as in tests, changes nothing.
    let started = match config.format {
        LogFormat::Pretty => registry.with(fmt::layer().with_writer(writer).with_target(false)).try_init(),
        LogFormat::Json => registry
            .with(fmt::layer().json().flatten_event(true).with_current_span(false).with_writer(writer))
            .try_init(),
    };
    drop(started);
    let writing = std::thread::Builder::new().name("log".to_owned()).spawn({
        let lines = lines.clone();
        move || lines.keep_writing()
    });
    // Without a thread every line would wait for the next that warns.
    lines.lock().at_once = writing.is_err();
    Logging { lines, writing: writing.ok() }
}

/// What writes the log; dropped last.
#[derive(Debug)]
pub struct Logging {
    lines: Lines,
    writing: Option<JoinHandle<()>>,
}

impl Logging {
    /// Writes what is gathered: for whoever ends the process without dropping this.
    pub fn flusher(&self) -> impl Fn() + Send + Sync + 'static {
        let lines = self.lines.clone();
        move || lines.lock().write()
    }
}

impl Drop for Logging {
    fn drop(&mut self) {
        {
            let mut gathered = self.lines.lock();
            gathered.at_once = true;
            gathered.write();
        }
        self.lines.0.1.notify_all();
        drop(self.writing.take().map(JoinHandle::join));
    }
}

/// Lines that are not written yet.
#[derive(Clone, Debug, Default)]
struct Lines(Arc<(Mutex<Gathered>, Condvar)>);

#[derive(Debug, Default)]
struct Gathered {
    bytes: Vec<u8>,
    /// Nobody else writes.
    at_once: bool,
}

impl Gathered {
    fn write(&mut self) {
        // Nobody is left to be told if standard error is gone.
        drop(io::stderr().write_all(&self.bytes));
        self.bytes.clear();
    }
}

impl Lines {
    fn lock(&self) -> std::sync::MutexGuard<'_, Gathered> {
        self.0.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn keep_writing(&self) {
        let mut gathered = self.lock();
        while !gathered.at_once {
            if gathered.bytes.is_empty() {
                gathered = self.0.1.wait(gathered).unwrap_or_else(PoisonError::into_inner);
            } else {
                drop(gathered);
                std::thread::sleep(GATHER_MAX);
                gathered = self.lock();
                gathered.write();
            }
        }
    }

    fn add(&self, line: &[u8], at_once: bool) {
        let mut gathered = self.lock();
        let first = gathered.bytes.is_empty();
        gathered.bytes.extend_from_slice(line);
        if at_once || gathered.at_once || gathered.bytes.len() > GATHER_BYTES_MAX {
            gathered.write();
        } else if first {
            self.0.1.notify_one();
        }
    }
}

/// Takes one line.
#[derive(Debug)]
struct Line<'a> {
    lines: &'a Lines,
    warns: bool,
}

impl Write for Line<'_> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.lines.add(line, self.warns);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Lines {
    type Writer = Line<'a>;

    fn make_writer(&'a self) -> Line<'a> {
        Line { lines: self, warns: true }
    }

    fn make_writer_for(&'a self, meta: &Metadata<'_>) -> Line<'a> {
        Line { lines: self, warns: *meta.level() <= Level::WARN }
    }
}

fn filter(configured: &str) -> EnvFilter {
    EnvFilter::try_new(format!("{configured},{LIBRARIES}")).unwrap_or_else(|_| EnvFilter::new(LIBRARIES))
}

#[cfg(test)]
mod tests {
    use tracing::{Level, enabled};

    use super::*;

    #[test]
    fn a_returned_message_is_not_printed_whatever_the_filter() {
        for configured in ["info", "trace", "lapin=trace", "not a filter"] {
            let registry = tracing_subscriber::registry().with(filter(configured));
            tracing::subscriber::with_default(registry, || {
                assert!(!enabled!(target: "lapin::returned_messages", Level::ERROR), "{configured}");
                assert!(enabled!(target: "lapin::io_loop", Level::WARN), "{configured}");
            });
        }
    }
}
