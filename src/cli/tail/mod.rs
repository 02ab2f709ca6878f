//! `hookswitch tail`

mod filter;
mod row;

use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;

use self::{
    filter::{Filter, FilterArgs},
    row::Rows,
};
use super::{
    connect::block_on,
    dead_letters::{session::Session, who::Who},
    exit::{INTERRUPTED, OK, Unreachable, Usage},
    moment,
    output::{Out, eprint_line},
    signals::{Hangup, stop_on_signals},
    stream,
};
use crate::{
    config::Config,
    core::{json::Document, letters::JobKind, printable::printable, redact},
    edge::amqp::{self, consume::tail::Tail},
};

const EXAMPLES: &str = "Examples:
  hookswitch tail 'call.#'                               calls as they happen
  hookswitch tail --type call.ended --where direction=inbound
  hookswitch tail --source wavix-eu --where end_reason!=completed --no-test
  hookswitch tail --where late=true                      what came after a later event of its call
  hookswitch tail --from 2h                              the last two hours, then what comes
  hookswitch tail --json --count 10 --reveal --note 'ticket 7' > events.ndjson

Personal data is masked, in --json too: what is shown is a closed list of typed fields (types, ids, times, \
lengths, words of closed lists); anything else, all of `unmapped` included, is replaced by its type and \
length. --reveal shows everything and is recorded like a job on dead letters (`dead-letters jobs`). --where \
compares the real values.

Rows come in the order of publishing; their time is the provider's.

Exit codes:
  0   ended by --count, --idle, Ctrl-C, or a reader that stopped early
  1   the broker refused (no such exchange or stream, no permission), or the output could not be written
  64  the command line or the configuration is wrong
  69  the broker is unreachable, or the connection was lost
  130 a second Ctrl-C before the end was recorded";

/// Follow the normalized events without consuming them from any queue
///
/// Events are shown as workers publish them, a row each, in columns that fit the terminal and in colour
/// (unless NO_COLOR is set). With --from, past events come first, from a stream.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// Routing-key patterns: `call.#`, `call.answered.*`, `#.wavix-eu`, …
    #[arg(default_value = "#")]
    patterns: Vec<String>,
    #[arg(
        long,
        value_name = "WHEN",
        value_parser = moment::argument,
        help = format!(
            "Begin with the events that a stream has kept since then, or a little before: {}",
            moment::FORMS
        )
    )]
    from: Option<Timestamp>,
    /// The stream for --from: the name of a subscription's queue that is a stream [default: the only
    /// subscription with kind = "stream"]
    #[arg(long, value_name = "QUEUE", requires = "from")]
    stream: Option<String>,
    /// Show personal data, which is recorded; needs --note
    #[arg(long)]
    reveal: bool,
    /// Print one CloudEvent a line
    #[arg(long)]
    json: bool,
    /// Print whole lines, even where the terminal is narrower
    #[arg(long)]
    wide: bool,
    /// Exit after showing this many events
    #[arg(long, value_name = "N")]
    count: Option<u64>,
    /// Exit when no event arrives for this many seconds
    #[arg(long, value_name = "SECONDS")]
    idle: Option<u64>,
    #[command(flatten)]
    who: Who,
    // The last: the heading of its options is that of all options after them.
    #[command(flatten)]
    filter: FilterArgs,
}

pub(super) fn run(args: &Args, config: &Config) -> anyhow::Result<u8> {
    block_on(follow(args, config))
}

async fn follow(args: &Args, config: &Config) -> anyhow::Result<u8> {
    let filter = args.filter.filter(config)?;
    let past = args.past(config)?;
    let selection = args.selection(past.as_ref());
    let request = |args: &Args| args.who.request_with_note(JobKind::Reveal, selection.clone(), None);
    let request = if args.reveal { Some(request(args)?) } else { None };
    let session = Session::open(config).await?;
    let mut tail = open(args, past.as_ref(), &session).await?;
    let publisher = if args.reveal { Some(session.publisher().await?) } else { None };
    let dead_letters = session.dead_letters();
    let reveal = match (&publisher, &request) {
        (Some(publisher), Some(request)) => Some(dead_letters.reveal(publisher, request).await?),
        _ => None,
    };
    let masked = if args.reveal { "" } else { "; personal data is masked: --reveal --note \"…\" shows it" };
    eprint_line(&format!("following {selection}{masked}"));
    let mut shown = 0;
    let stream = past.as_ref().map_or("", |past| &past.stream);
    let ended = show(args, (&mut tail, stream, &filter), Rows::new(config, args.wide), &mut shown).await;
    if let Some(reveal) = reveal {
        reveal.end(shown).await?;
    }
    ended.map(|()| OK)
}

/// The past events with which a tail begins.
struct Past {
    from: Timestamp,
    stream: String,
}

impl Args {
    /// Returns the past events with which to begin.
    fn past(&self, config: &Config) -> Result<Option<Past>, Usage> {
        let Some(from) = self.from else { return Ok(None) };
        if from > Timestamp::now() {
            return Err(Usage("--from is in the future".to_owned()));
        }
        Ok(Some(Past { from, stream: stream::choose(self.stream.as_deref(), config)? }))
    }

    /// Returns the selected events in words.
    fn selection(&self, past: Option<&Past>) -> String {
        let patterns = self.patterns.join(" ");
        let filter = self.filter.to_string();
        let from =
            past.map(|Past { from, stream }| format!(" of {stream} since {} UTC", moment::moment(*from)));
        let from = from.unwrap_or_default();
        format!("events {patterns}{filter}{from}")
    }
}

async fn open(args: &Args, past: Option<&Past>, session: &Session<'_>) -> anyhow::Result<Tail> {
    let connection = session.connection();
    let Some(Past { from, stream }) = past else {
        return Tail::open(connection, &args.patterns).await.map_err(|error| {
            anyhow::anyhow!("{error}; if an exchange is missing, run `hookswitch topology apply`")
        });
    };
    Tail::open_stream(connection, stream, *from, &args.patterns)
        .await
        .map_err(|error| not_read(stream, error))
}

/// Returns the error of a stream that cannot be read.
fn not_read(stream: &str, error: amqp::Error) -> anyhow::Error {
    match error {
        amqp::Error::Lost(_) => Unreachable(format!("lost the connection to the broker: {error}")).into(),
        amqp::Error::Refused(_) => {
            anyhow::anyhow!("{error}; --stream needs the name of a queue that is a stream, not `{stream}`")
        }
        error @ (amqp::Error::Missing(_)
        | amqp::Error::Denied(_)
        | amqp::Error::Locked(_)
        | amqp::Error::Leaderless(_)
        | amqp::Error::Replaced(_)) => anyhow::anyhow!("stream `{stream}` cannot be read: {error}"),
    }
}

/// Shows events until the end that `args` set, a signal, or a reader that has gone.
async fn show(
    args: &Args,
    (tail, stream, filter): (&mut Tail, &str, &Filter),
    mut rows: Rows,
    shown: &mut u64,
) -> anyhow::Result<()> {
    let stop = stop_on_signals(Hangup::IsStop, || (), || INTERRUPTED)?;
    let patience = args.idle.map_or(Duration::MAX, Duration::from_secs);
    let mut out = Out::new();
    while args.count.is_none_or(|count| *shown < count) {
        let next = tokio::select! {
            next = tokio::time::timeout(patience, tail.next()) => next,
            () = stop.cancelled() => break,
        };
        let Ok(next) = next else { break };
        let event = next.map_err(|error| not_read(stream, error))?;
        let event = event.ok_or_else(|| Unreachable("lost the connection to the broker".to_owned()))?;
        if !filter.matches_all() && !parse(&event).is_some_and(|event| filter.matches(&event)) {
            continue;
        }
        let line = if args.reveal { as_one_line(&event) } else { redact::event_in_one_line(&event) };
        let line = printable(&line);
        if args.json {
            out.line(&line)?;
        } else {
            for row in rows.of(parse(line.as_bytes()).as_ref(), args.reveal) {
                // Its cells are printable; the colours around them are not.
                out.bytes(row.as_bytes())?;
                out.bytes(b"\n")?;
            }
        }
        if !out.flush()? {
            break;
        }
        *shown += 1;
    }
    out.finish()?;
    Ok(())
}

/// Parses an event; none if it is not JSON.
fn parse(event: &[u8]) -> Option<Value> {
    let readable = Document::parse(event).ok()?.readable();
    serde_json::from_slice(&readable).ok()
}

/// Returns an event's JSON in one line. Another publisher's event may be indented.
fn as_one_line(event: &[u8]) -> String {
    let compact = if event.contains(&b'\n') { Document::parse(event).ok() } else { None };
    let compact = compact.map(|document| document.readable());
    String::from_utf8_lossy(compact.as_deref().unwrap_or(event)).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    const FORGED: &str = "\u{1b}]0;PWNED\u{7}\u{9b}2J\r\n23:59:59  call.ended forged\u{202e}";

    fn is_one_plain_line(shown: &str) -> bool {
        !shown.contains(|c: char| c.is_control() || c == '\u{202e}')
    }

    fn rows(event: &[u8], reveal: bool) -> Vec<String> {
        let line = if reveal { as_one_line(event) } else { redact::event_in_one_line(event) };
        Rows::plain(None).of(parse(printable(&line).as_bytes()).as_ref(), reveal)
    }

    #[test]
    fn an_event_is_one_line_that_commands_no_terminal() {
        let event = serde_json::json!({
            "time": FORGED, "type": FORGED, "source": FORGED, "subject": FORGED,
            "data": { "content": FORGED, "from": { "raw": FORGED }, "to": { "raw": FORGED } },
        });
        for json in [event.to_string(), serde_json::to_string_pretty(&event).expect("JSON")] {
            for reveal in [false, true] {
                let rows = rows(json.as_bytes(), reveal);
                assert!(rows.len() == 2 && rows.iter().all(|row| is_one_plain_line(row)), "{rows:?}");
                assert_eq!(rows[1].contains("PWNED"), reveal, "{rows:?}");
            }
            let shown = printable(&as_one_line(json.as_bytes())).into_owned();
            assert!(is_one_plain_line(&shown), "{shown}");
            assert_eq!(serde_json::from_str::<Value>(&shown).expect("JSON"), event);
        }
        assert!(is_one_plain_line(&printable(&as_one_line(FORGED.as_bytes()))));
    }

    #[test]
    fn an_event_of_another_publisher_with_half_a_surrogate_pair_is_shown() {
        let rows = rows(br#"{"type":"call.ended","data":{"content":"5 \ud83d"}}"#, true);
        assert!(rows[1].contains("call.ended"), "{rows:?}");
        assert!(self::rows(b"Ada", false)[1].contains("not JSON"));
    }
}
