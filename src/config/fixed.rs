//! The keys that a running process cannot change.

use super::{keys::Config, tls::Identity};

impl Config {
    /// Puts the keys that take a restart back to what they are in `running`. Returns those that were to
    /// change.
    pub fn keep_fixed(&mut self, running: &Self) -> Vec<&'static str> {
        let mut kept = Vec::new();
        keep(&mut kept, "receiver.listen", &mut self.receiver.listen, &running.receiver.listen);
        let (ours, theirs) = (&mut self.receiver.connections_max, &running.receiver.connections_max);
        keep(&mut kept, "receiver.connections_max", ours, theirs);
        keep(&mut kept, "admin.listen", &mut self.admin.listen, &running.admin.listen);
        let (ours, theirs) = (&mut self.redis, &running.redis);
        // With the addresses it is a move to another Redis: half of it would be the old names in the new one.
        if ours.namespace != theirs.namespace || ours.cluster != theirs.cluster {
            ours.urls.clone_from(&theirs.urls);
            ours.sentinels.clone_from(&theirs.sentinels);
        }
        keep(&mut kept, "redis.namespace", &mut ours.namespace, &theirs.namespace);
        keep(&mut kept, "redis.cluster", &mut ours.cluster, &theirs.cluster);
        keep(&mut kept, "log.format", &mut self.log.format, &running.log.format);
        keep(&mut kept, "log.filter", &mut self.log.filter, &running.log.filter);
        let (ours, theirs) = (&mut self.tracing, &running.tracing);
        keep(&mut kept, "tracing.endpoint", &mut ours.endpoint, &theirs.endpoint);
        keep(&mut kept, "tracing.headers_file", &mut ours.headers_file, &theirs.headers_file);
        keep(&mut kept, "tracing.sample_ratio", &mut ours.sample_ratio, &theirs.sample_ratio);
        keep(&mut kept, "tracing.service_name", &mut ours.service_name, &theirs.service_name);
        keep(&mut kept, "tracing.resource", &mut ours.resource, &theirs.resource);
        let (ours, theirs) = (&mut self.receiver.tls_identity, &running.receiver.tls_identity);
        keep_protocol(&mut kept, "receiver.tls_certificate_file", ours, theirs);
        let (ours, theirs) = (&mut self.admin.tls_identity, &running.admin.tls_identity);
        keep_protocol(&mut kept, "admin.tls_certificate_file", ours, theirs);
        kept
    }
}

/// Keeps the value of one key.
fn keep<T: PartialEq + Clone>(kept: &mut Vec<&'static str>, key: &'static str, new: &mut T, running: &T) {
    if new != running {
        new.clone_from(running);
        kept.push(key);
    }
}

/// Keeps a listener at HTTPS or HTTP. Another certificate is fine.
fn keep_protocol(
    kept: &mut Vec<&'static str>,
    key: &'static str,
    new: &mut Option<Identity>,
    running: &Option<Identity>,
) {
    if new.is_some() != running.is_some() {
        new.clone_from(running);
        kept.push(key);
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeMap, path::Path};

    use super::*;
    use crate::config::reference;

    fn config(text: &str) -> Config {
        Config::parse(text, Path::new("test.toml"), &BTreeMap::new()).expect("it is right")
    }

    const ALL_FIXED: &str = r#"
        [receiver]
        listen = "127.0.0.1:1"
        connections_max = 7
        [admin]
        listen = "127.0.0.1:2"
        [redis]
        namespace = "other"
        cluster = true
        [log]
        format = "json"
        filter = "warn"
        [tracing]
        endpoint = "http://127.0.0.1:3"
        headers_file = "/dev/null"
        sample_ratio = 0.5
        service_name = "other"
        resource = ["a=b"]
        "#;

    #[test]
    fn another_kind_of_redis_takes_a_restart_with_its_addresses() {
        let running = config("redis.url = 'redis://a'");
        let mut new = config("[redis]\nurls = ['redis://b', 'redis://c']\ncluster = true");
        assert_eq!(new.keep_fixed(&running), ["redis.cluster"]);
        assert!(new == running);
        let mut new = config("redis.url = 'redis://b'");
        assert!(new.keep_fixed(&running).is_empty() && new != running);
    }

    #[test]
    fn a_key_that_takes_a_restart_keeps_its_value_and_is_named() {
        let running = config("");
        let mut new = config(&format!("{ALL_FIXED}\n[worker]\nprefetch = 3\nconcurrency = 3"));
        let kept = new.keep_fixed(&running);
        assert_eq!((new.worker.prefetch, running.worker.prefetch), (3, 512));
        new.worker = running.worker.clone();
        assert!(new == running && new.keep_fixed(&running).is_empty());
        let (mut page, mut said) = (reference(), Vec::new());
        while let Some((before, after)) = page.split_once("A change takes a restart.") {
            let key =
                before.rsplit_once("### `").and_then(|(_, key)| key.split_once('`')).map(|(key, _)| key);
            said.push(key.expect("it belongs to a key").to_owned());
            page = after.to_owned();
        }
        let (mut kept, mut said) = (kept.iter().map(ToString::to_string).collect::<Vec<_>>(), said);
        kept.sort();
        said.sort();
        assert_eq!(kept, said, "docs/configuration.md says it of these");
    }
}
