//! Logs: one line per delivery, for people or for machines, on standard error.
//!
//! Lines are buffered for some milliseconds and written together. A system call per line would cost more than
//! everything else that is done for a delivery except publishing it. Warnings and errors are written at once,
//! with all lines before them.

use std::{
    borrow::Cow,
    env,
    io::{self, IsTerminal, Write},
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

use crate::{
    config::{Log, LogFormat},
    core::printable::printable,
};

/// Directives that override the configured filter. Of lapin and redis-rs only warnings are logged. lapin
/// would print a message that the broker returned in full, body and headers. It would also report each closed
/// channel, but the code that used the channel reports what that means, and a missing queue, which closes a
/// channel too, is often just the answer to a question.
const LIBRARIES: &str = "lapin=warn,lapin::channel=off,lapin::returned_messages=off,redis=warn";

/// The longest time for which lines are buffered.
const BUFFER_TIME_MAX: Duration = Duration::from_millis(20);
/// The most bytes that are buffered: the thread that adds the line over this limit writes them.
const BUFFER_BYTES_MAX: usize = 64 * 1024;

/// Starts logging. Dropping the result writes all buffered lines and ends the buffering.
pub fn start(config: &Log) -> Logging {
    let lines = Lines { coloured: config.format == LogFormat::Pretty && may_colour(), ..Lines::default() };
    let registry = tracing_subscriber::registry().with(filter(&config.filter));
    let writer = lines.clone();
    // A second start in one process, as in tests, changes nothing.
    let started = match config.format {
        LogFormat::Pretty => registry
            .with(fmt::layer().with_ansi(lines.coloured).with_writer(writer).with_target(false))
            .try_init(),
        LogFormat::Json => registry
            .with(fmt::layer().json().flatten_event(true).with_current_span(false).with_writer(writer))
            .try_init(),
    };
    drop(started);
    let writing = std::thread::Builder::new().name("log".to_owned()).spawn({
        let lines = lines.clone();
        move || lines.keep_writing()
    });
    // Without the thread every line would wait for the next warning.
    lines.lock().at_once = writing.is_err();
    Logging { lines, writing: writing.ok() }
}

/// Returns true if standard error is a terminal whose user wants colours: <https://no-color.org>.
fn may_colour() -> bool {
    io::stderr().is_terminal() && env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// A guard that writes the buffered lines when it is dropped, so it has to be dropped last.
#[derive(Debug)]
pub struct Logging {
    lines: Lines,
    writing: Option<JoinHandle<()>>,
}

impl Logging {
    /// Returns a function that writes the buffered lines, for code that ends the process without dropping
    /// this.
    pub fn flusher(&self) -> impl Fn() + Send + Sync + 'static {
        let lines = self.lines.clone();
        move || lines.lock().write()
    }
}

impl Drop for Logging {
    fn drop(&mut self) {
        {
            let mut buffer = self.lines.lock();
            buffer.at_once = true;
            buffer.write();
        }
        self.lines.shared.1.notify_all();
        drop(self.writing.take().map(JoinHandle::join));
    }
}

/// Lines that are not written yet, and the signal that there are some. Cloning shares them.
#[derive(Clone, Debug, Default)]
struct Lines {
    shared: Arc<(Mutex<Buffer>, Condvar)>,
    /// The formatter colours the lines.
    coloured: bool,
}

#[derive(Debug, Default)]
struct Buffer {
    bytes: Vec<u8>,
    /// Every line is written when it is added, since no thread is there to do it later.
    at_once: bool,
}

impl Buffer {
    fn write(&mut self) {
        // If standard error is gone there is no place left to report that.
        drop(io::stderr().write_all(&self.bytes));
        self.bytes.clear();
    }
}

impl Lines {
    fn lock(&self) -> std::sync::MutexGuard<'_, Buffer> {
        self.shared.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes lines soon after they are added, until every line is written at once.
    fn keep_writing(&self) {
        let mut buffer = self.lock();
        while !buffer.at_once {
            if buffer.bytes.is_empty() {
                buffer = self.shared.1.wait(buffer).unwrap_or_else(PoisonError::into_inner);
            } else {
                drop(buffer);
                std::thread::sleep(BUFFER_TIME_MAX);
                buffer = self.lock();
                buffer.write();
            }
        }
    }

    fn add(&self, line: &[u8], at_once: bool) {
        let mut buffer = self.lock();
        let first = buffer.bytes.is_empty();
        buffer.bytes.extend_from_slice(line);
        if at_once || buffer.at_once || buffer.bytes.len() > BUFFER_BYTES_MAX {
            buffer.write();
        } else if first {
            self.shared.1.notify_one();
        }
    }
}

/// The writer of one line.
#[derive(Debug)]
struct Line<'a> {
    lines: &'a Lines,
    /// The line is a warning or an error, so it is not buffered.
    urgent: bool,
}

impl Write for Line<'_> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.lines.add(&in_one_line(line, self.lines.coloured), self.urgent);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Returns a formatted line with everything escaped that could end it or command a terminal. In a coloured
/// line the formatter has escaped such commands in the values, so the ones that are left are its own.
fn in_one_line(line: &[u8], coloured: bool) -> Cow<'_, [u8]> {
    let text = line.strip_suffix(b"\n").unwrap_or(line);
    if text.iter().all(|byte| matches!(byte, b' '..=b'~')) {
        return Cow::Borrowed(line);
    }
    let text = String::from_utf8_lossy(text);
    let mut escaped = if coloured {
        text.split('\x1b').map(printable).collect::<Vec<_>>().join("\x1b")
    } else {
        printable(&text).into_owned()
    };
    escaped.push('\n');
    Cow::Owned(escaped.into_bytes())
}

impl<'a> MakeWriter<'a> for Lines {
    type Writer = Line<'a>;

    fn make_writer(&'a self) -> Line<'a> {
        Line { lines: self, urgent: true }
    }

    fn make_writer_for(&'a self, meta: &Metadata<'_>) -> Line<'a> {
        Line { lines: self, urgent: *meta.level() <= Level::WARN }
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
    fn no_value_ends_a_line_of_the_log_or_commands_a_terminal() {
        let forged = "\u{1b}[2J\u{9b}2J\u{202e}\r\n2026-11-28T00:00:00Z  INFO forged";
        for (format, coloured) in
            [(LogFormat::Pretty, false), (LogFormat::Pretty, true), (LogFormat::Json, false)]
        {
            // Held back, so that the test can look at them.
            let lines = Lines { coloured, ..Lines::default() };
            let layer = fmt::layer().with_writer(lines.clone()).with_ansi(coloured);
            let emit = || tracing::info!(path = %forged, text = forged, "{forged}");
            match format {
                LogFormat::Pretty => {
                    tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), emit);
                }
                LogFormat::Json => tracing::subscriber::with_default(
                    tracing_subscriber::registry().with(layer.json().flatten_event(true)),
                    emit,
                ),
            }
            let mut written = String::from_utf8(std::mem::take(&mut lines.lock().bytes)).expect("UTF-8");
            assert_eq!(written.pop(), Some('\n'));
            assert!(written.contains("forged"), "{written}");
            if coloured {
                written = written
                    .split("\u{1b}[")
                    .map(|part| part.split_once('m').map_or(part, |(_, rest)| rest))
                    .collect();
            }
            assert!(!written.contains(|c: char| c.is_control() || c == '\u{202e}'), "{written:?}");
            assert!(!written.contains("\u{1b}[2J"), "{written:?}");
        }
    }

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
