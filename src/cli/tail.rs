//! `hookswitch tail`

use std::time::Duration;

use serde_json::Value;

use super::{
    connect::{block_on, connect},
    exit::{OK, Unreachable},
    output::{Out, eprint_line},
    table::{cut, width_of_output},
};
use crate::{config::Config, edge::amqp::consume::tail::Tail};

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
                Ok(Some(event)) if args.json => out.line(&String::from_utf8_lossy(&event))?,
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

/// Returns an event in one line: time, type, source, subject, and the fields that distinguish it.
fn line(event: &[u8]) -> String {
    let Ok(event) = serde_json::from_slice::<Value>(event) else {
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
    format!("{time}  {:<28} {source:<12} {:<44} {}", text("/type"), text("/subject"), notes.join(", "))
}
