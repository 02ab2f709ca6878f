//! The record of the queues that were ever declared in a broker, so that those that no configuration names
//! any more are not forgotten.

use std::{collections::BTreeMap, fmt, ops::Not};

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::{printable::printable, webhook::SourceName};

/// Time after which consumers take a replacement for one that was given up.
const REPLACING_MAX: SignedDuration = SignedDuration::from_hours(1);

/// A queue as it was declared.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeclaredQueue {
    /// The exchange and routing key of each binding.
    pub bindings: Vec<(String, String)>,
    /// What it held raw webhooks of, if it did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub raw: Option<RawQueueOf>,
    /// Whether it is a stream. Records of earlier versions do not say it.
    #[serde(default, skip_serializing_if = "Not::not")]
    pub stream: bool,
}

/// What a raw queue held webhooks of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RawQueueOf {
    /// The source.
    pub source: SourceName,
    /// The name of its provider; a later version may not know it.
    pub provider: String,
    /// The number of the shard.
    pub shard: u8,
}

/// A source on whose webhooks no worker works, since an operator has paused it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Pause {
    /// Since when.
    pub since: Timestamp,
    /// The operator.
    pub by: String,
    /// Why, in the operator's words.
    pub note: Option<String>,
}

impl fmt::Display for Pause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let since = self.since.strftime("%Y-%m-%d %H:%M:%S UTC");
        write!(f, "paused since {since} by {}", printable(&self.by))?;
        self.note.as_ref().map_or(Ok(()), |note| write!(f, ": {}", printable(note)))
    }
}

/// The end of a pause.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Resumption {
    /// When it ended.
    pub at: Timestamp,
    /// The operator.
    pub by: String,
    /// Why, in the operator's words.
    pub note: Option<String>,
}

/// All paused sources.
pub type Pauses = BTreeMap<SourceName, Pause>;

/// One change of the topology, or of how workers use it. Records are only ever added, and kept for good.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "record", rename_all = "snake_case")]
pub enum TopologyRecord {
    /// A configuration was applied.
    Applied {
        /// The time.
        at: Timestamp,
        /// All queues that the configuration needs.
        queues: BTreeMap<String, DeclaredQueue>,
    },
    /// Queues were deleted.
    Pruned {
        /// The time.
        at: Timestamp,
        /// Their names.
        queues: Vec<String>,
    },
    /// A queue is being replaced: its consumers let go of it.
    Replacing {
        /// The time.
        at: Timestamp,
        /// Its name.
        queue: String,
    },
    /// A replacement has ended.
    Replaced {
        /// The time.
        at: Timestamp,
        /// The queue's name.
        queue: String,
        /// Whether it is a stream from now on.
        #[serde(default, skip_serializing_if = "Not::not")]
        stream: bool,
    },
    /// Workers let go of a source's raw queues.
    Paused {
        /// The time.
        at: Timestamp,
        /// The source.
        source: SourceName,
        /// The operator.
        by: String,
        /// Why, in the operator's words.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        note: Option<String>,
    },
    /// Workers take from a source's raw queues again.
    Resumed {
        /// The time.
        at: Timestamp,
        /// The source.
        source: SourceName,
        /// The operator.
        by: String,
        /// Why, in the operator's words. Records of earlier versions do not say it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        note: Option<String>,
    },
}

impl TopologyRecord {
    /// Returns the time at which it was written.
    fn at(&self) -> Timestamp {
        match self {
            Self::Applied { at, .. }
            | Self::Pruned { at, .. }
            | Self::Replacing { at, .. }
            | Self::Replaced { at, .. }
            | Self::Paused { at, .. }
            | Self::Resumed { at, .. } => *at,
        }
    }
}

/// What the records come to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Declared {
    /// The time of the first record; none if there is none.
    pub since: Option<Timestamp>,
    /// The queues of the configuration that was applied last.
    pub current: BTreeMap<String, DeclaredQueue>,
    /// The queues of earlier ones that it does not need and that were not pruned.
    pub left_over: BTreeMap<String, DeclaredQueue>,
    /// The queues that are being replaced, and since when. If that was killed, some of their messages are in
    /// another queue.
    pub replacing: BTreeMap<String, Timestamp>,
    /// The sources that are paused.
    pub paused: Pauses,
    /// The end of each source's last pause that has ended.
    pub resumed: BTreeMap<SourceName, Resumption>,
}

impl Declared {
    /// Adds the next record.
    pub fn add(&mut self, record: TopologyRecord) {
        self.since.get_or_insert_with(|| record.at());
        match record {
            TopologyRecord::Applied { queues, .. } => {
                self.left_over.append(&mut self.current);
                self.left_over.retain(|name, _| !queues.contains_key(name));
                self.current = queues;
            }
            TopologyRecord::Pruned { queues, .. } => {
                self.left_over.retain(|name, _| !queues.contains(name));
            }
            TopologyRecord::Replacing { at, queue } => {
                self.replacing.insert(queue, at);
            }
            TopologyRecord::Replaced { queue, stream, .. } => {
                self.replacing.remove(&queue);
                if let Some(declared) = self.current.get_mut(&queue) {
                    declared.stream = stream;
                }
            }
            TopologyRecord::Paused { at, source, by, note } => {
                self.paused.entry(source).or_insert(Pause { since: at, by, note });
            }
            TopologyRecord::Resumed { at, source, by, note } => {
                self.paused.remove(&source);
                self.resumed.insert(source, Resumption { at, by, note });
            }
        }
    }

    /// Returns whether consumers of `queue` must let go of it.
    pub fn is_replaced_at(&self, queue: &str, now: Timestamp) -> bool {
        self.replacing.get(queue).is_some_and(|began| now.duration_since(*began) < REPLACING_MAX)
    }

    /// Returns the raw queues of a source that were ever declared and not pruned since, each with its name.
    pub fn raw_queues(&self, source: &SourceName) -> impl Iterator<Item = (&str, &RawQueueOf)> {
        let all = self.current.iter().chain(&self.left_over);
        all.filter_map(move |(name, queue)| {
            let raw = queue.raw.as_ref().filter(|raw| raw.source == *source)?;
            Some((name.as_str(), raw))
        })
    }

    /// Returns whether `queue` is a stream; none if it was never declared.
    pub fn is_stream(&self, queue: &str) -> Option<bool> {
        self.current.get(queue).or_else(|| self.left_over.get(queue)).map(|queue| queue.stream)
    }

    /// Returns the bindings that `queue` was given; none if it was never declared, or deleted since.
    pub fn bindings(&self, queue: &str) -> Option<&Vec<(String, String)>> {
        self.current.get(queue).or_else(|| self.left_over.get(queue)).map(|queue| &queue.bindings)
    }

    /// Returns the bindings that `queue` was given and does not need any more.
    pub fn outdated<'a>(
        &'a self,
        queue: &str,
        needed: &'a [(String, String)],
    ) -> impl Iterator<Item = &'a (String, String)> + use<'a> {
        let before = self.bindings(queue).map(Vec::as_slice).unwrap_or_default();
        before.iter().filter(|binding| !needed.contains(binding))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn applied(names: &[&str]) -> TopologyRecord {
        let queue = |name: &&str| {
            let bindings = vec![("x".to_owned(), (*name).to_owned())];
            ((*name).to_owned(), DeclaredQueue { bindings, ..DeclaredQueue::default() })
        };
        TopologyRecord::Applied { at: Timestamp::UNIX_EPOCH, queues: names.iter().map(queue).collect() }
    }

    #[test]
    fn a_queue_is_left_over_from_its_removal_until_it_is_pruned_or_needed_again() {
        let mut declared = Declared::default();
        let left = |declared: &Declared| declared.left_over.keys().cloned().collect::<Vec<_>>();
        declared.add(applied(&["a", "b", "c"]));
        assert!(left(&declared).is_empty());
        declared.add(applied(&["a"]));
        assert_eq!(left(&declared), ["b", "c"]);
        declared.add(applied(&["a", "d"]));
        assert_eq!(left(&declared), ["b", "c"]);
        declared.add(TopologyRecord::Pruned { at: Timestamp::UNIX_EPOCH, queues: vec!["b".to_owned()] });
        assert_eq!(left(&declared), ["c"]);
        declared.add(applied(&["c"]));
        assert_eq!(left(&declared), ["a", "d"]);
        assert_eq!(declared.current.keys().collect::<Vec<_>>(), ["c"]);
    }

    #[test]
    fn bindings_that_are_needed_no_more_are_outdated() {
        let mut declared = Declared::default();
        declared.add(applied(&["a"]));
        let old = ("x".to_owned(), "a".to_owned());
        assert_eq!(declared.outdated("a", &[("x".to_owned(), "b".to_owned())]).collect::<Vec<_>>(), [&old]);
        assert_eq!(declared.outdated("a", std::slice::from_ref(&old)).count(), 0);
        assert_eq!(declared.outdated("new", &[]).count(), 0);
    }

    #[test]
    fn a_queue_is_let_go_of_until_it_is_replaced_or_the_replacement_was_given_up() {
        let mut declared = Declared::default();
        let (began, queue) = (Timestamp::UNIX_EPOCH, "raw.x".to_owned());
        let after = |hours| began + SignedDuration::from_hours(hours);
        declared.add(TopologyRecord::Replacing { at: began, queue: queue.clone() });
        assert!(declared.is_replaced_at("raw.x", began) && !declared.is_replaced_at("raw.y", began));
        assert!(!declared.is_replaced_at("raw.x", after(1)));
        declared.add(TopologyRecord::Replaced { at: began, queue, stream: false });
        assert!(!declared.is_replaced_at("raw.x", began));
    }

    #[test]
    fn a_queue_that_was_replaced_by_a_stream_is_one() {
        let mut declared = Declared::default();
        declared.add(applied(&["a"]));
        assert_eq!((declared.is_stream("a"), declared.is_stream("b")), (Some(false), None));
        let (at, queue) = (Timestamp::UNIX_EPOCH, "a".to_owned());
        declared.add(TopologyRecord::Replaced { at, queue, stream: true });
        assert_eq!(declared.is_stream("a"), Some(true));
        declared.add(applied(&["c"]));
        assert_eq!(declared.is_stream("a"), Some(true));
    }

    #[test]
    fn a_source_is_paused_since_the_first_pause_until_it_is_resumed() {
        let source: SourceName = "varda-eu".parse().expect("a name");
        let pause = |second, by: &str| {
            let at = Timestamp::from_second(second).expect("a time");
            TopologyRecord::Paused { at, source: source.clone(), by: by.to_owned(), note: None }
        };
        let mut declared = Declared::default();
        declared.add(pause(1, "ann"));
        declared.add(pause(2, "bob"));
        let since = |declared: &Declared| declared.paused.get(&source).map(|pause| pause.since.as_second());
        assert_eq!(since(&declared), Some(1));
        let (at, by, note) = (Timestamp::UNIX_EPOCH, "bob".to_owned(), Some("mended".to_owned()));
        declared.add(TopologyRecord::Resumed {
            at,
            source: source.clone(),
            by: by.clone(),
            note: note.clone(),
        });
        assert_eq!(since(&declared), None);
        assert_eq!(declared.resumed[&source], Resumption { at, by, note });
        declared.add(pause(3, "bob"));
        assert_eq!(since(&declared), Some(3));
        declared.add(applied(&["a"]));
        assert_eq!(since(&declared), Some(3), "it outlives a new configuration");
    }

    #[test]
    fn a_pause_is_said_to_the_second_and_on_one_line() {
        let pause = |note: Option<&str>| Pause {
            since: "2026-11-29T08:23:06.613689786Z".parse().expect("a time"),
            by: "ann".to_owned(),
            note: note.map(str::to_owned),
        };
        assert_eq!(pause(None).to_string(), "paused since 2026-11-29 08:23:06 UTC by ann");
        assert_eq!(
            pause(Some("wrong\ntotals")).to_string(),
            r"paused since 2026-11-29 08:23:06 UTC by ann: wrong\ntotals"
        );
    }

    #[test]
    fn a_resumption_of_an_earlier_version_has_no_note() {
        let text = r#"{"record":"resumed","at":"1970-01-01T00:00:00Z","source":"varda-eu","by":"ann"}"#;
        let record: TopologyRecord = serde_json::from_str(text).expect("it reads");
        assert_eq!(serde_json::to_string(&record).expect("it serializes"), text);
    }

    #[test]
    fn a_record_reads_as_it_was_written() {
        let raw = RawQueueOf {
            source: "wavix-eu".parse().expect("a name"),
            provider: "wavix".to_owned(),
            shard: 2,
        };
        let queue = DeclaredQueue { raw: Some(raw), ..DeclaredQueue::default() };
        let queues = BTreeMap::from([("raw.wavix-eu.2".to_owned(), queue)]);
        let record = TopologyRecord::Applied { at: Timestamp::UNIX_EPOCH, queues };
        let text = serde_json::to_string(&record).expect("it serializes");
        assert!(text.starts_with(r#"{"record":"applied","at":"1970-01-01T00:00:00Z","#), "{text}");
        assert_eq!(serde_json::from_str::<TopologyRecord>(&text).expect("it reads"), record);
    }
}
