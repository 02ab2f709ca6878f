//! What must hold between values that are each valid.

use std::time::Duration;

use url::Url;

use super::{
    addresses::database,
    format::{quoted, quoted_list},
    keys::{Config, Redis, Source, TestRouting},
    read::Reader,
    secret::{Secret, address_without_password},
    subscription::Subscription,
    units::{show_duration, show_size},
};
use crate::core::{shard::ShardBy, webhook::SourceName};

/// Upper bound on a message's headers beside the captured ones: error texts, earlier deaths, and their
/// encoding.
const OWN_HEADER_BYTES: usize = 32 << 10;

/// Memory of a worker in times of the largest body: a body in work exists up to four times, and half of the
/// memory is for those that wait.
const BODIES_MIN: usize = 8;

/// Records every contradiction.
pub(super) fn check(reader: &Reader<'_>, config: &Config) {
    check_services(reader, config);
    check_redis(reader, config);
    check_tls(reader, config);
    check_memory(reader, config);
    check_worker(reader, config);
    for (name, source) in &config.sources {
        check_source(reader, config.dedup.lease, name, source);
    }
    for (name, subscription) in &config.subscriptions {
        subscription.check(reader, name, config.events.redaction_key.as_ref());
        if config.events.test_routing == TestRouting::Apart {
            check_tests(reader, name, subscription);
        }
    }
}

/// Checks that a subscription of tests gets some where they are kept apart.
fn check_tests(reader: &Reader<'_>, name: &str, subscription: &Subscription) {
    let may_match = |pattern: &String| matches!(pattern.split('.').next(), Some("test" | "*" | "#"));
    if subscription.filter.test == Some(true) && !subscription.patterns.iter().any(may_match) {
        let expected = "a pattern that begins with test, as in \"test.call.#\": with \
                        events.test_routing = \"apart\" the routing keys of all tests do";
        let patterns = quoted_list(&subscription.patterns);
        reader.problem(format!("subscriptions.{name}.patterns"), patterns, expected);
    }
}

/// Checks that the addresses fit a single Redis, Sentinels or a cluster.
fn check_redis(reader: &Reader<'_>, config: &Config) {
    let Redis { urls, sentinels, cluster, namespace, .. } = &config.redis;
    let cluster_needs = |key: &str, value: &str, expected: &str| {
        reader.problem(format!("redis.{key}"), value, format!("{expected}, with redis.cluster = true"));
    };
    if *cluster && !sentinels.is_empty() {
        cluster_needs("sentinels", "…", "no Sentinels: a Redis Cluster fails over by itself");
    }
    if *cluster && namespace.starts_with('{') {
        cluster_needs("namespace", &quoted(namespace), "no braces: they would keep all keys on one master");
    }
    let has_database =
        |url: &&Secret| Url::parse(url.reveal()).is_ok_and(|url| !matches!(database(&url), "" | "0"));
    if let Some(url) = urls.iter().find(has_database).filter(|_| *cluster) {
        let url = address_without_password(url.reveal());
        cluster_needs("url", &url, "database 0, which is the only one of a Redis Cluster");
    }
    if !cluster && !sentinels.is_empty() && urls.len() > 1 {
        let expected = "one address: its host is the name of the master in redis.sentinels";
        reader.problem("redis.url", format!("{} addresses", urls.len()), expected);
    }
}

/// Checks that the connections for which there are certificates use them.
fn check_tls(reader: &Reader<'_>, config: &Config) {
    let Config { amqp, redis, .. } = config;
    for (section, scheme, urls, ca, identity) in [
        ("amqp", "amqps://", &amqp.urls, &amqp.tls_ca, &amqp.tls_identity),
        ("redis", "rediss://", &redis.urls, &redis.tls_ca, &redis.tls_identity),
    ] {
        let ca = ca.as_ref().map(|ca| ("tls_ca_file", ca.path()));
        let own = identity.as_ref().map(|own| ("tls_certificate_file", own.path()));
        let has_tls = |url: &str| url.get(..scheme.len()).is_some_and(|s| s.eq_ignore_ascii_case(scheme));
        let is_plain = urls.iter().any(|url| !has_tls(url.reveal()));
        for (key, path) in ca.into_iter().chain(own).filter(|_| is_plain) {
            let expected =
                format!("{scheme} in every address of {section}.url: the others are not encrypted");
            reader.problem(format!("{section}.{key}"), quoted(path), expected);
        }
    }
}

fn check_services(reader: &Reader<'_>, config: &Config) {
    let Config { amqp, receiver, admin, dedup, .. } = config;
    if dedup.lease <= 2 * amqp.confirm_timeout {
        let expected = format!(
            "more than twice amqp.confirm_timeout = {}: a worker must not lose its claim while it waits \
             for a confirm",
            show_duration(amqp.confirm_timeout)
        );
        reader.problem("dedup.lease", show_duration(dedup.lease), expected);
    }
    if receiver.header_bytes_max + OWN_HEADER_BYTES > amqp.frame_max as usize {
        let expected = format!(
            "at least {} more than receiver.header_bytes_max = {}: all headers of a message must fit in one \
             frame",
            show_size(OWN_HEADER_BYTES as u64),
            show_size(receiver.header_bytes_max as u64)
        );
        reader.problem("amqp.frame_max", show_size(amqp.frame_max.into()), expected);
    }
    if receiver.listen == admin.listen && admin.listen.port() != 0 {
        let expected = "another address than receiver.listen: the metrics must not be public";
        reader.problem("admin.listen", admin.listen.to_string(), expected);
    }
    check_done_ttl(reader, dedup.lease, "dedup.done_ttl", dedup.done_ttl);
}

/// Checks that a request with the largest body fits: one source has half of the memory, and a gzipped body
/// takes its size twice.
fn check_memory(reader: &Reader<'_>, config: &Config) {
    let (memory_max, largest) =
        (config.receiver.memory_max, config.sources.values().map(|s| s.body_bytes_max));
    if let Some(largest) = largest.max().filter(|largest| memory_max / 4 < *largest) {
        let expected = format!(
            "at least four times the largest body_bytes_max = {}: two bodies of two sources must fit, as \
             sent and decoded",
            show_size(largest as u64)
        );
        reader.problem("receiver.memory_max", show_size(memory_max as u64), expected);
    }
}

fn check_worker(reader: &Reader<'_>, config: &Config) {
    let Config { worker, sources, .. } = config;
    if worker.concurrency > worker.prefetch.into() {
        let expected = format!("at most worker.prefetch = {}", worker.prefetch);
        reader.problem("worker.concurrency", worker.concurrency.to_string(), expected);
    }
    let largest = sources.iter().max_by_key(|(_, source)| source.body_bytes_max);
    if let Some((name, source)) = largest
        && worker.memory_max < BODIES_MIN * source.body_bytes_max
    {
        let expected = format!(
            "at least {BODIES_MIN} times sources.{name}.body_bytes_max = {}",
            show_size(source.body_bytes_max as u64)
        );
        reader.problem("worker.memory_max", show_size(worker.memory_max as u64), expected);
    }
    for name in worker.sources.iter().flatten().filter(|name| !sources.contains_key(name)) {
        let expected = format!("a configured source, as in [sources.{name}]");
        reader.problem("worker.sources", name.as_str(), expected);
    }
}

fn check_source(reader: &Reader<'_>, lease: Duration, name: &SourceName, source: &Source) {
    if let Some(done_ttl) = source.done_ttl {
        check_done_ttl(reader, lease, &format!("sources.{name}.done_ttl"), done_ttl);
    }
    if let Some(by @ ShardBy::Header(header)) = source.sharding.by()
        && source.auth.proof_header() == Some(header)
    {
        let expected = "another header: this one carries the credential of the sender";
        reader.problem(format!("sources.{name}.shard_by"), format!("\"{by}\""), expected);
    }
}

fn check_done_ttl(reader: &Reader<'_>, lease: Duration, key: &str, done_ttl: Duration) {
    if done_ttl < lease {
        let expected = format!("at least dedup.lease = {}", show_duration(lease));
        reader.problem(key, show_duration(done_ttl), expected);
    }
}
