//! Twice the input takes about twice the time: a body must not stall a worker because of its shape.
//!
//! Times are compared with each other, never with a limit, so that a slow machine does not matter.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on fails")]

use std::{hint::black_box, time::Duration};

use hookswitch::core::{
    events::cloudevent,
    json::Object,
    pointer::Pointer,
    printable::printable,
    providers::{self, Provider},
    redact,
    webhook::{Headers, Webhook},
};

/// The items of the smaller input.
const ITEMS: usize = 1_000;

/// More than twice, to allow for caches and chance; far less than the four times of a quadratic loop.
const FACTOR_MAX: f64 = 3.0;

/// A smaller factor, for which one run is enough.
const CLEARLY_LINEAR: f64 = 2.5;

/// The runs of a step whose time is in doubt.
const RUNS: usize = 6;

/// Returns `count` items, each made from its number, as a JSON array.
fn list(count: usize, item: impl Fn(usize) -> String) -> String {
    format!("[{}]", (0..count).map(item).collect::<Vec<_>>().join(","))
}

/// Returns an object with `count` fields of different names.
fn object(count: usize, value: &str) -> String {
    format!("{{{}}}", (0..count).map(|n| format!("\"{}\":{value}", name(n))).collect::<Vec<_>>().join(","))
}

/// Returns a plain name for a number.
fn name(n: usize) -> String {
    n.to_string().bytes().map(|digit| char::from(digit - b'0' + b'a')).collect()
}

/// Values that could be anywhere, by what is large about them.
fn shapes(n: usize) -> Vec<(&'static str, String)> {
    let nested = |n: usize| format!("{}{}", "[".repeat(90), "]".repeat(90)) + &" ".repeat(n % 2);
    vec![
        ("fields", object(n, "1")),
        ("fields with escapes", object(n, "1").replace(":1", "\\u0041\":1").replace("\"\\u", "\\u")),
        ("nested fields", list(n, |_| "{\"a\":{\"b\":[1]}}".to_owned())),
        ("depth", list(n / 50, nested)),
        ("a text", format!("\"{}\"", "x".repeat(n * 20))),
        ("a text of escapes", format!("\"{}\"", "\\u00eb\\n\\\"".repeat(n * 2))),
        ("an unreadable text", format!("\"{}\"", "\\ud83d\\u0000".repeat(n * 2))),
        ("a number", format!("0.{}", "7".repeat(n * 5))),
        ("a whole number", "7".repeat(n * 5)),
        ("white space", format!("[{}]", " \r\n\t".repeat(n * 5))),
        ("texts", list(n, |n| format!("\"+1555{n}\""))),
    ]
}

/// Returns bodies of every provider with `n` of everything that a body can hold several of.
fn bodies(n: usize) -> Vec<(Provider, String, String)> {
    let mut bodies = Vec::new();
    for (shape, value) in shapes(n) {
        let of = |provider: Provider| match provider {
            Provider::Allo => format!(
                "{{\"topic\":\"CONTACT_UPDATED\",\"data\":{{\"id\":\"1\",\"name\":{value},\
                \"numbers\":{value},\"x\":{value}}}}}"
            ),
            Provider::Morph => format!(
                "{{\"event\":\"crmOpportunity::updated\",\"data\":{{\"id\":\"1\",\
                \"rawResource\":{value},\
                \"fields\":{{\"name\":{value},\"contacts\":{value},\"x\":{value}}}}}}}"
            ),
            Provider::Salpre => format!(
                "{{\"event_type\":\"call_ended\",\"timestamp_utc\":1760084622,\
                \"payload\":{{\"call_id\":7,\"transcript\":{value},\"x\":{value}}}}}"
            ),
            Provider::Varda => format!(
                "{{\"event\":\"message.created\",\"timestamp\":1760084622,\
                \"data\":{{\"id\":1,\"content\":{value},\"attribution\":{value},\"x\":{value}}}}}"
            ),
            Provider::Wavix => format!(
                "{{\"event_type\":\"on_call_event\",\"uuid\":\"u\",\
                \"event_time\":1760084622,\"event_payload\":{value},\"tag\":{value},\"x\":{value}}}"
            ),
        };
        bodies.extend(Provider::ALL.map(|provider| (provider, shape.to_owned(), of(provider))));
    }
    bodies.extend(transcripts(n));
    bodies
}

/// Returns bodies with lists of objects that a provider documents.
fn transcripts(n: usize) -> Vec<(Provider, String, String)> {
    // The least of each, and no match: most of the time is the search for it.
    let speakers = list(5 * n, |n| format!("{{\"id\":\"s{n}\"}}"));
    let segments = list(5 * n, |n| format!("{{\"text\":\"x\",\"speakerId\":\"z{n}\"}}"));
    let references = list(n, |n| format!("{{\"object\":\"resourceRef\",\"model\":\"m\",\"id\":\"{n}\"}}"));
    let lines = list(n, |n| format!("{{\"source\":\"USER\",\"time\":\"{n}\",\"text\":\"hi\",\"x\":{n}}}"));
    let spoken = list(n, |_| "{\"type\":\"ai\",\"message\":\"hi\"}".to_owned());
    vec![
        (
            Provider::Morph,
            "transcript".to_owned(),
            format!(
                "{{\"event\":\"telephonyCallTranscript::created\",\
            \"data\":{{\"id\":\"1\",\"fields\":{{\"speakers\":{speakers},\"segments\":{segments}}}}}}}"
            ),
        ),
        (
            Provider::Morph,
            "references".to_owned(),
            format!(
                "{{\"event\":\"telephonyCall::updated\",\
            \"data\":{{\"id\":\"1\",\"fields\":{{\"users\":{references},\"contacts\":{references}}}}}}}"
            ),
        ),
        (
            Provider::Allo,
            "transcript".to_owned(),
            format!(
                "{{\"topic\":\"CALL_RECEIVED\",\
            \"data\":{{\"id\":\"1\",\"transcriptions\":{lines}}}}}"
            ),
        ),
        (
            Provider::Salpre,
            "transcript".to_owned(),
            format!(
                "{{\"event_type\":\"call_ended\",\
            \"timestamp_utc\":1760084622,\"payload\":{{\"call_id\":7,\"transcript\":{spoken}}}}}"
            ),
        ),
    ]
}

type Step = (&'static str, fn(&Webhook));

/// What is done with a body that a sender chose.
fn steps() -> Vec<Step> {
    vec![
        ("normalize", |webhook| {
            if let Ok(normalized) = providers::normalize(webhook) {
                for event in cloudevent::encode(webhook, &normalized.key, &normalized.events) {
                    black_box(event);
                }
            }
        }),
        ("hash", |webhook| drop(black_box(Object::root(&webhook.body).map(|body| body.canonical())))),
        ("show", |webhook| drop(black_box(redact::body(webhook.provider, &webhook.body)))),
        ("show an event", |webhook| drop(black_box(redact::event(&webhook.body)))),
        ("point", |webhook| {
            for pointer in ["/none", "/data/none", "/data/fields/none", "/payload/transcript/9999999"] {
                black_box(pointer.parse::<Pointer>().unwrap().find(&webhook.body));
            }
        }),
        ("print", |webhook| drop(black_box(printable(std::str::from_utf8(&webhook.body).unwrap())))),
    ]
}

/// Returns true if `step` takes more than [`FACTOR_MAX`] times as long with `two` as with `one`.
fn is_slow(step: fn(&Webhook), one: &Webhook, two: &Webhook) -> bool {
    // The shortest of several runs is what chance lengthens least.
    let mut shortest = [f64::INFINITY; 2];
    for _ in 0..RUNS {
        for (shortest, webhook) in shortest.iter_mut().zip([one, two]) {
            let began = processor_time();
            step(webhook);
            *shortest = shortest.min((processor_time() - began).as_secs_f64());
        }
        // What takes less is not measured: its time is chance.
        if shortest[1] < 0.001 || shortest[1] < CLEARLY_LINEAR * shortest[0] {
            return false;
        }
    }
    shortest[1] > FACTOR_MAX * shortest[0]
}

/// Returns the time that this thread has spent on a processor, whatever else the machine does.
fn processor_time() -> Duration {
    // The kernel brings the number up to date when the thread yields.
    std::thread::yield_now();
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    Duration::from_nanos(text.split(' ').next().unwrap().parse().unwrap())
}

fn webhook(provider: Provider, body: String) -> Webhook {
    Webhook {
        delivery_id: "01900000-0000-7000-8000-000000000001".parse().unwrap(),
        source: provider.as_str().parse().unwrap(),
        provider,
        received_at: "2026-01-02T03:04:05Z".parse().unwrap(),
        headers: Headers::default(),
        body: body.into_bytes().into(),
    }
}

#[test]
fn twice_the_body_takes_at_most_three_times_as_long() {
    let mut slow = Vec::new();
    for ((provider, shape, body), (_, _, double)) in bodies(ITEMS).into_iter().zip(bodies(2 * ITEMS)) {
        let [one, two] = [body, double].map(|body| webhook(provider, body));
        for (name, step) in steps() {
            if is_slow(step, &one, &two) {
                slow.push(format!("{name} {provider} {shape}"));
            }
        }
    }
    assert!(
        slow.is_empty(),
        "more than {FACTOR_MAX} times as slow with twice the input:\n{}",
        slow.join("\n")
    );
}
