//! The effective configuration for people, without secrets.

use std::{fmt, time::Duration};

use url::Url;

use super::{
    Config, LogFormat, Source, Unsupported, sections,
    units::{show_duration, show_size},
};
use crate::core::auth::{Algorithm, Auth, Encoding};

const REDACTED: &str = "[redacted]";

/// An address with `[redacted]` in the place of its password; one that is no address shows nothing.
pub(super) fn address_without_password(text: &str) -> String {
    // `guest:password@host` reads as an address too, and a password with a slash in it as a path.
    let safe = |url: &Url| url.has_host() && !url.path().contains('@');
    let Some(url) = Url::parse(text).ok().filter(safe) else {
        return REDACTED.to_owned();
    };
    let user = match (url.username(), url.password()) {
        ("", None) => String::new(),
        (user, None) => format!("{user}@"),
        (user, Some(_)) => format!("{user}:{REDACTED}@"),
    };
    let host = url.host_str().unwrap_or_default();
    let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
    // A query may carry a credential as well.
    let query = if url.query().is_some() { "?…" } else { "" };
    format!("{}://{user}{host}{port}{}{query}", url.scheme(), url.path())
}

fn quoted(text: &str) -> String {
    toml::Value::from(text).to_string()
}

fn list<T: AsRef<str>>(items: impl IntoIterator<Item = T>) -> String {
    let items: Vec<_> = items.into_iter().map(|item| quoted(item.as_ref())).collect();
    format!("[{}]", items.join(", "))
}

fn time(duration: Duration) -> String {
    quoted(&show_duration(duration))
}

fn size(bytes: usize) -> String {
    quoted(&show_size(bytes))
}

impl fmt::Display for Config {
    /// Every value as the file would have it, secrets and passwords as `[redacted]`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.show_services(f)?;
        self.show_program(f)?;
        for (name, source) in &self.sources {
            writeln!(f, "\n[sources.{name}]")?;
            show_source(f, source)?;
        }
        for (queue, subscription) in &self.subscriptions {
            writeln!(f, "\n[subscriptions.{}]\npatterns = {}", quoted(queue), list(&subscription.patterns))?;
            if let Some(length) = subscription.length_max {
                writeln!(f, "length_max = {length}")?;
            }
        }
        Ok(())
    }
}

impl Config {
    fn show_services(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { amqp, redis, receiver, admin, .. } = self;
        let urls = amqp.urls.iter().map(|url| address_without_password(url.reveal()));
        writeln!(f, "[amqp]\nurls = {}", list(urls))?;
        writeln!(f, "connect_timeout = {}", time(amqp.connect_timeout))?;
        writeln!(f, "heartbeat = {}", time(amqp.heartbeat))?;
        writeln!(f, "confirm_timeout = {}", time(amqp.confirm_timeout))?;
        writeln!(f, "publish_channels = {}", amqp.publish_channels)?;
        writeln!(f, "publish_window = {}", amqp.publish_window)?;
        writeln!(f, "frame_max = {}", amqp.frame_max)?;
        let urls = redis.urls.iter().map(|url| address_without_password(url.reveal()));
        writeln!(f, "\n[redis]\nurls = {}", list(urls))?;
        writeln!(f, "timeout = {}", time(redis.timeout))?;
        writeln!(f, "\n[receiver]\nlisten = {}", quoted(&receiver.listen.to_string()))?;
        writeln!(f, "read_timeout = {}", time(receiver.read_timeout))?;
        writeln!(f, "confirm_timeout = {}", time(receiver.confirm_timeout))?;
        writeln!(f, "retry_after = {}", time(receiver.retry_after))?;
        writeln!(f, "connections_max = {}", receiver.connections_max)?;
        writeln!(f, "concurrency_shared = {}", receiver.concurrency_shared)?;
        writeln!(f, "header_bytes_max = {}", size(receiver.header_bytes_max))?;
        writeln!(f, "\n[admin]\nlisten = {}", quoted(&admin.listen.to_string()))
    }

    fn show_program(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { worker, retry, dedup, log, .. } = self;
        writeln!(f, "\n[worker]\nprefetch = {}", worker.prefetch)?;
        writeln!(f, "concurrency = {}", worker.concurrency)?;
        writeln!(f, "concurrency_shared = {}", worker.concurrency_shared)?;
        writeln!(f, "grace = {}", time(worker.grace))?;
        writeln!(f, "event_bytes_max = {}", size(worker.event_bytes_max))?;
        if let Some(sources) = &worker.sources {
            writeln!(f, "sources = {}", list(sources.iter().map(|name| name.as_str())))?;
        }
        writeln!(f, "\n[retry]\ntiers = {}", list(retry.tiers.iter().map(|tier| show_duration(*tier))))?;
        writeln!(f, "wait = {}", time(retry.wait))?;
        writeln!(f, "panic_retries = {}", retry.panic_retries)?;
        writeln!(f, "delivery_limit = {}", retry.delivery_limit)?;
        writeln!(f, "\n[retry.retries]")?;
        for reason in sections::retried() {
            writeln!(f, "{reason} = {}", retry.retries.get(&reason).copied().unwrap_or(0))?;
        }
        writeln!(f, "\n[dedup]\nlease = {}", time(dedup.lease))?;
        writeln!(f, "done_ttl = {}", time(dedup.done_ttl))?;
        let format = match log.format {
            LogFormat::Pretty => "pretty",
            LogFormat::Json => "json",
        };
        writeln!(f, "\n[log]\nformat = {}\nfilter = {}", quoted(format), quoted(&log.filter))
    }
}

fn show_source(f: &mut fmt::Formatter<'_>, source: &Source) -> fmt::Result {
    writeln!(f, "provider = {}", quoted(source.provider.as_str()))?;
    show_auth(f, &source.auth)?;
    writeln!(f, "body_bytes_max = {}", size(source.body_bytes_max))?;
    writeln!(f, "capture_headers = {}", list(&source.capture_headers))?;
    writeln!(f, "answer_body = {}", quoted(&source.answer_body))?;
    writeln!(f, "answer_content_type = {}", quoted(&source.answer_content_type))?;
    let unsupported = match source.unsupported {
        Unsupported::DeadLetter => "dead_letter",
        Unsupported::PassOn => "pass_on",
    };
    writeln!(f, "unsupported = {}", quoted(unsupported))?;
    if let Some(ttl) = source.done_ttl {
        writeln!(f, "done_ttl = {}", time(ttl))?;
    }
    writeln!(f, "shards = {}", source.sharding.count())?;
    match source.sharding.by() {
        Some(by) => writeln!(f, "shard_by = {}", quoted(&by.to_string())),
        None => Ok(()),
    }
}

fn show_auth(f: &mut fmt::Formatter<'_>, auth: &Auth) -> fmt::Result {
    writeln!(f, "auth = {}", quoted(auth.as_str()))?;
    let secrets = match auth {
        Auth::None => return Ok(()),
        Auth::HeaderToken { header, secrets } => {
            writeln!(f, "auth_header = {}", quoted(header))?;
            secrets
        }
        Auth::Basic { user, secrets } => {
            writeln!(f, "auth_user = {}", quoted(user))?;
            secrets
        }
        Auth::Hmac { header, prefix, algorithm, encoding, secrets } => {
            let algorithm = match algorithm {
                Algorithm::Sha1 => "sha1",
                Algorithm::Sha256 => "sha256",
                Algorithm::Sha512 => "sha512",
            };
            let encoding = match encoding {
                Encoding::Hex => "hex",
                Encoding::Base64 => "base64",
            };
            writeln!(f, "auth_header = {}\nauth_prefix = {}", quoted(header), quoted(prefix))?;
            writeln!(f, "auth_algorithm = {}\nauth_encoding = {}", quoted(algorithm), quoted(encoding))?;
            secrets
        }
        Auth::Varda { secrets, tolerance } | Auth::StandardWebhooks { secrets, tolerance } => {
            writeln!(f, "auth_tolerance = {}", time(*tolerance))?;
            secrets
        }
    };
    for key in ["secret", "second_secret"].iter().take(secrets.count()) {
        writeln!(f, "{key} = {}", quoted(REDACTED))?;
    }
    Ok(())
}
