//! Any webhooks as a bundle: they come out as they went in, and a bundle that was cut off is refused.
#![no_main]

use std::num::NonZeroU64;

use hookswitch::core::{
    delivery::{
        bundle::{self, BundleHead},
        fault::{Attempt, Reason},
        queued::{Death, History, QueuedWebhook},
    },
    ledger::{Entry, Run},
    providers::Provider,
    shard::Shard,
    webhook::{DeliveryId, Headers, Webhook},
};
use jiff::Timestamp;
use libfuzzer_sys::{
    arbitrary::{self, Arbitrary},
    fuzz_target,
};
use uuid::Uuid;

#[derive(Arbitrary, Debug)]
struct Input<'a> {
    webhooks: Vec<Parts<'a>>,
    /// Where the bundle is cut off, and where it is damaged.
    place: usize,
    /// The bits that are damaged there.
    bits: u8,
}

/// The parts of a queued webhook.
#[derive(Arbitrary, Debug)]
struct Parts<'a> {
    id: u128,
    source: u64,
    provider: usize,
    received_at: i64,
    headers: Vec<(&'a str, &'a str)>,
    body: &'a [u8],
    content_type: Option<String>,
    entry: Option<(u64, u32, NonZeroU64)>,
    trace: Option<(u128, u64, u8)>,
    history: Failures,
}

/// The parts of a [`History`].
#[derive(Arbitrary, Debug)]
struct Failures {
    attempt: u32,
    error: Option<String>,
    first_failed_at: Option<i64>,
    last_failed_at: Option<i64>,
    reason: Option<usize>,
    version: Option<String>,
    replays: u32,
    past: Vec<(Option<i64>, Option<usize>, Option<String>, String)>,
    wave: Option<String>,
}

/// Returns any time of some centuries, from nanoseconds since 1970.
fn time(nanoseconds: i64) -> Timestamp {
    Timestamp::from_nanosecond(nanoseconds.into()).expect("a time of these centuries")
}

fn reason(number: usize) -> Reason {
    Reason::ALL[number % Reason::ALL.len()]
}

impl From<Failures> for History {
    fn from(parts: Failures) -> Self {
        let death = |(at, died_of, version, error): (Option<i64>, Option<usize>, _, _)| Death {
            at: at.map(time),
            reason: died_of.map(reason),
            version,
            error,
        };
        Self {
            attempt: Attempt(parts.attempt),
            error: parts.error,
            first_failed_at: parts.first_failed_at.map(time),
            last_failed_at: parts.last_failed_at.map(time),
            reason: parts.reason.map(reason),
            version: parts.version,
            replays: parts.replays,
            past: parts.past.into_iter().map(death).collect(),
            wave: parts.wave,
        }
    }
}

impl From<Parts<'_>> for QueuedWebhook {
    fn from(parts: Parts<'_>) -> Self {
        let entry = |(began, nonce, number): (_, _, NonZeroU64)| Entry {
            run: Run { began, nonce },
            number: number.get(),
        };
        let trace = |(trace, span, flags): (u128, u64, u8)| {
            format!("00-{trace:032x}-{span:016x}-{flags:02x}").parse().ok()
        };
        Self {
            webhook: Webhook {
                delivery_id: DeliveryId::new(Uuid::from_u128(parts.id)),
                source: format!("source-{:x}", parts.source).parse().expect("a name"),
                provider: Provider::ALL[parts.provider % Provider::ALL.len()],
                received_at: time(parts.received_at),
                headers: Headers::from_iter(parts.headers),
                body: parts.body.to_vec().into(),
            },
            content_type: parts.content_type,
            entry: parts.entry.map(entry),
            shard: Shard::FIRST,
            trace: parts.trace.and_then(trace),
            history: parts.history.into(),
        }
    }
}

fuzz_target!(|input: Input<'_>| {
    let webhooks: Vec<QueuedWebhook> = input.webhooks.into_iter().map(Into::into).collect();
    if webhooks.is_empty() {
        return;
    }
    let head = BundleHead::of(webhooks.len());
    let mut bundle = bundle::write(&webhooks);
    assert_eq!(bundle::read(head, &bundle), Ok(webhooks));

    let place = input.place % bundle.len();
    assert!(bundle::read(head, &bundle[..place]).is_err(), "cut off at {place} of {} bytes", bundle.len());

    bundle[place] ^= input.bits;
    drop(bundle::read(head, &bundle));
});
