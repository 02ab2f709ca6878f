//! `hookswitch tail`

use std::time::Duration;

use serde_json::Value;

use super::{
    connect::{block_on, connect},
    exit::{OK, Unreachable},
    output::{Out, eprint_line},
    table::{cut, width_of_output},
};
use crate::{
    config::Config,
    core::{json::Document, printable::printable},
    edge::amqp::consume::tail::Tail,
};

#[derive(clap::Args)]
pub(super) struct Args {
    /// Routing-key patterns: `call.#`, `call.answered.*`, `#.wavix-eu`, …
    #[arg(default_value = "#")]
    patterns: Vec<String>,
    /// Print one CloudEvent a line, as consumers receive it
    #[arg(long)]
    json: bool,
    /// Print whole lines, even where the terminal is narrower
    #[arg(long)]
    wide: bool,
    /// Exit after this many events
    #[arg(long, value_name = "N")]
    count: Option<u64>,
    /// Exit when no event arrives for this many seconds
    #[arg(long, value_name = "SECONDS")]
    idle: Option<u64>,
}

pub(super) fn run(args: &Args, config: &Config) -> anyhow::Result<u8> {
    block_on(async {
        let connection = connect(&config.amqp).await?;
        let mut tail = Tail::open(&connection, &args.patterns).await.map_err(|error| {
            anyhow::anyhow!("{error}; if an exchange is missing, run `hookswitch topology apply`")
        })?;
        eprint_line(&format!("following {}", args.patterns.join(" ")));
        let mut out = Out::new();
        let patience = args.idle.map_or(Duration::MAX, Duration::from_secs);
        let mut seen = 0;
        while args.count.is_none_or(|count| seen < count) {
            match tokio::time::timeout(patience, tail.next()).await {
                Err(_) => break,
                Ok(None) => return Err(Unreachable("lost the connection to the broker".to_owned()).into()),
                Ok(Some(event)) if args.json => out.line(&as_one_line(&event))?,
                Ok(Some(event)) => out.line(&cut(&line(&event), width_of_output(args.wide)))?,
            };
            if !out.flush()? {
                break;
            }
            seen += 1;
        }
        out.finish()?;
        Ok(OK)
    })
}

/// Returns an event's JSON in one line, without anything that commands a terminal. Another publisher's event
/// may be indented.
fn as_one_line(event: &[u8]) -> String {
    let compact = if event.contains(&b'\n') { Document::parse(event).ok() } else { None };
    let compact = compact.map(|document| document.readable());
    printable(&String::from_utf8_lossy(compact.as_deref().unwrap_or(event))).into_owned()
}

/// Returns an event in one line: time, type, source, subject, and the fields that distinguish it.
fn line(event: &[u8]) -> String {
    let readable = Document::parse(event).map(|document| document.readable());
    let Some(event) = readable.ok().and_then(|event| serde_json::from_slice::<Value>(&event).ok()) else {
        return "an event that is not JSON".to_owned();
    };
    let text = |path: &str| event.pointer(path).and_then(Value::as_str).unwrap_or_default();
    let time = text("/time").get(11..19).unwrap_or_default();
    let source = text("/source").rsplit('/').next().unwrap_or_default();
    let mut notes = Vec::new();
    for field in ["direction", "status", "end_reason", "kind", "name", "content", "summary", "error"] {
        if let Some(value) = event.pointer(&format!("/data/{field}")).and_then(Value::as_str) {
            notes.push(value.chars().take(40).collect::<String>());
        }
    }
    if let Some(seconds) = event.pointer("/data/duration_seconds").and_then(Value::as_f64) {
        notes.push(format!("{seconds} s"));
    }
    if let (from @ 1.., to) = (text("/data/from/raw").len(), text("/data/to/raw")) {
        notes.push(format!("{} -> {to}", &text("/data/from/raw")[..from]));
    }
    if let Some(lines) = event.pointer("/data/transcript").and_then(Value::as_array) {
        notes.push(format!("{} lines", lines.len()));
    }
    if event["test"] == true {
        notes.push("test".to_owned());
    }
    let (kind, subject, notes) = (text("/type"), text("/subject"), notes.join(", "));
    printable(&format!("{time}  {kind:<28} {source:<12} {subject:<44} {notes}")).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    const FORGED: &str = "\u{1b}]0;PWNED\u{7}\u{9b}2J\r\n23:59:59  call.ended forged\u{202e}";

    fn is_one_plain_line(shown: &str) -> bool {
        !shown.contains(|c: char| c.is_control() || c == '\u{202e}')
    }

    #[test]
    fn an_event_is_one_line_that_commands_no_terminal() {
        let event = serde_json::json!({
            "time": FORGED, "type": FORGED, "source": FORGED, "subject": FORGED,
            "data": { "content": FORGED, "from": { "raw": FORGED }, "to": { "raw": FORGED } },
        });
        for json in [event.to_string(), serde_json::to_string_pretty(&event).expect("JSON")] {
            assert!(is_one_plain_line(&line(json.as_bytes())));
            let shown = as_one_line(json.as_bytes());
            assert!(is_one_plain_line(&shown), "{shown}");
            assert_eq!(serde_json::from_str::<Value>(&shown).expect("JSON"), event);
        }
        assert!(is_one_plain_line(&as_one_line(FORGED.as_bytes())));
    }

    #[test]
    fn an_event_of_another_publisher_with_half_a_surrogate_pair_is_shown() {
        assert!(line(br#"{"type":"call.ended","data":{"content":"5 \ud83d"}}"#).contains("call.ended"));
    }
}
