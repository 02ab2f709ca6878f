//! Writing to standard output and standard error, which may be a terminal, a pipe or a full disk.

use std::io::{self, BufWriter, ErrorKind, Stdout, Write};

use indicatif::HumanCount;

use crate::core::printable::printable_lines;

/// Standard output. If its reader stops early (`… | head`), nothing more is written, which is not an error.
pub(super) struct Out {
    to: BufWriter<Stdout>,
    closed: bool,
}

impl Out {
    pub(super) fn new() -> Self {
        Self { to: BufWriter::new(io::stdout()), closed: false }
    }

    /// Writes a line, or several, without anything that commands a terminal. Returns false once the reader
    /// has gone.
    pub(super) fn line(&mut self, line: &str) -> io::Result<bool> {
        self.bytes(printable_lines(line).as_bytes())?;
        self.bytes(b"\n")
    }

    /// Writes bytes. Returns false once the reader has gone.
    pub(super) fn bytes(&mut self, bytes: &[u8]) -> io::Result<bool> {
        if !self.closed {
            let written = self.to.write_all(bytes);
            self.check(written)?;
        }
        Ok(!self.closed)
    }

    /// Writes out what is buffered. Returns false once the reader has gone.
    pub(super) fn flush(&mut self) -> io::Result<bool> {
        if !self.closed {
            let flushed = self.to.flush();
            self.check(flushed)?;
        }
        Ok(!self.closed)
    }

    /// Writes out what is buffered, and ends.
    pub(super) fn finish(mut self) -> io::Result<()> {
        let flushed = self.flush();
        // Dropping the buffer would try to write again what could not be written.
        drop(self.to.into_parts());
        flushed.map(drop)
    }

    fn check(&mut self, written: io::Result<()>) -> io::Result<()> {
        match written {
            Err(error) if error.kind() == ErrorKind::BrokenPipe => {
                self.closed = true;
                Ok(())
            }
            other => other.map_err(|error| {
                io::Error::new(error.kind(), format!("cannot write to standard output: {error}"))
            }),
        }
    }
}

/// Writes one line to standard output. A reader that has gone is not an error.
pub(super) fn print_line(line: &str) -> io::Result<()> {
    let mut out = Out::new();
    out.line(line)?;
    out.finish()
}

/// Writes one line to standard error. Errors are ignored, since there is nowhere to report them.
pub(super) fn eprint_line(line: &str) {
    drop(writeln!(io::stderr(), "{}", printable_lines(line)));
}

/// Returns `1 letter`, `1,234 letters`.
pub(super) fn letters(n: u64) -> String {
    counted(n, "letter", "letters")
}

/// Returns a line for each number that is not 0, with the word for one or for several.
pub(super) fn counts(indent: &str, counts: &[(u64, &str, &str)]) -> Vec<String> {
    let there = counts.iter().filter(|(n, ..)| *n > 0);
    there.map(|(n, one, several)| format!("{indent}{}", counted(*n, one, several))).collect()
}

/// Returns a number with the word for one or for several: `1 source`, `1,234 sources`.
pub(super) fn counted(n: u64, one: &str, several: &str) -> String {
    format!("{} {}", HumanCount(n), if n == 1 { one } else { several })
}

/// The place where a command reports what it did.
#[derive(Clone, Copy)]
pub(super) enum Report {
    /// Standard output.
    Output,
    /// Standard error, since letters are on standard output.
    Error,
}

impl Report {
    /// Returns the place beside letters that may be on standard output.
    pub(super) fn beside(letters_on_output: bool) -> Self {
        if letters_on_output { Self::Error } else { Self::Output }
    }

    /// Writes a line.
    pub(super) fn line(self, line: &str) -> io::Result<()> {
        match self {
            Self::Output => print_line(line),
            Self::Error => {
                eprint_line(line);
                Ok(())
            }
        }
    }

    /// Writes lines.
    pub(super) fn lines(self, lines: &[String]) -> io::Result<()> {
        lines.iter().try_for_each(|line| self.line(line))
    }
}
