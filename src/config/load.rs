//! Which keys there are, their defaults and their bounds.

use std::{collections::BTreeMap, fs, net::{Ipv4Addr, SocketAddr}, path::Path, time::Duration};

use toml::Table;

use super::{
    Admin, Amqp, Config, Dedup, Log, LogFormat, Receiver, Redis, Retry, Secret, Source, Subscription, Unsupported,
    Worker,
    reader::{ConfigProblems, Problem, Reader, Section},
};
use crate::core::{
    auth::{Algorithm, Auth, Encoding, Secrets},
    disposition::Reason,
    providers::Provider,
    webhook::SourceName,
};

const fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

const MS: Duration = Duration::from_millis(1);
const DAY: Duration = s(86_400);

impl Config {
    /// Reads the file (if there is one) and the environment.
    ///
    /// # Errors
    /// Every problem at once.
    pub fn load(path: Option<&Path>, env: &BTreeMap<String, String>) -> Result<Self, ConfigProblems> {
        let one = |key: String, expected: String| ConfigProblems(vec![Problem { key, value: None, expected }]);
        let text = match path {
            Some(path) => fs::read_to_string(path)
                .map_err(|e| one(path.display().to_string(), format!("a file that can be read, but: {e}")))?,
            None => String::new(),
        };
        let table: Table = text.parse().map_err(|error: toml::de::Error| {
            let name = path.map_or_else(String::new, |path| path.display().to_string());
            one(name, format!("valid TOML, but:\n{error}"))
        })?;
        Self::read(table, env).map(|(config, _)| config)
    }

    /// The configuration, and every key that can be set.
    pub(super) fn read(
        mut file: Table,
        env: &BTreeMap<String, String>,
    ) -> Result<(Self, Vec<String>), ConfigProblems> {
        let mut reader = Reader::new(env);
        let r = &mut reader;
        let config = Self {
            amqp: section(r, &mut file, "amqp", amqp),
            redis: section(r, &mut file, "redis", redis),
            receiver: section(r, &mut file, "receiver", receiver),
            admin: section(r, &mut file, "admin", admin),
            worker: section(r, &mut file, "worker", worker),
            retry: retry_section(r, &mut file),
            dedup: section(r, &mut file, "dedup", dedup),
            log: section(r, &mut file, "log", log),
            sources: sources(r, &mut file),
            subscriptions: subscriptions(r, &mut file),
        };
        for key in file.keys() {
            reader.problem(key.clone(), None, "no such section; there are amqp, redis, receiver, admin, worker, retry, dedup, log, sources, subscriptions");
        }
        contradictions(&config, &mut reader);
        if reader.problems.is_empty() { Ok((config, reader.keys)) } else { Err(ConfigProblems(reader.problems)) }
    }
}

fn section<T>(
    reader: &mut Reader<'_>,
    file: &mut Table,
    name: &str,
    read: impl FnOnce(&mut Section<'_, '_>) -> T,
) -> T {
    let table = reader.table(file, name);
    let mut section = Section::new(reader, name, table, true);
    let value = read(&mut section);
    section.finish();
    value
}

fn amqp(section: &mut Section<'_, '_>) -> Amqp {
    let urls = section.secrets("url", "url_file", None);
    let urls = urls.unwrap_or_else(|| vec!["amqp://guest:guest@127.0.0.1:5672/%2f".to_owned()]);
    for url in &urls {
        if !(url.starts_with("amqp://") || url.starts_with("amqps://")) || url.parse::<lapin::uri::AMQPUri>().is_err() {
            section.reject("url", None, "amqp://user:password@host:port/vhost, or amqps://…");
        }
    }
    Amqp {
        urls: urls.into_iter().map(Secret::new).collect(),
        connect_timeout: section.duration("connect_timeout", s(10), s(1)..=s(300)),
        heartbeat: section.duration("heartbeat", s(10), s(1)..=s(600)),
        confirm_timeout: section.duration("confirm_timeout", s(10), 100 * MS..=s(600)),
        publish_channels: section.number("publish_channels", 2, 1..=64) as usize,
        publish_batch: section.number("publish_batch", 128, 1..=4096) as usize,
    }
}

fn redis(section: &mut Section<'_, '_>) -> Redis {
    let urls = section.secrets("url", "url_file", None);
    let mut urls = urls.unwrap_or_else(|| vec!["redis://127.0.0.1:6379/0".to_owned()]);
    let url = if urls.len() == 1 { urls.remove(0) } else { String::new() };
    if !(url.starts_with("redis://") || url.starts_with("rediss://")) {
        section.reject("url", None, "one redis://host:port/db, or rediss://…");
    }
    Redis { url: Secret::new(url), timeout: section.duration("timeout", s(1), 10 * MS..=s(60)) }
}

fn local(port: u16) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, port))
}

const ADDRESS: &str = "an address and port, such as \"0.0.0.0:8080\"";

fn receiver(section: &mut Section<'_, '_>) -> Receiver {
    Receiver {
        listen: section.parsed("listen", local(8080), ADDRESS),
        read_timeout: section.duration("read_timeout", s(10), 100 * MS..=s(300)),
        confirm_timeout: section.duration("confirm_timeout", s(5), 100 * MS..=s(60)),
        retry_after: section.duration("retry_after", s(5), s(1)..=s(3600)),
        connections_max: section.number("connections_max", 4096, 1..=1_000_000) as usize,
        header_bytes_max: section.size("header_bytes_max", 8192, 0..=65_536),
    }
}

fn admin(section: &mut Section<'_, '_>) -> Admin {
    Admin { listen: section.parsed("listen", local(9464), ADDRESS) }
}

fn worker(section: &mut Section<'_, '_>) -> Worker {
    let prefetch = section.number("prefetch", 256, 1..=65_535);
    let sources = section.texts("sources").map(|names| {
        let mut valid = Vec::new();
        for name in names {
            match name.parse::<SourceName>() {
                Ok(name) => valid.push(name),
                Err(error) => section.reject("sources", Some(name), format!("names of sources: {error}")),
            }
        }
        valid
    });
    Worker {
        prefetch: u16::try_from(prefetch).unwrap_or(u16::MAX),
        concurrency: section.number("concurrency", 128, 1..=65_535) as usize,
        grace: section.duration("grace", s(30), s(0)..=s(3600)),
        event_bytes_max: section.size("event_bytes_max", 16 << 20, 1 << 10..=128 << 20),
        sources,
    }
}

fn retry_section(reader: &mut Reader<'_>, file: &mut Table) -> Retry {
    let mut table = reader.table(file, "retry");
    let retries = reader.table(&mut table, "retries");
    let mut by_reason = BTreeMap::new();
    let mut section = Section::new(reader, "retry.retries", retries, true);
    for reason in Reason::ALL {
        // These two are no failures of a try.
        if !matches!(reason, Reason::RetriesExhausted | Reason::DeliveryLimit) {
            by_reason.insert(reason, section.number(reason.as_str(), 0, 0..=1000));
        }
    }
    section.finish();
    let mut section = Section::new(reader, "retry", table, true);
    let retry = Retry {
        tiers: section.durations("tiers", vec![s(5), s(30), s(120), s(600), s(3600)], 100 * MS..=DAY),
        wait: section.duration("wait", s(1), 100 * MS..=s(60)),
        panic_retries: section.number("panic_retries", 5, 0..=1000),
        retries: by_reason,
        delivery_limit: section.number("delivery_limit", 100, 1..=1_000_000),
    };
    section.finish();
    retry
}

fn dedup(section: &mut Section<'_, '_>) -> Dedup {
    Dedup {
        lease: section.duration("lease", s(30), 100 * MS..=s(3600)),
        done_ttl: section.duration("done_ttl", 7 * DAY, s(1)..=365 * DAY),
    }
}

fn log(section: &mut Section<'_, '_>) -> Log {
    let format = [("pretty", LogFormat::Pretty), ("json", LogFormat::Json)];
    Log { format: section.one_of("format", LogFormat::Pretty, &format), filter: section.text("filter", "info") }
}

fn sources(reader: &mut Reader<'_>, file: &mut Table) -> BTreeMap<SourceName, Source> {
    let mut sources = BTreeMap::new();
    let mut tables = reader.table(file, "sources");
    for name in tables.keys().cloned().collect::<Vec<_>>() {
        let table = reader.table(&mut tables, &name);
        match name.parse::<SourceName>() {
            Ok(valid) => {
                let mut section = Section::new(reader, &format!("sources.{name}"), table, false);
                if let Some(source) = source(&mut section) {
                    sources.insert(valid, source);
                }
                section.finish();
            }
            Err(error) => reader.problem(format!("sources.{name}"), None, error.to_string()),
        }
    }
    sources
}

fn source(section: &mut Section<'_, '_>) -> Option<Source> {
    let provider = section.text("provider", "");
    let provider: Option<Provider> = provider.parse().ok().or_else(|| {
        section.reject("provider", Some(format!("\"{provider}\"")), "one of morph, allo, wavix, salpre, varda");
        None
    });
    let auth = auth(section);
    let capture_headers = section.texts("capture_headers").unwrap_or_default();
    let done_ttl = section.optional_duration("done_ttl", s(1)..=365 * DAY);
    let unsupported = [("dead-letter", Unsupported::DeadLetter), ("pass-on", Unsupported::PassOn)];
    let answer_content_type = section.text("answer_content_type", "text/plain; charset=utf-8");
    if !answer_content_type.bytes().all(|b| (0x20..0x7f).contains(&b)) {
        section.reject("answer_content_type", None, "a media type in ASCII");
    }
    let rest = (
        section.size("body_bytes_max", 1 << 20, 1..=128 << 20),
        section.text("answer_body", ""),
        section.one_of("unsupported", Unsupported::DeadLetter, &unsupported),
    );
    let (body_bytes_max, answer_body, unsupported) = rest;
    Some(Source {
        provider: provider?,
        auth: auth?,
        body_bytes_max,
        capture_headers: capture_headers.into_iter().map(|name| name.to_ascii_lowercase()).collect(),
        answer_body,
        answer_content_type,
        unsupported,
        done_ttl,
    })
}

/// Fails closed: what is not said in full is no authentication, and the configuration is refused.
fn auth(section: &mut Section<'_, '_>) -> Option<Auth> {
    let kind = section.text("auth", "");
    let header = section.text("auth_header", "").to_ascii_lowercase();
    let user = section.text("auth_user", "");
    let prefix = section.text("auth_prefix", "");
    let algorithms = [("sha1", Algorithm::Sha1), ("sha256", Algorithm::Sha256), ("sha512", Algorithm::Sha512)];
    let algorithm = section.one_of("auth_algorithm", Algorithm::Sha256, &algorithms);
    let encoding = section.one_of("auth_encoding", Encoding::Hex, &[("hex", Encoding::Hex), ("base64", Encoding::Base64)]);
    let tolerance = section.duration("auth_tolerance", s(300), s(1)..=DAY);
    let tolerance_s = i64::try_from(tolerance.as_secs()).unwrap_or(i64::MAX);
    let given = section.secrets("secret", "secret_file", Some("secret_env"));
    if kind == "none" {
        if given.is_some() {
            section.reject("auth", Some("\"none\"".to_owned()), "no secret beside auth = \"none\"");
        }
        return Some(Auth::None);
    }
    if !matches!(kind.as_str(), "header" | "basic" | "hmac" | "varda" | "standard-webhooks") {
        let expected = "one of \"header\", \"basic\", \"hmac\", \"varda\", \"standard-webhooks\", or \"none\" to let everybody in";
        section.reject("auth", Some(format!("\"{kind}\"")), expected);
        return None;
    }
    if matches!(kind.as_str(), "header" | "hmac") && header.is_empty() {
        section.reject("auth_header", None, "the name of the header");
        return None;
    }
    let given = given.unwrap_or_default();
    if given.is_empty() || given.len() > 2 {
        section.reject("secret", None, "one secret, or two during a rotation (secret_file, secret_env, or secret)");
        return None;
    }
    let decode = |secret: &String| match kind.as_str() {
        "standard-webhooks" => Auth::standard_webhooks_key(secret),
        _ => Some(secret.as_bytes().to_vec()),
    };
    let Some(secrets) = given.iter().map(decode).collect::<Option<Vec<_>>>().and_then(Secrets::new) else {
        section.reject("secret", None, "whsec_ and base64");
        return None;
    };
    Some(match kind.as_str() {
        "header" => Auth::HeaderToken { header, secrets },
        "basic" => Auth::Basic { user, secrets },
        "hmac" => Auth::Hmac { header, prefix, algorithm, encoding, secrets },
        "varda" => Auth::Varda { secrets, tolerance_s },
        _ => Auth::StandardWebhooks { secrets, tolerance_s },
    })
}

fn subscriptions(reader: &mut Reader<'_>, file: &mut Table) -> BTreeMap<String, Subscription> {
    let mut subscriptions = BTreeMap::new();
    let mut tables = reader.table(file, "subscriptions");
    for name in tables.keys().cloned().collect::<Vec<_>>() {
        let table = reader.table(&mut tables, &name);
        let ours = ["raw.", "dead.", "retry.", "amq."].iter().any(|prefix| name.starts_with(prefix));
        if ours || name == "events.unrouted" || name.is_empty() || name.len() > 255 {
            let expected = "a queue name of 1 to 255 bytes that is not one of ours (raw.…, dead.…, retry.…, amq.…, events.unrouted)";
            reader.problem(format!("subscriptions.{name}"), None, expected);
        }
        let mut section = Section::new(reader, &format!("subscriptions.{name}"), table, false);
        let patterns = section.texts("patterns").unwrap_or_default();
        if patterns.is_empty() {
            section.reject("patterns", None, "a list of routing patterns, such as [\"call.#\"]");
        }
        let length_max = section.optional_number("length_max", 1..=u32::MAX);
        section.finish();
        subscriptions.insert(name, Subscription { patterns, length_max });
    }
    subscriptions
}

/// What is right alone and wrong together.
fn contradictions(config: &Config, reader: &mut Reader<'_>) {
    let (lease, confirm) = (config.dedup.lease, config.amqp.confirm_timeout);
    if lease <= confirm * 2 {
        let expected = "more than twice amqp.confirm_timeout, or a claim could end before its confirm comes";
        reader.problem("dedup.lease", Some(super::reader::duration_text(lease)), expected);
    }
    if config.worker.concurrency > usize::from(config.worker.prefetch) {
        let value = Some(config.worker.concurrency.to_string());
        reader.problem("worker.concurrency", value, "at most worker.prefetch");
    }
    for name in config.worker.sources.iter().flatten() {
        if !config.sources.contains_key(name) {
            reader.problem("worker.sources", Some(name.to_string()), "names of configured sources");
        }
    }
}
