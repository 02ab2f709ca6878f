//! The settings in force, as TOML, with secrets redacted.

use std::fmt;

use super::{
    Config, LogFormat, Secret, Unsupported,
    reader::{duration_text as d, size_text as b},
};
use crate::core::auth::Auth;

impl fmt::Display for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let quoted = |list: &mut dyn Iterator<Item = String>| {
            list.map(|text| format!("{text:?}")).collect::<Vec<_>>().join(", ")
        };
        let (amqp, receiver, worker, retry) = (&self.amqp, &self.receiver, &self.worker, &self.retry);
        writeln!(f, "[amqp]\nurl = [{}]", quoted(&mut amqp.urls.iter().map(redacted)))?;
        writeln!(f, "connect_timeout = {:?}\nheartbeat = {:?}", d(amqp.connect_timeout), d(amqp.heartbeat))?;
        writeln!(f, "confirm_timeout = {:?}", d(amqp.confirm_timeout))?;
        writeln!(f, "publish_channels = {}\npublish_batch = {}", amqp.publish_channels, amqp.publish_batch)?;
        writeln!(f, "\n[redis]\nurl = {:?}\ntimeout = {:?}", redacted(&self.redis.url), d(self.redis.timeout))?;
        writeln!(f, "\n[receiver]\nlisten = \"{}\"", receiver.listen)?;
        writeln!(f, "read_timeout = {:?}\nconfirm_timeout = {:?}", d(receiver.read_timeout), d(receiver.confirm_timeout))?;
        writeln!(f, "retry_after = {:?}\nconnections_max = {}", d(receiver.retry_after), receiver.connections_max)?;
        writeln!(f, "header_bytes_max = {:?}", b(receiver.header_bytes_max))?;
        writeln!(f, "\n[admin]\nlisten = \"{}\"", self.admin.listen)?;
        writeln!(f, "\n[worker]\nprefetch = {}\nconcurrency = {}", worker.prefetch, worker.concurrency)?;
        writeln!(f, "grace = {:?}\nevent_bytes_max = {:?}", d(worker.grace), b(worker.event_bytes_max))?;
        if let Some(sources) = &worker.sources {
            writeln!(f, "sources = [{}]", quoted(&mut sources.iter().map(ToString::to_string)))?;
        }
        writeln!(f, "\n[retry]\ntiers = [{}]", quoted(&mut retry.tiers.iter().map(|tier| d(*tier))))?;
        writeln!(f, "wait = {:?}\npanic_retries = {}", d(retry.wait), retry.panic_retries)?;
        writeln!(f, "delivery_limit = {}\n\n[retry.retries]", retry.delivery_limit)?;
        for (reason, retries) in &retry.retries {
            writeln!(f, "{reason} = {retries}")?;
        }
        writeln!(f, "\n[dedup]\nlease = {:?}\ndone_ttl = {:?}", d(self.dedup.lease), d(self.dedup.done_ttl))?;
        let format = if self.log.format == LogFormat::Json { "json" } else { "pretty" };
        writeln!(f, "\n[log]\nformat = {format:?}\nfilter = {:?}", self.log.filter)?;
        for (name, source) in &self.sources {
            writeln!(f, "\n[sources.{name}]\nprovider = \"{}\"\nauth = {:?}", source.provider, auth(&source.auth))?;
            writeln!(f, "body_bytes_max = {:?}", b(source.body_bytes_max))?;
            writeln!(f, "capture_headers = [{}]", quoted(&mut source.capture_headers.iter().cloned()))?;
            writeln!(f, "answer_body = {:?}\nanswer_content_type = {:?}", source.answer_body, source.answer_content_type)?;
            let unsupported = if source.unsupported == Unsupported::PassOn { "pass-on" } else { "dead-letter" };
            writeln!(f, "unsupported = {unsupported:?}")?;
            if let Some(ttl) = source.done_ttl {
                writeln!(f, "done_ttl = {:?}", d(ttl))?;
            }
        }
        for (name, subscription) in &self.subscriptions {
            let patterns = quoted(&mut subscription.patterns.iter().cloned());
            writeln!(f, "\n[subscriptions.{name:?}]\npatterns = [{patterns}]")?;
            if let Some(length_max) = subscription.length_max {
                writeln!(f, "length_max = {length_max}")?;
            }
        }
        Ok(())
    }
}

/// An address without its password.
fn redacted(url: &Secret) -> String {
    match url::Url::parse(url.reveal()) {
        Ok(mut url) if url.password().is_some() => {
            // Cannot fail: what has a password can have another.
            drop(url.set_password(Some("[redacted]")));
            url.to_string().replace("%5Bredacted%5D", "[redacted]")
        }
        Ok(url) => url.to_string(),
        Err(_) => "[redacted]".to_owned(),
    }
}

fn auth(auth: &Auth) -> &'static str {
    match auth {
        Auth::None => "none",
        Auth::HeaderToken { .. } => "header",
        Auth::Basic { .. } => "basic",
        Auth::Hmac { .. } => "hmac",
        Auth::Varda { .. } => "varda",
        Auth::StandardWebhooks { .. } => "standard-webhooks",
    }
}
