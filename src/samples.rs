//! Sample webhooks of every provider, for `hookswitch send-samples` and for experiments.
//!
//! In the order of their times, those of a provider tell the life of a call, from its start to what is known
//! after its end, among other events.

use bytes::Bytes;
use include_dir::{Dir, include_dir};
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use uuid::Uuid;

use crate::core::{
    events::event::EventType,
    json::time,
    providers::{Provider, adapter::Input},
    webhook::{DeliveryId, Headers},
};

static FILES: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/src/samples");

/// Headers that tell a provider's webhooks apart.
const ID_HEADERS: &[&str] = &["webhook-id", "x-varda-delivery", "x-idempotency-key"];

/// A header with the time of sending, in Unix seconds.
const TIME_HEADER: &str = "webhook-timestamp";

/// One sample webhook.
#[derive(Clone, Debug)]
pub struct Sample {
    /// The webhook format.
    pub provider: Provider,
    /// The file's name, which says what the sample shows.
    pub name: &'static str,
    /// The headers.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Bytes,
}

impl Sample {
    /// Returns the types and times of the events that the sample gives.
    pub fn events(&self) -> Vec<(EventType, Option<Timestamp>)> {
        let headers: Headers = self.headers.iter().map(|(name, value)| (name, value.as_str())).collect();
        let delivery_id = DeliveryId::new(Uuid::nil());
        let input = Input { headers: &headers, body: &self.body, delivery_id };
        let events = (self.provider.adapter().normalize)(input).map(|normalized| normalized.events);
        events.into_iter().flatten().map(|event| (event.kind, event.time)).collect()
    }

    fn time(&self) -> Option<Timestamp> {
        self.events().first().and_then(|(_, time)| *time)
    }
}

/// Returns every sample in `src/samples/<provider>/<name>.json`, with its headers from `<name>.headers`, one
/// `name: value` per line. A provider's samples are in the order of their times; those without one come last.
pub fn all() -> Vec<Sample> {
    let mut samples = Vec::new();
    for provider in Provider::ALL {
        let files = FILES.get_dir(provider.as_str()).into_iter().flat_map(|dir| dir.files());
        let mut those: Vec<_> = files.filter_map(|file| sample(provider, file)).collect();
        those.sort_by_cached_key(|sample| {
            let time = sample.time();
            (time.is_none(), time, sample.name)
        });
        samples.append(&mut those);
    }
    samples
}

fn sample(provider: Provider, file: &'static include_dir::File<'_>) -> Option<Sample> {
    let path = file.path();
    let name = path.file_stem()?.to_str()?;
    if path.extension()?.to_str()? != "json" {
        return None;
    }
    let headers = FILES.get_file(path.with_extension("headers"));
    let lines = headers.and_then(|file| file.contents_utf8()).unwrap_or_default().lines();
    let headers = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.trim().to_owned(), value.trim().to_owned()))
        .collect();
    Some(Sample { provider, name, headers, body: Bytes::from_static(file.contents()) })
}

/// Gives samples new ids and moves their times, so that the last of each provider's is within
/// two seconds before `now`. What was about
/// one call before is about one call after, and no sample is a duplicate of an earlier run's.
pub fn renew(samples: &mut [Sample], now: Timestamp) {
    for provider in Provider::ALL {
        let mut those: Vec<_> = samples.iter_mut().filter(|sample| sample.provider == provider).collect();
        let last = those.iter().filter_map(|sample| sample.time()).max().unwrap_or(now);
        let shift = SignedDuration::from_secs(now.as_second() - last.as_second() - 1);
        let renewal = Renewal { run: now.as_millisecond(), shift };
        those.iter_mut().for_each(|sample| renewal.apply(sample));
    }
}

/// How samples are renewed.
struct Renewal {
    /// A number that no earlier run has had.
    run: i64,
    shift: SignedDuration,
}

impl Renewal {
    fn apply(&self, sample: &mut Sample) {
        for (name, value) in &mut sample.headers {
            let name = name.to_ascii_lowercase();
            if ID_HEADERS.contains(&name.as_str()) {
                *value = format!("{value}-{}", self.run);
            } else if name == TIME_HEADER
                && let Some(time) = time::parse(value)
            {
                *value = self.moved(time).as_second().to_string();
            }
        }
        if let Ok(mut body) = serde_json::from_slice(&sample.body) {
            self.renew("", &mut body);
            sample.body = body.to_string().into();
        }
    }

    fn renew(&self, key: &str, value: &mut Value) {
        let is_id =
            matches!(key, "id" | "uuid") || ["_id", "Id", "_uuid"].iter().any(|end| key.ends_with(end));
        match value {
            Value::Object(fields) => fields.iter_mut().for_each(|(key, value)| self.renew(key, value)),
            Value::Array(items) => items.iter_mut().for_each(|item| self.renew(key, item)),
            Value::String(text) if is_id => *text = self.id(text),
            Value::String(text) => {
                if let Some(time) = time::parse_absolute(text).filter(|_| text.contains(':')) {
                    *text = self.moved(time).to_string();
                }
            }
            Value::Number(number) => {
                let time = time::parse(&number.to_string());
                match (number.as_i64(), time) {
                    (Some(id), _) if is_id => *value = (self.run * 1_000 + id).into(),
                    (Some(_), Some(time)) => *value = self.moved(time).as_second().into(),
                    (None, _) | (_, None) => {}
                }
            }
            Value::Null | Value::Bool(_) => {}
        }
    }

    fn id(&self, id: &str) -> String {
        let run = self.run.to_string();
        match Uuid::parse_str(id) {
            Ok(uuid) => Uuid::new_v5(&uuid, run.as_bytes()).to_string(),
            Err(_) => format!("{id}-{run}"),
        }
    }

    fn moved(&self, time: Timestamp) -> Timestamp {
        time.checked_add(self.shift).unwrap_or(time)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::*;
    use crate::core::{
        events::event::EventType as E,
        providers::{self, Drift},
        webhook::Webhook,
    };

    fn webhook(sample: &Sample) -> Webhook {
        Webhook {
            delivery_id: DeliveryId::new(Uuid::nil()),
            source: sample.provider.as_str().parse().expect("a name"),
            provider: sample.provider,
            received_at: Timestamp::UNIX_EPOCH,
            headers: sample.headers.iter().map(|(name, value)| (name, value.as_str())).collect(),
            body: sample.body.clone(),
        }
    }

    /// Returns the types of each call's events, in the order of sending.
    fn calls(samples: &[Sample]) -> BTreeMap<(Provider, String), Vec<EventType>> {
        let mut calls = BTreeMap::<_, Vec<EventType>>::new();
        for sample in samples {
            let webhook = webhook(sample);
            for event in providers::normalize(&webhook).expect("a good sample").events {
                if event.subject.starts_with("call/") {
                    calls.entry((sample.provider, event.subject)).or_default().push(event.kind);
                }
            }
        }
        calls
    }

    #[test]
    fn the_samples_of_a_provider_tell_the_life_of_one_call() {
        let is_beginning = |kind: &E| matches!(kind, E::CallInitiated | E::CallRinging | E::CallAnswered);
        let calls = calls(&all());
        for ((provider, call), life) in &calls {
            let end = life.iter().position(|kind| *kind == E::CallEnded);
            assert!(
                life.iter().filter(|kind| **kind == E::CallEnded).count() <= 1,
                "{provider} {call}: {life:?}"
            );
            let after = end.map_or(&[][..], |end| &life[end..]);
            assert!(!after.iter().any(is_beginning), "{provider} {call}: {life:?}");
        }
        for provider in Provider::ALL {
            let is_whole = |life: &&Vec<E>| {
                life.first().is_some_and(is_beginning) && life[1..].contains(&E::CallEnded) && life.len() > 2
            };
            let of_provider = calls.iter().filter(|((of, _), _)| *of == provider).map(|(_, life)| life);
            assert_eq!(of_provider.filter(is_whole).count(), 1, "{provider}: {calls:?}");
        }
    }

    #[test]
    fn renewed_samples_are_new_facts_that_belong_together_as_before() {
        let now: Timestamp = "2027-05-04T10:00:00Z".parse().expect("a time");
        let (old, mut new, mut newer) = (all(), all(), all());
        renew(&mut new, now);
        renew(&mut newer, now + SignedDuration::from_millis(1));
        let mut keys = BTreeSet::new();
        for sample in old.iter().chain(&new).chain(&newer) {
            let webhook = webhook(sample);
            let normalized = providers::normalize(&webhook).expect("a good sample");
            assert_eq!(normalized.drift, Vec::<Drift>::new(), "{} {}", sample.provider, sample.name);
            let by_delivery = normalized.events.iter().any(|event| event.test || event.kind == E::SourcePing);
            let key = (sample.provider, normalized.key.to_string());
            // The delivery is the same here, so what counts by delivery is not told apart.
            assert!(by_delivery || sample.name == "contact-updated" || keys.insert(key), "{}", sample.name);
            assert!(normalized.events.iter().all(|event| event.time <= Some(now)), "{}", sample.name);
        }
        let lives = |samples: &[Sample]| calls(samples).into_values().collect::<Vec<_>>();
        let sorted = |mut lives: Vec<Vec<EventType>>| {
            lives.sort_by_key(|life| format!("{life:?}"));
            lives
        };
        assert_eq!(sorted(lives(&old)), sorted(lives(&new)));
    }
}
