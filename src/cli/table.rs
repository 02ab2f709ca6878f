//! Tables that fit the terminal.

use std::io;

use console::{Term, measure_text_width, truncate_str};

use super::output::Out;
use crate::core::printable::printable;

/// The narrowest that a column of prose becomes.
const PROSE_MIN: usize = 12;

/// A column of a table.
#[derive(Clone, Copy)]
pub(super) struct Column {
    name: &'static str,
    /// Prose may be cut; ids, times and numbers may not, as long as the line can fit without.
    prose: bool,
}

/// Returns a column whose cells are kept whole.
pub(super) const fn whole(name: &'static str) -> Column {
    Column { name, prose: false }
}

/// Returns a column whose cells are cut where the table is too wide.
pub(super) const fn prose(name: &'static str) -> Column {
    Column { name, prose: true }
}

/// Returns the width that lines on standard output must keep to: that of the terminal, otherwise COLUMNS.
/// None with `wide`, and for a pipe or a file without COLUMNS.
pub(super) fn width_of_output(wide: bool) -> Option<usize> {
    if wide {
        return None;
    }
    let terminal = Term::stdout().size_checked().map(|(_, columns)| usize::from(columns));
    let columns = || std::env::var("COLUMNS").ok()?.parse().ok();
    terminal.or_else(columns).filter(|width| *width > 0)
}

/// Cuts a line to a width, ending in `…`.
pub(super) fn cut(line: &str, width: Option<usize>) -> String {
    width.map_or_else(|| line.to_owned(), |width| truncate_str(line, width, "…").trim_end().to_owned())
}

/// Writes a table that fits standard output; with `wide`, whole lines.
pub(super) fn write_table(
    out: &mut Out,
    columns: &[Column],
    rows: &[Vec<String>],
    wide: bool,
) -> io::Result<()> {
    table(columns, rows, width_of_output(wide)).iter().try_for_each(|line| out.line(line).map(drop))
}

/// Returns a table with aligned columns, the head first. Lines have no trailing spaces.
pub(super) fn table(columns: &[Column], rows: &[Vec<String>], width: Option<usize>) -> Vec<String> {
    let rows: Vec<Vec<_>> = rows.iter().map(|row| row.iter().map(|cell| printable(cell)).collect()).collect();
    let mut widths: Vec<usize> = columns.iter().map(|column| measure_text_width(column.name)).collect();
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(measure_text_width(cell));
        }
    }
    if let Some(width) = width {
        shrink(columns, &mut widths, width);
    }
    let line = |cells: &mut dyn Iterator<Item = &str>| {
        let mut line = String::new();
        for (cell, width) in cells.zip(&widths) {
            let cell = truncate_str(cell, *width, "…");
            line.push_str(&cell);
            line.extend(std::iter::repeat_n(' ', width.saturating_sub(measure_text_width(&cell)) + 2));
        }
        cut(line.trim_end(), width)
    };
    let mut lines = vec![line(&mut columns.iter().map(|column| column.name))];
    lines.extend(rows.iter().map(|row| line(&mut row.iter().map(|cell| &**cell))));
    lines
}

/// Makes the columns of prose narrower, the widest first, until the lines fit or all are narrow.
fn shrink(columns: &[Column], widths: &mut [usize], width: usize) {
    let total = |widths: &[usize]| widths.iter().sum::<usize>() + 2 * widths.len().saturating_sub(1);
    while total(widths) > width {
        let prose = columns.iter().zip(&mut *widths).filter(|(column, _)| column.prose);
        let widest = prose.map(|(_, width)| width).max().filter(|width| **width > PROSE_MIN);
        let Some(widest) = widest else { return };
        *widest -= 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned() {
        let rows = [vec!["long cell".to_owned(), "x".to_owned()], vec!["é".to_owned(), "y".to_owned()]];
        let lines = table(&[whole("a"), prose("b")], &rows, None);
        assert_eq!(lines, ["a          b", "long cell  x", "é          y"]);
    }

    #[test]
    fn a_cell_cannot_forge_a_row() {
        let rows = [vec!["a\n1,000 letters\u{1b}[2J".to_owned(), "x".to_owned()]];
        let lines = table(&[prose("error"), whole("b")], &rows, None);
        assert_eq!(lines[1..], ["a\\n1,000 letters\\u001b[2J  x"]);
    }

    #[test]
    fn prose_is_cut_first_and_no_line_is_wider_than_the_terminal() {
        let rows = [vec!["0123456789".to_owned(), "many words ".repeat(200), "others".to_owned()]];
        let columns = [whole("id"), prose("why"), prose("who")];
        let lines = table(&columns, &rows, Some(40));
        assert_eq!(lines[1], "0123456789  many words many wor…  others");
        let narrow = table(&columns, &rows, Some(20));
        assert!(narrow.iter().all(|line| measure_text_width(line) <= 20), "{narrow:?}");
        assert!(narrow[1].ends_with('…'), "{narrow:?}");
        assert!(table(&columns, &rows, None)[1].len() > 2_000);
    }
}
