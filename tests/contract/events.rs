//! Events to validate: those of the golden cases, and generated ones.
//!
//! Generated events come out of the normalizer. It is fed golden webhooks in which values were exchanged,
//! removed, doubled or replaced. The same seed gives the same events.

use bytes::Bytes;
use hookswitch::core::{
    contract::family::SCHEMA_BASE,
    events::{
        cloudevent,
        redaction::{Profile, Redaction, Treatment},
    },
    providers::{self, Provider},
    webhook::Webhook,
};
use rand::{RngExt, SeedableRng, rngs::StdRng, seq::IndexedRandom};
use serde_json::{Value, json};

use crate::cases;

/// Where a generated body holds half a surrogate pair, which [`Value`] cannot hold.
const HALF: &str = "half a pair";

/// The most changes of one webhook.
const CHANGES_MAX: usize = 6;

/// Returns the events of a webhook as they are published; none if it cannot be normalized.
pub(crate) fn events_of(webhook: &Webhook) -> Vec<Bytes> {
    let Ok(normalized) = providers::normalize(webhook) else { return Vec::new() };
    cloudevent::encode(webhook, &normalized.key, &normalized.events).map(|encoded| encoded.body).collect()
}

/// Returns the events of a webhook and a redacted copy of each, with a profile that follows from the body.
fn with_copies(webhook: &Webhook, region: Option<&str>) -> Vec<Bytes> {
    let Ok(mut normalized) = providers::normalize(webhook) else { return Vec::new() };
    if let Some(region) = region {
        normalized.add_e164(region.parse().unwrap());
    }
    let of = |n: usize| Treatment::ALL[webhook.body.len() / n % Treatment::ALL.len()].1;
    let keeps_texts = webhook.body.len().is_multiple_of(3);
    let profile = Profile { numbers: of(1), emails: of(4), names: of(16), keeps_texts };
    let redaction = Redaction { profile, key: Some("k") };
    let (key, events) = (&normalized.key, &normalized.events);
    let both = events.iter().zip(cloudevent::encode(webhook, key, events)).flat_map(|(event, encoded)| {
        let copy = cloudevent::encode_redacted(SCHEMA_BASE, webhook, key, event, &encoded, redaction);
        [encoded.body, copy.body]
    });
    both.collect()
}

fn golden_webhooks() -> impl Iterator<Item = Webhook> {
    Provider::ALL
        .into_iter()
        .flat_map(|provider| cases::of(provider).into_iter().map(move |case| cases::read(provider, &case)))
}

/// Returns the events of the golden cases, and a redacted copy of each.
pub(crate) fn golden() -> Vec<Bytes> {
    golden_webhooks().flat_map(|webhook| with_copies(&webhook, None)).collect()
}

/// Returns at least `count` generated events.
pub(crate) fn generated(count: usize, seed: u64) -> Vec<Bytes> {
    let webhooks: Vec<_> = golden_webhooks()
        .filter_map(|webhook| Some((serde_json::from_slice::<Value>(&webhook.body).ok()?, webhook)))
        .collect();
    let mut values = strange_values();
    webhooks.iter().for_each(|(body, _)| collect_leaves(body, &mut values));
    let (mut rng, mut events) = (StdRng::seed_from_u64(seed), Vec::with_capacity(count));
    while events.len() < count {
        let (mut body, mut webhook) = webhooks.choose(&mut rng).unwrap().clone();
        for _ in 0..rng.random_range(1..=CHANGES_MAX) {
            change(&mut body, &values, &mut rng);
        }
        webhook.body = body.to_string().replace(HALF, "\\ud83d").into();
        let region = ["DE", "US"].choose(&mut rng).copied().filter(|_| rng.random_bool(0.2));
        events.extend(with_copies(&webhook, region));
    }
    events
}

fn strange_values() -> Vec<Value> {
    let long = "long ".repeat(100);
    let values = json!([
        null, true, false, 0, -1, 1.5, 9_007_199_254_740_993_u64, 1e300, "", " ", "true", "0", "12.50",
        "1e999",
        "2026-03-25T18:35:00Z", "2026-03-25T18:35:00.123456789+02:00", "2026-03-25", 1_774_463_700,
        1_774_463_700_123_u64, "+15550100123", "030 901820", "a@example.com", "https://example.com/a b",
        "é😀\u{0}\n\"\\", HALF, "unknown", {}, [], [null], {"id": "x"}, [{"id": 1}, {"id": 2}],
        ["a", "b"], long,
    ]);
    values.as_array().unwrap().clone()
}

fn collect_leaves(value: &Value, leaves: &mut Vec<Value>) {
    match value {
        Value::Array(items) => items.iter().for_each(|item| collect_leaves(item, leaves)),
        Value::Object(entries) => entries.values().for_each(|value| collect_leaves(value, leaves)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => leaves.push(value.clone()),
    }
}

/// Changes one place of a document: walks down at random, and stops at a leaf or before it.
fn change(value: &mut Value, values: &[Value], rng: &mut StdRng) {
    match value {
        Value::Object(entries) if !entries.is_empty() => {
            let key = entries.keys().nth(rng.random_range(0..entries.len())).unwrap().clone();
            match rng.random_range(0..20) {
                0 => drop(entries.remove(&key)),
                1 => drop(entries.insert("new_field".to_owned(), values.choose(rng).unwrap().clone())),
                2 => entries[&key] = values.choose(rng).unwrap().clone(),
                _ => change(&mut entries[&key], values, rng),
            }
        }
        Value::Array(items) if !items.is_empty() => {
            let index = rng.random_range(0..items.len());
            match rng.random_range(0..10) {
                0 => drop(items.remove(index)),
                1 => items.push(items[index].clone()),
                2 => items[index] = values.choose(rng).unwrap().clone(),
                _ => change(&mut items[index], values, rng),
            }
        }
        other => *other = values.choose(rng).unwrap().clone(),
    }
}
