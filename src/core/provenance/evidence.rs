//! What the trials say of each field.

use std::collections::{HashMap, HashSet};

use super::{
    found::{Field, Provenance, Reading, Silent, Source},
    key::KeyEvidence,
    origin::Origin,
    places::Leaves,
    rule::{self, Pair, Rule},
    spans::{Spans, common},
    subject::{Change, Subject},
};

/// The fields that are made of the key by definition: the key itself, and the id, which is a hash of source,
/// key and type.
const OF_KEY: [(&str, Rule); 2] = [("/idempotencykey", Rule::Copied), ("/id", Rule::Derived)];

/// Where an event has what no typed field holds, at the pointers that it has in the body.
const UNMAPPED: &str = "/data/unmapped";

/// How well a change explains a field, the best first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Level {
    /// The field took the change over.
    Followed,
    /// The field changed otherwise.
    Changed,
    /// The field changed when the value was taken away.
    Presence,
    /// All of the event changed, type included.
    OfType,
    /// No change touched the field.
    Nothing,
}

/// The best of what is known of a field.
#[derive(Debug)]
struct Sources {
    level: Level,
    list: Vec<Source>,
}

impl Sources {
    fn note(&mut self, level: Level, origin: &Origin, rule: Rule) {
        if level > self.level {
            return;
        }
        if level < self.level {
            *self = Self { level, list: Vec::new() };
        }
        match (level, self.list.as_mut_slice(), origin) {
            // The values without which a field changes can be many, as with a position in a list.
            (Level::Presence, [Source { origin: Origin::Body(all), .. }], Origin::Body(one)) => {
                *all = common(all, one).to_owned();
            }
            // What holds a value that decides the types says no more than the value.
            (Level::OfType, [.., Source { origin: Origin::Body(around), .. }], Origin::Body(inner))
                if is_inside(inner, around) =>
            {
                around.clone_from(inner);
            }
            (_, [.., last], _) if last.origin == *origin => {}
            _ => self.list.push(Source { origin: origin.clone(), rule }),
        }
    }
}

/// What another value of a leaf of the body does.
#[derive(Clone, Copy, Debug, Default)]
struct Effect {
    refuses: bool,
    changes_types: bool,
    changes_events: bool,
}

/// What the trials say.
#[derive(Debug)]
pub(super) struct Evidence {
    events: Vec<Leaves>,
    fields: Vec<Vec<Sources>>,
    key: KeyEvidence,
    effects: HashMap<Origin, Effect>,
}

impl Evidence {
    /// Begins with what the webhook yields as it is.
    pub(super) fn of(reading: &Reading) -> Self {
        let events: Vec<_> = reading.events.iter().map(|event| Leaves::of(event)).collect();
        let nothing = |_: &(String, String)| Sources { level: Level::Nothing, list: Vec::new() };
        let fields = events.iter().map(|event| event.leaves.iter().map(nothing).collect()).collect();
        Self { events, fields, key: KeyEvidence::of(&reading.key), effects: HashMap::new() }
    }

    /// Takes note of what the webhook yields with a change of `subject`; none if it is refused.
    pub(super) fn note(&mut self, subject: &Subject, change: &Change, reading: Option<&Reading>) {
        let effect = self.effects.entry(subject.origin.clone()).or_default();
        let Some(reading) = reading else {
            effect.refuses |= *change != Change::Absence;
            return;
        };
        let others: Vec<_> = reading.events.iter().map(|event| Leaves::of(event)).collect();
        let kinds = |events: &[Leaves]| events.iter().map(|event| event.kind.clone()).collect::<Vec<_>>();
        let is_other_type = kinds(&self.events) != kinds(&others);
        if *change != Change::Absence {
            effect.changes_types |= is_other_type;
            let value = serde_json::from_str::<serde_json::Value>(&subject.value).unwrap_or_default();
            let value = value.as_str().map_or_else(|| subject.value.clone(), str::to_owned);
            self.key.note(&subject.origin, &value, &reading.key, is_other_type);
        }
        if *change == Change::Added {
            return;
        }
        for (nth, event) in self.events.iter().enumerate() {
            let is_gone = others.len() <= nth;
            let other = others.get(nth).map(Leaves::by_pointer).unwrap_or_default();
            effect.changes_events |= other.len() != event.leaves.len();
            for ((pointer, was), sources) in event.leaves.iter().zip(&mut self.fields[nth]) {
                let is = other.get(pointer.as_str()).copied();
                if is != Some(was) {
                    effect.changes_events = true;
                    let (level, rule) = match judge(subject, change, (pointer, was, is), is_other_type) {
                        // That the word vanished with its event says nothing about the word.
                        (level, Rule::Word) if is_gone => (level, Rule::Copied),
                        judged => judged,
                    };
                    sources.note(level, &subject.origin, rule);
                }
            }
        }
    }

    /// Returns what follows from the trials of `tried`, which are all of `subjects` or the first.
    pub(super) fn conclude(self, subjects: &[Subject], tried: &[&Subject]) -> Provenance {
        let Self { events, fields, key, effects } = self;
        let leaves = |subjects: &[&Subject]| subjects.iter().filter(|s| s.leaf().is_some()).count();
        let untried = leaves(&subjects.iter().collect::<Vec<_>>()) - leaves(tried);
        let effect = |origin: &Origin| effects.get(origin).copied().unwrap_or_default();
        // What names the event cannot be changed without another rule, so it fills no span.
        let is_free = |subject: &&&Subject| {
            let Effect { refuses, changes_types, .. } = effect(&subject.origin);
            !refuses && !changes_types
        };
        let spans = Spans::of(tried.iter().filter(is_free).filter_map(|subject| subject.leaf()));
        let named: HashSet<_> =
            fields.iter().flatten().flat_map(|sources| &sources.list).map(|source| &source.origin).collect();
        let in_key: HashSet<_> = key.origins().cloned().collect();
        let silent = tried.iter().filter(|subject| !named.contains(&subject.origin)).filter_map(|subject| {
            let reason = match effect(&subject.origin) {
                Effect { refuses: true, .. } => Silent::Required,
                Effect { changes_types: true, .. } => Silent::DecidesTypes,
                _ if in_key.contains(&subject.origin) => Silent::InKey,
                Effect { changes_events: true, .. } => Silent::Read,
                _ => Silent::Unread,
            };
            Some((subject.leaf()?.to_owned(), reason))
        });
        let silent = silent.collect();
        let fields = events.into_iter().zip(fields).map(|(event, fields)| {
            let field = |((pointer, _), sources): ((String, String), Sources)| {
                let sources = concluded(&pointer, sources, &spans);
                Field { pointer, sources }
            };
            event.leaves.into_iter().zip(fields).map(field).collect()
        });
        let events = fields.collect();
        Provenance { key: key.conclude(&spans, untried == 0), events, silent, untried }
    }
}

/// Judges how a field that was `was` and now is `is` follows from a change.
fn judge(
    subject: &Subject,
    change: &Change,
    (pointer, was, is): (&str, &str, Option<&str>),
    is_other_type: bool,
) -> (Level, Rule) {
    let before = Pair { value: &subject.value, field: was };
    let is_carried = || {
        subject.leaf().is_some() && pointer.strip_prefix(UNMAPPED) == subject.leaf() && rule::is_same(before)
    };
    if is_carried() {
        return (Level::Followed, Rule::Copied);
    }
    if let Change::Value(value) = change {
        let followed = is.and_then(|field| rule::followed(before, Pair { value, field }));
        if let Some(rule) = followed {
            return (Level::Followed, rule);
        }
        if !is_other_type || (is.is_none() && rule::is_same(before)) {
            return (Level::Changed, rule::changed(before, is.is_none()));
        }
    }
    if is_other_type { (Level::OfType, Rule::OfType) } else { (Level::Presence, Rule::Presence) }
}

/// Returns the sources of a field, those together that are many.
fn concluded(pointer: &str, Sources { level, list }: Sources, spans: &Spans<'_>) -> Vec<Source> {
    if let Some((_, rule)) = OF_KEY.iter().find(|(field, _)| *field == pointer) {
        return vec![Source { origin: Origin::Key, rule: *rule }];
    }
    let is_derived = |source: &Source| source.rule == Rule::Derived;
    if level == Level::Changed && list.len() > 1 && list.iter().all(is_derived) {
        let origins: Vec<_> = list.into_iter().map(|source| source.origin).collect();
        return spans
            .join(&origins)
            .into_iter()
            .map(|origin| Source { origin, rule: Rule::Derived })
            .collect();
    }
    list
}

/// Returns true if the value at `inner` is inside the one at `around`.
fn is_inside(inner: &str, around: &str) -> bool {
    inner.strip_prefix(around).is_some_and(|rest| rest.starts_with('/'))
}
