//! The stream of events that a command reads.

use super::exit::Usage;
use crate::config::{Config, Kind, is_reserved};

/// Returns the name of the stream to read: the one that is named, or the only one that is configured. What is
/// known to be no stream of events is refused: its messages are for others.
pub(super) fn choose(named: Option<&str>, config: &Config) -> Result<String, Usage> {
    let of_kind = |kind| config.subscriptions.iter().filter(move |(_, queue)| queue.kind == kind);
    let streams: Vec<&str> = of_kind(Kind::Stream).map(|(name, _)| name.as_str()).collect();
    let candidates = if streams.is_empty() {
        "no subscription has kind = \"stream\"".to_owned()
    } else {
        format!("the configured streams are {}", streams.join(", "))
    };
    match (named, streams.as_slice()) {
        (Some(name), _) if is_reserved(name) || of_kind(Kind::Queue).any(|(queue, _)| queue == name) => {
            Err(Usage(format!(
                "`{name}` is no stream of events: reading it would hold up its messages; {candidates}"
            )))
        }
        (Some(name), _) => Ok(name.to_owned()),
        (None, [only]) => Ok((*only).to_owned()),
        (None, _) => Err(Usage(format!("--from needs --stream: {candidates}"))),
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeMap, path::Path};

    use super::*;

    fn chosen(named: Option<&str>, streams: &[&str]) -> Result<String, String> {
        let table = |name: &&str| {
            format!("[subscriptions.{name}]\npatterns = [\"#\"]\nkind = \"stream\"\nretention = \"7d\"\n")
        };
        let queue = "[subscriptions.calls]\npatterns = [\"call.#\"]\n";
        let text = format!("{queue}{}", streams.iter().map(table).collect::<String>());
        let config = Config::parse(&text, Path::new(""), &BTreeMap::new()).expect("a configuration");
        choose(named, &config).map_err(|error| error.to_string())
    }

    #[test]
    fn the_only_stream_is_read_and_no_queue() {
        let refused = |named, streams: &[&str]| chosen(named, streams).expect_err("no stream");
        assert_eq!(chosen(None, &["history"]).as_deref(), Ok("history"));
        assert_eq!(chosen(Some("elsewhere"), &["history"]).as_deref(), Ok("elsewhere"));
        assert_eq!(refused(None, &["a", "b"]), "--from needs --stream: the configured streams are a, b");
        assert!(refused(None, &[]).ends_with("no subscription has kind = \"stream\""));
        for name in ["calls", "events.unrouted", "raw.wavix.0", "dead.wavix", "hookswitch.dead-log"] {
            assert!(refused(Some(name), &["a"]).contains("is no stream of events"), "{name}");
        }
    }
}
