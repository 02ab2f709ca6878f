//! An event as a row for people.

use console::{Style, measure_text_width, truncate_str};
use serde_json::Value;

use crate::{
    cli::{output::counted, table::width_of_output},
    config::Config,
    core::{events::cloudevent, printable::printable},
};

/// The widths at which the columns of types and subjects begin. They grow with what comes.
const TYPE_MIN: usize = 14;
const SUBJECT_MIN: usize = 12;

/// The greatest width of the column of types: more than the longest type.
const TYPE_MAX: usize = 32;

/// The greatest width of the column of subjects: that of a call whose id is a UUID.
const SUBJECT_MAX: usize = 41;

/// The greatest width of the column of sources.
const SOURCE_MAX: usize = 20;

/// The width of a terminal from which times have their year.
const WITH_YEAR: usize = 110;

/// The width that is kept for the notes, if the terminal has it.
const NOTES_MIN: usize = 24;

/// Most characters of a text among the notes.
const WORD_MAX: usize = 40;

/// The beginning of what stands in place of masked data.
const MASK: char = '‹';

/// The rows of a tail, with columns that fit the terminal.
pub(super) struct Rows {
    width: Option<usize>,
    colour: bool,
    has_head: bool,
    kind: usize,
    source: usize,
    subject: usize,
}

impl Rows {
    /// Returns rows for standard output. Colours are for a terminal, unless NO_COLOR is set.
    pub(super) fn new(config: &Config, wide: bool) -> Self {
        let sources = config.sources.keys().map(|source| source.as_str().len()).max().unwrap_or(0);
        let source = sources.clamp("source".len(), SOURCE_MAX);
        Self { source, colour: console::colors_enabled(), ..Self::plain(width_of_output(wide)) }
    }

    /// Returns rows without colours.
    pub(super) fn plain(width: Option<usize>) -> Self {
        let (kind, source, subject) = (TYPE_MIN, "source".len(), SUBJECT_MIN);
        Self { width, colour: false, has_head: false, kind, source, subject }
    }

    /// Returns the row of an event, after the head if it is the first. The event is none if it is not JSON.
    pub(super) fn of(&mut self, event: Option<&Value>, reveal: bool) -> Vec<String> {
        let row = match event.filter(|event| event.is_object()) {
            Some(event) => self.of_event(event, reveal),
            None => "an event that is not JSON".to_owned(),
        };
        if std::mem::replace(&mut self.has_head, true) {
            return vec![row];
        }
        let head = ["time (UTC)", "type", "source", "subject", "notes"].map(str::to_owned);
        vec![self.row(&head, &Style::new(), &Style::new()), row]
    }

    fn of_event(&mut self, event: &Value, reveal: bool) -> String {
        let text = |name: &str| shown(&event[name], reveal).unwrap_or_default();
        let source = cloudevent::source_name(text("source")).to_owned();
        let (time, kind) = (self.time(text("time")), text("type").to_owned());
        let cells = [time, kind, source, text("subject").to_owned(), notes(event, reveal).join(", ")];
        let (of_kind, of_notes) = styles(event);
        self.row(&cells, &of_kind, &of_notes)
    }

    /// Returns the time as other tables print it; without the year in a narrow terminal.
    fn time(&self, time: &str) -> String {
        let seconds = time.get(..19).unwrap_or(time).replacen('T', " ", 1);
        if self.has_year() { seconds } else { seconds.get(5..).unwrap_or(&seconds).to_owned() }
    }

    fn has_year(&self) -> bool {
        self.width.is_none_or(|width| width >= WITH_YEAR)
    }

    /// Returns the cells in one line: styled, padded, and cut where they do not fit.
    fn row(&mut self, cells: &[String; 5], of_kind: &Style, of_notes: &Style) -> String {
        let (dim, plain) = (Style::new().dim(), Style::new());
        let styles = [&dim, of_kind, &plain, &plain];
        let widths = self.widths(cells);
        let mut line = String::new();
        let mut room = self.width.unwrap_or(usize::MAX);
        for ((cell, width), style) in cells.iter().zip(widths).zip(styles) {
            let cell = fit(cell, width.min(room));
            let pad = (width + 2).min(room).saturating_sub(measure_text_width(&cell));
            line.push_str(&self.styled(&cell, style));
            line.extend(std::iter::repeat_n(' ', pad));
            room = room.saturating_sub(width + 2);
        }
        line.push_str(&self.styled(&fit(&cells[4], room), of_notes));
        line.trim_end().to_owned()
    }

    /// Returns the widths of all columns but the last, which takes what is left.
    fn widths(&mut self, [_, kind, source, subject, _]: &[String; 5]) -> [usize; 4] {
        let time = if self.has_year() { "2026-01-02 03:04:05".len() } else { "01-02 03:04:05".len() };
        self.kind = self.kind.max(measure_text_width(kind)).min(TYPE_MAX);
        self.source = self.source.max(measure_text_width(source)).min(SOURCE_MAX);
        self.subject = self.subject.max(measure_text_width(subject)).min(SUBJECT_MAX);
        let taken = time + self.kind + self.source + NOTES_MIN + 4 * 2;
        let left = self.width.map_or(usize::MAX, |width| width.saturating_sub(taken).max(SUBJECT_MIN));
        [time, self.kind, self.source, self.subject.min(left)]
    }

    fn styled(&self, text: &str, style: &Style) -> String {
        if !self.colour || text.is_empty() {
            return text.to_owned();
        }
        style.clone().force_styling(true).apply_to(text).to_string()
    }
}

/// Returns a cell that commands no terminal, cut to a width.
fn fit(cell: &str, width: usize) -> String {
    let cell = printable(cell);
    if width == 0 { String::new() } else { truncate_str(&cell, width, "…").into_owned() }
}

/// Returns the styles of an event's type and notes: failures and tests stand out.
fn styles(event: &Value) -> (Style, Style) {
    let kind = event["type"].as_str().unwrap_or_default();
    let has_failed =
        kind.ends_with(".error") || kind.ends_with(".failed") || event["data"]["end_reason"] == "failed";
    let of_kind = if has_failed { Style::new().red() } else { Style::new().cyan() };
    let of_notes = if event["test"] == true { Style::new().yellow() } else { Style::new() };
    (of_kind, of_notes)
}

/// Returns a text unless it is masked.
fn shown(value: &Value, reveal: bool) -> Option<&str> {
    value.as_str().filter(|text| reveal || !text.starts_with(MASK))
}

/// Returns what tells the event from others of its type, in words.
fn notes(event: &Value, reveal: bool) -> Vec<String> {
    let data = &event["data"];
    let kind = event["type"].as_str().unwrap_or_default();
    let mut notes = Vec::new();
    for name in
        ["direction", "status", "end_reason", "kind", "channel", "name", "content", "summary", "error"]
    {
        let as_sent = &data[format!("{name}_raw")];
        let word = shown(&data[name], reveal).or_else(|| shown(as_sent, reveal));
        // The last word of `call.ended` says its status.
        let word = word.filter(|word| name != "status" || !kind.ends_with(word));
        notes.extend(word.map(|word| word.chars().take(WORD_MAX).collect()));
    }
    for (name, what) in [("duration_seconds", "s"), ("talk_seconds", "s talk"), ("transcript_seconds", "s")] {
        notes.extend(data[name].as_f64().map(|seconds| format!("{seconds} {what}")));
    }
    let party = |name: &str| {
        let party = &data[name];
        ["e164", "raw", "name"].iter().find_map(|field| shown(&party[field], reveal)).map(str::to_owned)
    };
    if let (Some(from), Some(to)) = (party("from"), party("to")) {
        notes.push(format!("{from} -> {to}"));
    }
    for (name, one, several) in [
        ("transcript", "line", "lines"),
        ("participants", "participant", "participants"),
        ("recordings", "recording", "recordings"),
    ] {
        let items = data[name].as_array().map_or(0, Vec::len) as u64;
        notes.extend((items > 0).then(|| counted(items, one, several)));
    }
    for (flag, word) in [(&data["snapshot"], "snapshot"), (&event["late"], "late"), (&event["test"], "test")]
    {
        notes.extend((flag == true).then(|| word.to_owned()));
    }
    notes
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn event() -> Value {
        json!({
            "time": "2026-01-02T03:04:05.678Z", "type": "call.ended", "source": "/hookswitch/wavix/wavix-eu",
            "subject": "call/5dccb6b0-77f1-4ff1-bc5f-b8c95b6d1c4f", "late": true, "test": true,
            "data": {
                "direction": "inbound", "status": "ended", "end_reason_raw": "hangup",
                "from": { "raw": "‹text, 12 characters›", "name": "‹text, 3 characters›" },
                "to": { "raw": "+18005551234", "e164": "+18005551234" },
                "duration_seconds": 420.0, "talk_seconds": 380.5, "participants": [{}, {}],
            },
        })
    }

    #[test]
    fn a_row_has_date_and_zone_and_says_what_distinguishes_the_event() {
        let rows = Rows::plain(None).of(Some(&event()), false);
        assert_eq!(
            rows,
            [
                format!("time (UTC)           type            source    subject{:36}notes", ""),
                format!(
                    "2026-01-02 03:04:05  call.ended      wavix-eu  {}  {}",
                    "call/5dccb6b0-77f1-4ff1-bc5f-b8c95b6d1c4f",
                    "inbound, hangup, 420 s, 380.5 s talk, 2 participants, late, test"
                ),
            ]
        );
    }

    #[test]
    fn no_row_is_wider_than_the_terminal_and_a_narrow_one_leaves_out_the_year() {
        for width in [1, 10, 20, 40, 60, 80, 100, 109, 110, 200] {
            let mut rows = Rows::plain(Some(width));
            let shown = [rows.of(Some(&event()), false), rows.of(Some(&event()), false)].concat();
            assert!(shown.iter().all(|row| measure_text_width(row) <= width), "{width}: {shown:?}");
        }
        let rows = Rows::plain(Some(80)).of(Some(&event()), false);
        assert!(rows[1].starts_with("01-02 03:04:05  call.ended") && rows[1].contains("inbound"), "{rows:?}");
    }

    #[test]
    fn colours_change_nothing_but_the_colours() {
        let mut plain = Rows::plain(Some(90));
        let mut coloured = Rows { colour: true, ..Rows::plain(Some(90)) };
        for _ in 0..2 {
            let (plain, coloured) = (plain.of(Some(&event()), true), coloured.of(Some(&event()), true));
            let last = coloured.last().expect("a row");
            assert!(
                last.contains("\u{1b}[33m") && last.contains("\u{1b}[36mcall.ended\u{1b}[0m"),
                "{last:?}"
            );
            let mut stripped = last.clone();
            for code in ["\u{1b}[0m", "\u{1b}[2m", "\u{1b}[33m", "\u{1b}[36m"] {
                stripped = stripped.replace(code, "");
            }
            assert_eq!(Some(&stripped), plain.last());
        }
    }
}
