//! The sections with a fixed set of keys, and what must hold between them.

use std::{collections::BTreeMap, net::SocketAddr, time::Duration};

use toml::Table;
use tracing_subscriber::EnvFilter;
use url::Url;

use super::{
    Admin, Amqp, Config, Dedup, Log, LogFormat, Receiver, Redis, Retry, Secret, Subscription, Worker,
    read::{Given, Reader, Section},
    show::address_without_password,
    sources,
    units::{show_duration, show_size},
};
use crate::core::{delivery::fault::Reason, webhook::SourceName};

const MS: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3_600);
const DAY: Duration = Duration::from_secs(86_400);

const KIB: usize = 1 << 10;
const MIB: usize = 1 << 20;

/// Captured headers travel in one frame, beside our own, and brokers take frames of 128 KiB.
const HEADER_BYTES_LIMIT: usize = 64 * KIB;
/// What a message's headers may take beside the captured ones: error texts, earlier deaths, and their encoding.
const OWN_HEADER_BYTES: usize = 32 * KIB;
/// RabbitMQ takes no message over 512 MiB, whatever it is set to.
const EVENT_BYTES_LIMIT: usize = 512 * MIB;

/// Reads everything; what is wrong is recorded and stands at its default.
pub(super) fn read(reader: &Reader<'_>, table: Table) -> Config {
    let mut root = reader.root(table);
    let amqp = amqp(root.section("amqp"));
    let redis = redis(root.section("redis"));
    let receiver = receiver(root.section("receiver"));
    let admin = admin(root.section("admin"));
    let worker = worker(root.section("worker"));
    let retry = retry(root.section("retry"));
    let dedup = dedup(root.section("dedup"));
    let log = log(root.section("log"));
    let sources = sources::read(&mut root);
    let subscriptions = subscriptions(&mut root);
    root.finish();
    let config = Config { amqp, redis, receiver, admin, worker, retry, dedup, log, sources, subscriptions };
    check(reader, &config);
    config
}

fn amqp(mut s: Section<'_>) -> Amqp {
    let default = || vec![Secret::new("amqp://guest:guest@127.0.0.1:5672/%2f")];
    let urls = urls(&mut s, &["url", "urls", "url_file"], &["amqp", "amqps"]);
    let amqp = Amqp {
        urls: urls.unwrap_or_else(default),
        connect_timeout: s.duration("connect_timeout", 10 * SECOND, 100 * MS..=5 * MINUTE),
        heartbeat: s.duration("heartbeat", 10 * SECOND, SECOND..=HOUR),
        confirm_timeout: s.duration("confirm_timeout", 10 * SECOND, 100 * MS..=5 * MINUTE),
        publish_channels: s.number("publish_channels", 1_u16, 1..=64).into(),
        publish_window: s.number("publish_window", 256_u16, 1..=u16::MAX).into(),
        frame_max: u32::try_from(s.size("frame_max", 64 * KIB, 40 * KIB..=MIB)).unwrap_or(u32::MAX),
    };
    s.finish();
    amqp
}

fn redis(mut s: Section<'_>) -> Redis {
    let default = || vec![Secret::new("redis://127.0.0.1:6379/0")];
    let urls = urls(&mut s, &["url", "urls", "url_file"], &["redis", "rediss"]);
    let redis = Redis {
        urls: urls.unwrap_or_else(default),
        timeout: s.duration("timeout", SECOND, 10 * MS..=MINUTE),
    };
    s.finish();
    redis
}

/// Addresses, from whichever of `keys` is given. Both `url` and a file may hold several, separated by commas.
fn urls(s: &mut Section<'_>, keys: &[&'static str], schemes: &[&str]) -> Option<Vec<Secret>> {
    let given = s.one_of(keys)?;
    let text = if given.key == "url_file" {
        sources::file(s, &given)?
    } else if given.key == "urls" {
        given.list().map(|items| items.join(",")).unwrap_or_default()
    } else {
        given.text().unwrap_or_default().to_owned()
    };
    let urls: Vec<&str> = text.split([',', '\n']).map(str::trim).filter(|url| !url.is_empty()).collect();
    let right = |url: &&str| {
        Url::parse(url)
            .is_ok_and(|u| schemes.contains(&u.scheme()) && u.host_str().is_some_and(|h| !h.is_empty()))
    };
    let wrong: Vec<_> =
        urls.iter().filter(|url| !right(url)).map(|url| address_without_password(url)).collect();
    if urls.is_empty() || !wrong.is_empty() {
        let shown = if wrong.is_empty() { "[redacted]".to_owned() } else { wrong.join(",") };
        let expected = format!("an address as in {}://user:password@host:port/…", schemes.join(":// or "));
        s.reader.problem(&given.label, shown, expected);
        return None;
    }
    Some(urls.into_iter().map(Secret::new).collect())
}

fn socket_address(s: &mut Section<'_>, key: &'static str, default: ([u8; 4], u16)) -> SocketAddr {
    let expected = "an address and a port, as in \"127.0.0.1:8080\" or \"[::]:8080\"";
    s.read(key, expected, |given| given.text()?.parse().ok()).unwrap_or_else(|| default.into())
}

fn receiver(mut s: Section<'_>) -> Receiver {
    let receiver = Receiver {
        listen: socket_address(&mut s, "listen", ([127, 0, 0, 1], 8080)),
        read_timeout: s.duration("read_timeout", 10 * SECOND, 100 * MS..=5 * MINUTE),
        confirm_timeout: s.duration("confirm_timeout", 5 * SECOND, 100 * MS..=MINUTE),
        retry_after: s.duration("retry_after", 5 * SECOND, SECOND..=HOUR),
        connections_max: s.number("connections_max", 4_096_u32, 1..=1_000_000) as usize,
        concurrency_shared: s.number("concurrency_shared", 64_u16, 1..=u16::MAX).into(),
        header_bytes_max: s.size("header_bytes_max", 8 * KIB, 0..=HEADER_BYTES_LIMIT),
    };
    s.finish();
    receiver
}

fn admin(mut s: Section<'_>) -> Admin {
    let admin = Admin { listen: socket_address(&mut s, "listen", ([127, 0, 0, 1], 9464)) };
    s.finish();
    admin
}

fn worker(mut s: Section<'_>) -> Worker {
    let worker = Worker {
        prefetch: s.number("prefetch", 512, 1..=u16::MAX),
        concurrency: s.number("concurrency", 256_u16, 1..=u16::MAX).into(),
        concurrency_shared: s.number("concurrency_shared", 32_u16, 1..=u16::MAX).into(),
        grace: s.duration("grace", 30 * SECOND, SECOND..=HOUR),
        event_bytes_max: s.size("event_bytes_max", 16 * MIB, KIB..=EVENT_BYTES_LIMIT),
        sources: s.list("sources", "a list of source names", |name| name.parse::<SourceName>().ok()),
    };
    s.finish();
    worker
}

fn retry(mut s: Section<'_>) -> Retry {
    let tier = |text: &str| super::units::parse_duration(text).filter(|d| (100 * MS..=DAY).contains(d));
    let tiers = s.read("tiers", "1 to 16 different durations from \"100ms\" to \"1d\"", |given| {
        let mut tiers: Vec<_> = given.list()?.into_iter().map(tier).collect::<Option<_>>()?;
        let count = tiers.len();
        tiers.sort_unstable();
        tiers.dedup();
        ((1..=16).contains(&count) && tiers.len() == count).then_some(tiers)
    });
    let default = || [5, 30, 120, 600, 3_600].map(Duration::from_secs).to_vec();
    let retry = Retry {
        tiers: tiers.unwrap_or_else(default),
        wait: s.duration("wait", SECOND, 100 * MS..=HOUR),
        panic_retries: s.number("panic_retries", 5, 0..=1_000),
        delivery_limit: s.number("delivery_limit", 100, 1..=1_000_000),
        retries: retries(s.section("retries")),
    };
    s.finish();
    retry
}

/// The reasons that a message can fail for and be tried again: the other two say that it was tried enough.
pub(super) fn retried() -> impl Iterator<Item = Reason> {
    Reason::ALL.into_iter().filter(|r| !matches!(r, Reason::RetriesExhausted | Reason::DeliveryLimit))
}

fn retries(mut s: Section<'_>) -> BTreeMap<Reason, u32> {
    // Whoever has overwritten a key may mend it; everything else fails the same way each time.
    let default = |reason| if reason == Reason::UnreadableKey { 5 } else { 0 };
    let retries =
        retried().map(|reason| (reason, s.number(reason.as_str(), default(reason), 0..=1_000))).collect();
    s.finish();
    retries
}

fn dedup(mut s: Section<'_>) -> Dedup {
    let dedup = Dedup {
        lease: s.duration("lease", 30 * SECOND, SECOND..=HOUR),
        done_ttl: s.duration("done_ttl", 7 * DAY, MINUTE..=365 * DAY),
    };
    s.finish();
    dedup
}

fn log(mut s: Section<'_>) -> Log {
    let formats = [("pretty", LogFormat::Pretty), ("json", LogFormat::Json)];
    let filter = s.read("filter", "a filter as in \"info\" or \"info,lapin=warn\"", |given| {
        given.text().filter(|text| EnvFilter::try_new(text).is_ok()).map(str::to_owned)
    });
    let log = Log {
        format: s.word("format", &formats).unwrap_or(LogFormat::Pretty),
        filter: filter.unwrap_or_else(|| "info".to_owned()),
    };
    s.finish();
    log
}

fn subscriptions(root: &mut Section<'_>) -> BTreeMap<String, Subscription> {
    let read = |(queue, mut s): (String, Section<'_>)| {
        // Our own queues; a consumer bound to one of them would take away what the program needs.
        let ours =
            ["raw.", "dead.", "retry.", "wait.", "hookswitch.", "amq."].iter().any(|p| queue.starts_with(p));
        let fits = (1..=200).contains(&queue.len()) && queue.chars().all(|c| c.is_ascii_graphic());
        if ours || queue == "events.unrouted" || !fits {
            let expected = "a queue name of 1 to 200 visible ASCII characters that is not events.unrouted and \
                            starts with none of raw., dead., retry., wait., hookswitch. and amq.";
            s.reader.problem(&s.path, "(name)", expected);
        }
        let expected = "a list of one pattern or more, words separated by dots, where * stands for a word and # \
                        for any number of them: \"call.#\", \"*.answered.*\"";
        if !s.has("patterns") {
            s.missing("patterns", expected);
        }
        let patterns = s.read("patterns", expected, |given: &Given| {
            let patterns: Vec<_> = given.list()?.into_iter().map(str::to_owned).collect();
            (!patterns.is_empty() && patterns.iter().all(|p| is_pattern(p))).then_some(patterns)
        });
        let length_max = s.optional_number("length_max", 1..=u32::MAX);
        s.finish();
        (queue, Subscription { patterns: patterns.unwrap_or_default(), length_max })
    };
    root.named("subscriptions", "queue").into_iter().map(read).collect()
}

/// A wildcard is a word of its own: `call*` would match the word `call*` only, which nobody means.
fn is_pattern(pattern: &str) -> bool {
    let word = |word: &str| {
        matches!(word, "*" | "#") || (!word.is_empty() && !word.contains(['*', '#']) && word.is_ascii())
    };
    pattern.len() <= 255 && pattern.split('.').all(word)
}

/// What must hold between values that are each right.
fn check(reader: &Reader<'_>, config: &Config) {
    let Config { amqp, receiver, admin, worker, dedup, sources, .. } = config;
    if dedup.lease <= 2 * amqp.confirm_timeout {
        let expected = format!(
            "more than twice amqp.confirm_timeout = {}: a worker that waits for a confirm must not lose its claim",
            show_duration(amqp.confirm_timeout)
        );
        reader.problem("dedup.lease", show_duration(dedup.lease), expected);
    }
    if receiver.header_bytes_max + OWN_HEADER_BYTES > amqp.frame_max as usize {
        let expected = format!(
            "at least {} more than receiver.header_bytes_max = {}: all headers of a message must fit in one frame",
            show_size(OWN_HEADER_BYTES),
            show_size(receiver.header_bytes_max)
        );
        reader.problem("amqp.frame_max", show_size(amqp.frame_max as usize), expected);
    }
    if worker.concurrency > worker.prefetch.into() {
        let expected = format!("at most worker.prefetch = {}", worker.prefetch);
        reader.problem("worker.concurrency", worker.concurrency.to_string(), expected);
    }
    if receiver.listen == admin.listen && admin.listen.port() != 0 {
        let expected = "another address than receiver.listen: the metrics are not for the internet";
        reader.problem("admin.listen", admin.listen.to_string(), expected);
    }
    for name in worker.sources.iter().flatten().filter(|name| !sources.contains_key(name)) {
        reader.problem(
            "worker.sources",
            name.as_str(),
            format!("a source that is configured, as [sources.{name}]"),
        );
    }
    let ttls = sources.iter().filter_map(|(name, s)| Some((format!("sources.{name}.done_ttl"), s.done_ttl?)));
    for (key, ttl) in ttls.chain([("dedup.done_ttl".to_owned(), dedup.done_ttl)]) {
        if ttl < dedup.lease {
            let expected = format!("at least dedup.lease = {}", show_duration(dedup.lease));
            reader.problem(key, show_duration(ttl), expected);
        }
    }
}
