//! `make bench-micro`: the cost of each step of normalizing one webhook on one core.
//!
//! The inputs are the golden bodies of each provider that can be normalized, and one typical webhook of 1.2
//! KB. Throughput is in bytes of webhook bodies for every step. With `HOOKSWITCH_INSTRUCTIONS` set, each
//! measurement runs once inside [`measured`], where callgrind counts.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a benchmark fails by panicking")]

#[path = "../support/golden.rs"]
mod cases;

use std::{collections::BTreeMap, fmt, fs, hint::black_box, path::Path, sync::LazyLock};

use divan::{Bencher, counter::BytesCount};
use hookswitch::{
    app::worker::read,
    config::Config,
    core::{
        delivery::queued::{History, QueuedWebhook},
        events::{
            cloudevent::{self, Encoded},
            event::EventType,
            key::{BodyHash, IdempotencyKey},
        },
        providers::{self, Provider},
        shard::Shard,
        webhook::{Headers, Webhook},
    },
    edge::amqp::message,
};
use lapin::BasicProperties;

/// The program's allocator.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// One webhook, and the results of the steps before the measured one.
struct Case {
    queued: QueuedWebhook,
    properties: BasicProperties,
    key: IdempotencyKey,
    events: Vec<Encoded>,
}

impl Case {
    /// None if it cannot be normalized.
    fn new(webhook: Webhook) -> Option<Self> {
        let normalized = providers::normalize(&webhook).ok()?;
        let events = cloudevent::encode(&webhook, &normalized.key, &normalized.events).collect();
        let key = normalized.key;
        let content_type = Some("application/json".to_owned());
        let shard = Shard::FIRST;
        let (trace, history) = (None, History::default());
        let queued = QueuedWebhook { webhook, content_type, entry: None, shard, trace, history };
        Some(Self { properties: message::properties(&queued), queued, key, events })
    }
}

/// A set of webhooks that is measured together.
struct Set {
    name: &'static str,
    cases: Vec<Case>,
}

impl Set {
    fn golden(provider: Provider) -> Self {
        let webhooks = cases::of(provider).into_iter().map(|case| cases::read(provider, &case));
        Self { name: provider.as_str(), cases: webhooks.filter_map(Case::new).collect() }
    }

    fn typical() -> Self {
        let body = fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/bench/typical.json")).unwrap();
        let headers =
            Headers::from_iter([("x-owner-id", "own_3c5e7a90"), ("x-idempotency-key", "call-1773044692")]);
        Self {
            name: "typical",
            cases: Case::new(cases::webhook(Provider::Morph, headers, body)).into_iter().collect(),
        }
    }

    fn bytes(&self) -> usize {
        self.cases.iter().map(|case| case.queued.webhook.body.len()).sum()
    }
}

static SETS: LazyLock<Vec<Set>> =
    LazyLock::new(|| Provider::ALL.map(Set::golden).into_iter().chain([Set::typical()]).collect());

static CONFIG: LazyLock<Config> = LazyLock::new(|| {
    let source =
        |provider: Provider| format!("[sources.{provider}]\nprovider = \"{provider}\"\nauth = \"none\"\n");
    let text: String = Provider::ALL.map(source).concat();
    Config::parse(&text, Path::new("bench.toml"), &BTreeMap::new()).map_err(|e| e.to_string()).unwrap()
});

type Step = fn(&Case);

/// The steps that are measured on each webhook.
const STEPS: &[(&str, Step)] = &[
    ("reading", |case| {
        let webhook = &case.queued.webhook;
        let read = read::read(&CONFIG, providers::normalize, webhook);
        let key = &read.as_ref().expect("it could be read before").key;
        black_box((key.store_key(&webhook.source), BodyHash::of(&webhook.body)));
        black_box(read).ok();
    }),
    ("normalize", |case| drop(black_box(providers::normalize(&case.queued.webhook)))),
    ("normalize_encode", |case| {
        let webhook = &case.queued.webhook;
        let normalized = providers::normalize(webhook).expect("it could be normalized before");
        for event in cloudevent::encode(webhook, &normalized.key, &normalized.events) {
            black_box(event);
        }
    }),
    ("event_id", |case| {
        for n in 0..case.events.len() {
            black_box(case.key.event_id(&case.queued.webhook.source, EventType::CallEnded, n));
        }
    }),
    ("store_key", |case| {
        black_box(case.key.store_key(&case.queued.webhook.source));
    }),
    ("body_hash", |case| {
        black_box(BodyHash::of(&case.queued.webhook.body));
    }),
    ("event_properties", |case| {
        for event in &case.events {
            black_box(message::event_properties(event, &case.queued.webhook));
        }
    }),
    ("raw_properties", |case| drop(black_box(message::properties(&case.queued)))),
    ("raw_decode", |case| drop(black_box(message::decode(&case.properties, Vec::new())))),
];

/// One step on one set.
struct Measure {
    step: &'static str,
    run: Step,
    set: &'static Set,
}

impl Measure {
    fn all() -> impl Iterator<Item = Self> {
        STEPS.iter().flat_map(|(step, run)| SETS.iter().map(move |set| Self { step, run: *run, set }))
    }

    fn run(&self) {
        self.set.cases.iter().for_each(self.run);
    }
}

impl fmt::Display for Measure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("{} {}", self.step, self.set.name))
    }
}

#[divan::bench(args = Measure::all())]
fn webhooks(bencher: Bencher<'_, '_>, measure: &Measure) {
    bencher.counter(BytesCount::new(measure.set.bytes())).bench(|| measure.run());
}

/// Runs one measurement. It is the only function in which callgrind counts.
#[inline(never)]
fn measured(measure: &Measure) {
    black_box(measure).run();
}

fn main() {
    if std::env::var_os("HOOKSWITCH_INSTRUCTIONS").is_none() {
        return divan::main();
    }
    for measure in Measure::all() {
        measure.run();
        measured(&measure);
        println!("{measure} {}", measure.set.cases.len());
    }
}
