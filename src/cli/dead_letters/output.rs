//! Writing to a terminal or a pipe.

use std::io::{self, BufWriter, ErrorKind, Stdout, Write};

use indicatif::HumanCount;
use jiff::Timestamp;

use crate::core::{
    letters::Histogram,
    printable::{printable, printable_lines},
};

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
        if !self.closed {
            let written =
                self.to.write_all(printable_lines(line).as_bytes()).and_then(|()| self.to.write_all(b"\n"));
            self.check(written)?;
        }
        Ok(!self.closed)
    }

    /// Writes out what is buffered.
    pub(super) fn finish(mut self) -> io::Result<()> {
        if self.closed {
            // Dropping the buffer would try to write it again.
            drop(self.to.into_parts());
            return Ok(());
        }
        let flushed = self.to.flush();
        self.check(flushed)?;
        drop(self.to.into_parts());
        Ok(())
    }

    fn check(&mut self, written: io::Result<()>) -> io::Result<()> {
        match written {
            Err(error) if error.kind() == ErrorKind::BrokenPipe => {
                self.closed = true;
                Ok(())
            }
            other => other,
        }
    }
}

/// Writes one line to standard output. A reader that has gone is not an error.
pub(super) fn print_line(line: &str) -> io::Result<()> {
    let mut out = Out::new();
    out.line(line)?;
    out.finish()
}

/// Writes lines to standard output.
pub(super) fn print_lines(lines: &[String]) -> io::Result<()> {
    lines.iter().try_for_each(|line| print_line(line))
}

/// Writes one line to standard error. Errors are ignored, since there is nowhere to report them.
pub(super) fn eprint_line(line: &str) {
    drop(writeln!(io::stderr(), "{}", printable_lines(line)));
}

/// Returns `1 letter`, `1,234 letters`.
pub(super) fn letters(n: u64) -> String {
    format!("{} letter{}", HumanCount(n), if n == 1 { "" } else { "s" })
}

/// Returns a line for each number that is not 0.
pub(super) fn counts(indent: &str, counts: &[(u64, &str)]) -> Vec<String> {
    let there = counts.iter().filter(|(n, _)| *n > 0);
    there.map(|(n, what)| format!("{indent}{} {what}", HumanCount(*n))).collect()
}

/// Returns the time from `at` to `now` in the largest fitting unit: `59m`, `47h`.
pub(super) fn age(at: Timestamp, now: Timestamp) -> String {
    let seconds = now.duration_since(at).as_secs().max(0);
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3_600 => format!("{}m", seconds / 60),
        3_600..172_800 => format!("{}h", seconds / 3_600),
        _ => format!("{}d", seconds / 86_400),
    }
}

/// Returns a time in UTC, to the second.
pub(super) fn moment(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d %H:%M:%S").to_string()
}

/// Returns the bars of a histogram, one a line.
pub(super) fn bars(histogram: &Histogram) -> Vec<String> {
    const WIDTH: u64 = 40;
    let most = histogram.bars.iter().copied().max().unwrap_or_default().max(1);
    let mut lines = Vec::new();
    for (place, letters) in histogram.bars.iter().enumerate() {
        let minutes = i64::try_from(place).unwrap_or_default() * histogram.minutes;
        let at = histogram.from + jiff::SignedDuration::from_mins(minutes);
        // Rounded up, so that every number but 0 is visible.
        let width = (letters * WIDTH).div_ceil(most);
        let bar = "█".repeat(usize::try_from(width).unwrap_or_default());
        let shown = if *letters == 0 { String::new() } else { format!("{bar} {}", HumanCount(*letters)) };
        lines.push(format!("  {}  {shown}", at.strftime("%m-%d %H:%M")).trim_end().to_owned());
    }
    lines
}

/// Returns a table with aligned columns, the head first. Lines have no trailing spaces.
pub(super) fn table(head: &[&str], rows: &[Vec<String>]) -> Vec<String> {
    let rows: Vec<Vec<_>> = rows.iter().map(|row| row.iter().map(|cell| printable(cell)).collect()).collect();
    let mut widths: Vec<usize> = head.iter().map(|name| name.chars().count()).collect();
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let line = |cells: &mut dyn Iterator<Item = &str>| {
        let mut line = String::new();
        for (cell, width) in cells.zip(&widths) {
            line.push_str(cell);
            line.extend(std::iter::repeat_n(' ', width - cell.chars().count() + 2));
        }
        line.trim_end().to_owned()
    };
    let mut lines = vec![line(&mut head.iter().copied())];
    lines.extend(rows.iter().map(|row| line(&mut row.iter().map(|cell| &**cell))));
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_and_bars_are_readable() {
        let now: Timestamp = "2026-01-03T00:00:00Z".parse().unwrap();
        let ages =
            ["2026-01-02T23:59:58Z", "2026-01-02T23:00:01Z", "2026-01-01T01:00:00Z", "2025-12-31T23:00:00Z"];
        assert_eq!(ages.map(|at| age(at.parse().unwrap(), now)), ["2s", "59m", "47h", "2d"]);
        let histogram = Histogram { from: now, minutes: 5, bars: vec![80, 0, 1] };
        let lines = bars(&histogram);
        assert_eq!(lines[0], format!("  01-03 00:00  {} 80", "█".repeat(40)));
        assert_eq!(lines[1..], ["  01-03 00:05".to_owned(), "  01-03 00:10  █ 1".to_owned()]);
    }

    #[test]
    fn a_cell_cannot_forge_a_row() {
        let rows = [vec!["a\n1,000 letters\u{1b}[2J".to_owned(), "x".to_owned()]];
        assert_eq!(table(&["error", "b"], &rows)[1..], ["a\\n1,000 letters\\u001b[2J  x"]);
    }

    #[test]
    fn columns_are_aligned() {
        let rows = [vec!["long cell".to_owned(), "x".to_owned()], vec!["é".to_owned(), "y".to_owned()]];
        assert_eq!(table(&["a", "b"], &rows), ["a          b", "long cell  x", "é          y"]);
    }
}
