//! Every configuration key, declared once: its type, default, accepted values and meaning. Those of
//! subscriptions are in [`subscription`](super::subscription).
//!
//! A declaration is all there is: the field, its reader, `config check --show`, `config example`,
//! `docs/configuration.md` and the "expected …" of error messages come from it. To add a key, add a
//! declaration here and use the field; `HOOKSWITCH_BLESS=1 cargo test --test config` then rewrites the two
//! documents.

use std::{collections::BTreeMap, net::SocketAddr, time::Duration};

use super::{
    addresses::{Service, addresses, sentinels},
    format::{boolean, duration, number, one_of, size},
    items::{FormatItems as _, made_of, table, table_per_word, tables},
    own_secret::own_secret,
    scheme::{
        OnlyFor as _,
        Scheme::{self, Basic, HeaderToken, Hmac, StandardWebhooks, Varda},
        second_secret, secret,
    },
    secret::Secret,
    section::section,
    subscription::Subscription,
    tls::{Authorities, Identity, authorities, identity},
    tracing::Tracing,
    values::{
        content_type, delays, harmless_headers, header_name, log_filter, phone_region, queue_name,
        redis_namespace, schema_base, shard_by, socket_address, source_name, source_names, text,
    },
};
use crate::core::{
    auth::{Algorithm, Auth, Encoding},
    contract::family::SCHEMA_BASE,
    delivery::{fault::Reason, retry::Schedule},
    events::phone::PhoneRegion,
    providers::Provider,
    shard::{SHARDS_MAX, ShardBy, Sharding},
    webhook::SourceName,
};

const MS: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_mins(1);
const HOUR: Duration = Duration::from_hours(1);
const DAY: Duration = Duration::from_hours(24);

const KIB: usize = 1 << 10;
const MIB: usize = 1 << 20;
const GIB: usize = 1 << 30;

/// The most webhooks that a receiver can be told to put into a message.
pub const BUNDLE_MAX: u16 = 1_000;

section! {
    /// Everything that can be configured.
    pub struct Config {
        /// `[amqp]`
        amqp: Amqp = table();
        /// `[redis]`
        redis: Redis = table();
        /// `[receiver]`
        receiver: Receiver = table();
        /// `[admin]`
        admin: Admin = table();
        /// `[worker]`
        worker: Worker = table();
        /// `[retry]`
        retry: Retry = table();
        /// `[dedup]`
        dedup: Dedup = table();
        /// `[events]`
        events: Events = table();
        /// `[log]`
        log: Log = table();
        /// `[tracing]`
        tracing: Tracing = table();
        /// `[sources.<name>]`
        sources: BTreeMap<SourceName, Source> = tables("<name>", "varda-eu", source_name);
        /// `[subscriptions.<queue>]`
        subscriptions: BTreeMap<String, Subscription> = tables("<queue>", "crm.calls", queue_name);
    }
}

section! {
    /// The RabbitMQ broker.
    pub struct Amqp {
        /// The broker's address, ending in the percent-encoded virtual host (`%2f` is `/`).
        /// Several addresses of one cluster are separated by commas. Every connection starts with a random
        /// one of them, and tries the next one in parallel after a second without an answer.
        urls: Vec<Secret> = addresses(Service::Broker, "amqp://guest:guest@127.0.0.1:5672/%2f", [
            "amqp://user:password@rabbit-1:5672/%2f",
            "amqp://user:password@rabbit-2:5672/%2f",
        ]);
        /// The CAs that the broker's certificate may come from, in place of those that this machine trusts.
        /// Only for amqps://.
        tls_ca: Option<Authorities> = authorities();
        /// The certificate to present to a broker that asks for one. Only for amqps://.
        tls_identity: Option<Identity> = identity();
        /// Time limit for connecting and setting up.
        connect_timeout: Duration = duration(100 * MS..=5 * MINUTE).default(10 * SECOND);
        /// Interval of heartbeats. A connection that is silent for twice as long is considered dead.
        heartbeat: Duration = duration(SECOND..=HOUR).default(10 * SECOND);
        /// Time to wait for a publisher confirm before the outcome counts as unknown.
        confirm_timeout: Duration = duration(100 * MS..=5 * MINUTE).default(10 * SECOND);
        /// Channels to publish on. RabbitMQ confirms messages in groups, and more channels make the groups
        /// smaller: measure before you raise it.
        publish_channels: usize = number(1..=64).default(1);
        /// Upper bound on the unconfirmed messages of one channel.
        publish_window: usize = number(1..=65_535).default(256);
        /// Largest frame. A connection keeps 64 of them in memory. All headers of a message must fit in one
        /// frame, so it must be at least 32 KiB more than `receiver.header_bytes_max`. Lower it only while
        /// raw queues, delay queues and dead-letter queues are empty.
        frame_max: u32 = size(40 * 1024..=1024 * 1024).default(64 * 1024);
    }
}

section! {
    /// The store of idempotency keys.
    pub struct Redis {
        /// The store's address. Redis must not evict keys: set its `maxmemory-policy` to `noeviction`.
        /// Several addresses, those of a master and its replicas, are separated by commas. The one that
        /// accepts writes is used. After a failover the old master must not come back as a master.
        /// With `sentinels` there is one address, and its host is the name of the master there, as in
        /// redis://user:password@mymaster/0. With `cluster` they are those of some servers of the cluster.
        urls: Vec<Secret> = addresses(Service::Store, "redis://127.0.0.1:6379/0", [
            "redis://redis-1:6379/0",
            "redis://redis-2:6379/0",
        ]);
        /// The Sentinels that know the master, each with a login of its own if it asks for one. All of them
        /// are asked whenever a connection is made.
        sentinels: Vec<Secret> = sentinels();
        /// Whether Redis is a Redis Cluster. The keys have other names there than on a single Redis: what is
        /// done on one is not done on the other. A change takes a restart.
        cluster: bool = boolean().default(false);
        /// The CAs that the certificate of Redis may come from, in place of those that this machine trusts.
        /// Only for rediss://.
        tls_ca: Option<Authorities> = authorities();
        /// The certificate to present to a Redis that asks for one. Only for rediss://.
        tls_identity: Option<Identity> = identity();
        /// The beginning of the names of all keys in Redis: they are `<namespace>:…`. Deployments that share
        /// a database need one each; workers refuse to start with one that belongs to another broker or
        /// virtual host. In braces, as in `"{hookswitch}"`, it is a hash tag for a proxy.
        /// A change takes a restart.
        namespace: String = redis_namespace().default("hookswitch".to_owned());
        /// Time limit of one command.
        timeout: Duration = duration(10 * MS..=MINUTE).default(SECOND);
    }
}

section! {
    /// The HTTP server that receives webhooks.
    pub struct Receiver {
        /// Address that webhooks are posted to, at `/in/<source>`. A change takes a restart.
        listen: SocketAddr = socket_address().default(([127, 0, 0, 1], 8080).into());
        /// The certificate of the receiver. With it `receiver.listen` speaks HTTPS, and without it HTTP.
        /// Another certificate is presented at the next handshake; to change between HTTPS and HTTP takes a
        /// restart.
        tls_identity: Option<Identity> = identity();
        /// Time limit for a request's headers, and again for its body. With HTTPS, before them, for the
        /// handshake of a connection.
        read_timeout: Duration = duration(100 * MS..=5 * MINUTE).default(10 * SECOND);
        /// Time for which a connection may wait for its next request.
        /// Keep it longer than the idle time of a proxy in front (60 s in nginx and AWS load balancers, 90 s
        /// in Traefik, 600 s in Google's): otherwise the proxy may send a webhook on a connection that is
        /// just being closed. To a connection that becomes idle while more than half of `connections_max`
        /// are open, `read_timeout` applies instead.
        idle_timeout: Duration = duration(100 * MS..=HOUR).default(100 * SECOND);
        /// Time for which a sender may take nothing of its answers before its connection is cut.
        write_timeout: Duration = duration(100 * MS..=5 * MINUTE).default(10 * SECOND);
        /// Age of a connection at which the next answer closes it.
        connection_age_max: Duration = duration(SECOND..=DAY).default(10 * MINUTE);
        /// Time limit for the broker's confirm. After it the sender gets a 503.
        /// Keep it below the shortest time-out of the providers (10 s), so that they see the 503.
        confirm_timeout: Duration = duration(100 * MS..=MINUTE).default(5 * SECOND);
        /// Value of `Retry-After` in a 503, sent in seconds.
        retry_after: Duration = duration(SECOND..=HOUR).default(5 * SECOND);
        /// Upper bound on open connections. Further ones wait. A connection keeps up to 64 KiB beside what
        /// `memory_max` counts. A change takes a restart.
        connections_max: usize = number(1..=1_000_000).default(1_024);
        /// Upper bound on the bytes of all requests in progress: heads, and bodies as they arrive. A request
        /// that does not fit gets a 503 at once. With more than one source, the requests to one of them take
        /// at most half. It must be at least four times the largest `body_bytes_max`.
        ///
        /// A receiver needs about twice as much memory, 64 KiB for each connection, and 32 MiB.
        memory_max: usize = size(4 * KIB..=64 * 1024 * MIB).default(64 * MIB);
        /// Upper bound on the webhooks of one source that are on their way to the broker while another source
        /// sends too (within the last 10 s). Further ones wait for half of `confirm_timeout` and get a 503
        /// then, so that a flood of one source does not delay the others. A source that sends alone has no
        /// such limit.
        ///
        /// It also limits what a source can send. A webhook waits for the confirm of the message before its
        /// own, and then for its own: 128 with confirms that take 10 ms are at least 6,400 webhooks per
        /// second and process.
        concurrency_shared: usize = number(1..=65_535).default(128);
        /// Upper bound on the captured headers of a webhook, in which quotes, backslashes and tabs count
        /// twice. Headers beyond it are left out and counted.
        header_bytes_max: usize = size(0..=64 * KIB).default(8 * KIB);
        /// The most webhooks that share one message and its confirm. Webhooks that arrive while an earlier
        /// message to their raw queue is not confirmed go out together: a bundle costs RabbitMQ little more
        /// than one webhook. A webhook that arrives alone goes out at once, as it came. With 1 every webhook
        /// is a message of its own.
        bundle_max: usize = number(1..=usize::from(BUNDLE_MAX)).default(64);
        /// Upper bound on the bytes of a bundle. A larger webhook is a message of its own.
        bundle_bytes_max: usize = size(KIB..=MIB).default(64 * KIB);
    }
}

section! {
    /// The HTTP server for operators.
    pub struct Admin {
        /// Address that serves `/livez`, `/readyz`, `/metrics` and `/schemas`. Keep it private.
        /// A change takes a restart.
        listen: SocketAddr = socket_address().default(([127, 0, 0, 1], 9464).into());
        /// The certificate of the listener for operators. With it `admin.listen` speaks HTTPS, and without it
        /// HTTP. Another certificate is presented at the next handshake; to change between HTTPS and HTTP
        /// takes a restart.
        tls_identity: Option<Identity> = identity();
        /// The token that `/metrics` asks for, as `Authorization: Bearer <token>`. Without it everyone who
        /// reaches the listener can read the metrics. Probes and schemas never need it.
        token: Option<Secret> = own_secret(["token", "token_file"], "\"/run/secrets/admin_token\"");
    }
}

section! {
    /// The processing of webhooks.
    pub struct Worker {
        /// Memory for webhooks in one process, over all raw queues. Bodies that have no room go back to their
        /// queue, and from then on the process asks that queue for fewer messages than `prefetch`. The
        /// process needs 64 MiB beside it, and 16 times the largest `body_bytes_max` to read a body of many
        /// tiny values: 208 MiB by default. Must be at least 8 times the largest `body_bytes_max`.
        memory_max: usize = size(MIB..=64 * GIB).default(128 * MIB);
        /// Unacknowledged webhooks per raw queue and process, about: a bundle of many counts as what bundles
        /// held of late, on average. A source has one raw queue per shard. There are fewer after bodies had
        /// no room in `memory_max`. Twice `concurrency` is best: the
        /// next batch is then at hand when one is finished.
        prefetch: u16 = number(1..=65_535).default(512);
        /// Webhooks in progress per raw queue and process, at most `prefetch`.
        /// They are claimed, published and acknowledged in batches, which makes processing fast. A worker
        /// that dies may publish the events of that many webhooks twice.
        concurrency: usize = number(1..=65_535).default(256);
        /// The same while another source has messages too (within the last 10 s), so that a flood of one
        /// source does not delay the others. A lower value makes the others faster; a higher one works off a
        /// backlog faster. A raw queue never has more than `concurrency` webhooks in progress.
        concurrency_shared: usize = number(1..=65_535).default(32);
        /// Time limit for a shutdown. After it, messages in progress are requeued.
        grace: Duration = duration(SECOND..=HOUR).default(30 * SECOND);
        /// Largest event to publish. Set it to the broker's own limit (`max_message_size`: by default 16 MiB
        /// in RabbitMQ 4 and 128 MiB in RabbitMQ 3, never more than 512 MiB).
        event_bytes_max: usize = size(KIB..=512 * MIB).default(16 * MIB);
        /// The sources that this process works on. All of them if absent.
        sources: Option<Vec<SourceName>> = source_names().optional(r#"["varda-eu"]"#);
    }
}

section! {
    /// Retries and their delays.
    pub struct Retry {
        /// Delays before the first retry, the second, and so on. Each has a delay queue.
        tiers: Vec<Duration> = delays().default(vec![5 * SECOND, 30 * SECOND, 2 * MINUTE, 10 * MINUTE, HOUR]);
        /// Delay of a message that is blocked through no fault of its own.
        wait: Duration = duration(100 * MS..=HOUR).default(SECOND);
        /// Retries of a message whose processing panicked.
        panic_retries: u32 = number(0..=1_000).default(5);
        /// Deliveries of one message by the broker before it becomes a dead letter. Protects from a message
        /// that kills its worker.
        delivery_limit: u32 = number(1..=1_000_000).default(100);
        /// Retries before a message that failed for one of these reasons becomes a dead letter.
        /// Such a message fails in the same way every time, so 0 is right unless a newer version is being
        /// rolled out. The exception is `unreadable_key`: a key that was overwritten in Redis may be repaired
        /// meanwhile.
        retries: BTreeMap<Reason, u32> = table_per_word(reasons_to_retry(), number(0..=1_000));
    }
}

section! {
    /// The memory of claimed and processed webhooks.
    pub struct Dedup {
        /// Lease of a worker's claim on a webhook. Must be more than twice `amqp.confirm_timeout`.
        lease: Duration = duration(SECOND..=HOUR).default(30 * SECOND);
        /// How long a processed webhook is remembered. Providers redeliver and replay for days.
        done_ttl: Duration = duration(MINUTE..=365 * DAY).default(7 * DAY);
    }
}

section! {
    /// The events that workers publish.
    pub struct Events {
        /// Routing of the events that the provider marks as tests: as all others, or apart from them under
        /// `test.<type>.<source>`, so that the pattern `call.#` does not match them. Bind a queue to `test.#`
        /// then, or they are kept in `events.unrouted`.
        test_routing: TestRouting = one_of([("same", TestRouting::Same), ("apart", TestRouting::Apart)])
            .default(TestRouting::Same);
        /// Start of the ids of the events' schemas, which `dataschema` names. Set it to where your consumers
        /// can read them: a copy of the folder that `hookswitch schema --all --out` writes, or `/schemas` at
        /// `admin.listen`. The default identifies the schemas, but no host has that name.
        schema_base: String = schema_base().default(SCHEMA_BASE.to_owned());
        /// Key of the tokens in redacted copies: see `redact` of subscriptions. Whoever has it can tell which
        /// phone number a token stands for, by trying them all. With another key all tokens change.
        redaction_key: Option<Secret> =
            own_secret(["redaction_key", "redaction_key_file"], "\"/run/secrets/redaction_key\"");
    }
}

section! {
    /// Logging.
    pub struct Log {
        /// Format of log lines: for people, or one JSON object per line. Lines for people are coloured on a
        /// terminal, unless `NO_COLOR` is set. A change takes a restart.
        format: LogFormat = one_of([("pretty", LogFormat::Pretty), ("json", LogFormat::Json)])
            .default(LogFormat::Pretty);
        /// What is logged: a level, or levels by module, as in `"info,hookswitch::app=debug"`.
        /// A change takes a restart.
        filter: String = log_filter().default("info".to_owned());
    }
}

section! {
    /// One endpoint, `POST /in/<name>`. The name consists of 1 to 63 characters of `a-z`, `0-9` and `-`.
    pub struct Source {
        /// The provider that posts to it.
        provider: Provider = one_of(Provider::ALL.iter().map(|provider| (provider.as_str(), *provider)))
            .required(r#""varda""#);
        /// Authentication of the sender.
        auth: Auth = made_of::<AuthKeys>();
        /// Largest body. RabbitMQ 4 accepts no larger message by default (`max_message_size`), and closes the
        /// channel over it. An event is some hundred bytes larger than its webhook: see
        /// `worker.event_bytes_max`. For the memory of workers see `worker.memory_max`.
        body_bytes_max: usize = size(1..=16 * MIB).default(MIB);
        /// Headers to capture in addition to `traceparent`, `tracestate` and those that the provider
        /// documents.
        capture_headers: Vec<String> = harmless_headers().default(Vec::new());
        /// Body of a 200 response.
        answer_body: String = text().default(String::new());
        /// Content type of a 200 response. Not sent with an empty body.
        answer_content_type: String = content_type().default("text/plain; charset=utf-8".to_owned());
        /// What happens to an unknown event type: it becomes a dead letter, or it is published as
        /// `provider.unmapped`.
        unsupported: Unsupported =
            one_of([("dead_letter", Unsupported::DeadLetter), ("pass_on", Unsupported::PassOn)])
                .default(Unsupported::DeadLetter);
        /// Region (ISO 3166) whose phone numbers its provider writes as they are dialled there. They then get
        /// an E.164 form too. Without it, only numbers with `+` have one (of wavix also those without).
        phone_region: Option<PhoneRegion> = phone_region().optional(r#""DE""#);
        /// How long a processed webhook is remembered, if not for `dedup.done_ttl`.
        done_ttl: Option<Duration> = duration(MINUTE..=365 * DAY).optional(r#""7d""#);
        /// Its raw queues.
        sharding: Sharding = made_of::<ShardKeys>();
    }
}

section! {
    /// The keys of a source's authentication.
    pub(super) struct AuthKeys {
        /// Authentication of the sender:
        /// - `"none"`: senders are not authenticated. Must be written explicitly.
        /// - `"header_token"`: `auth_header` holds the secret (in `Authorization` also after `Bearer`).
        /// - `"basic"`: HTTP basic authentication with `auth_user`; the secret is the password.
        /// - `"hmac"`: `auth_header` holds `auth_prefix` and the HMAC of the raw body.
        /// - `"varda"`: the signature in `X-Varda-Signature`.
        /// - `"standard_webhooks"`: `webhook-id`, `webhook-timestamp` and `webhook-signature`; the secret is
        ///   base64, usually after `whsec_`.
        auth: Scheme = one_of(Scheme::ALL)
            .note("; write auth = \"none\" explicitly to accept unauthenticated requests")
            .required(r#""varda""#);
        /// Header that carries the secret or the signature.
        auth_header: Option<String> = header_name()
            .required(r#""x-signature""#)
            .only_for(&[HeaderToken, Hmac]);
        /// User name.
        auth_user: Option<String> = text().required(r#""varda""#).only_for(&[Basic]);
        /// Text before the signature, as in `"sha256="`.
        auth_prefix: Option<String> = text().default(String::new()).only_for(&[Hmac]);
        /// Hash of the signature.
        auth_algorithm: Option<Algorithm> =
            one_of([("sha1", Algorithm::Sha1), ("sha256", Algorithm::Sha256), ("sha512", Algorithm::Sha512)])
                .default(Algorithm::Sha256)
                .only_for(&[Hmac]);
        /// Encoding of the signature.
        auth_encoding: Option<Encoding> = one_of([("hex", Encoding::Hex), ("base64", Encoding::Base64)])
            .default(Encoding::Hex)
            .only_for(&[Hmac]);
        /// Largest difference, either way, between the time in a signature and the receiver's.
        auth_tolerance: Option<Duration> = duration(SECOND..=DAY)
            .default(5 * MINUTE)
            .only_for(&[Varda, StandardWebhooks]);
        /// The secret. Every `auth` except `"none"` needs one of `secret_env`, `secret_file` and `secret`.
        secret: Option<Secret> = secret("VARDA_EU_SECRET");
        /// A second secret that is accepted too, for rotation.
        second_secret: Option<Secret> = second_secret("VARDA_EU_SECRET_NEXT");
    }
}

section! {
    /// The keys of a source's sharding.
    pub(super) struct ShardKeys {
        /// Number of raw queues: more than one where a single quorum queue is the bottleneck.
        /// Run `hookswitch topology apply` before receivers see a higher number. After a lower one, workers
        /// still consume the queues that are left over.
        shards: u8 = number(1..=SHARDS_MAX).default(1);
        /// What keeps the webhooks of one call in one raw queue: a value in the body, or a header, which is
        /// then captured. Without it, or for webhooks that lack the value, the queues take turns.
        shard_by: Option<ShardBy> = shard_by().optional(r#""/data/id""#);
    }
}

/// The format of log lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Pretty,
    /// One JSON object per line.
    Json,
}

/// The routing of tests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TestRouting {
    /// As all other events.
    Same,
    /// Under a routing key that begins with `test.`.
    Apart,
}

/// The handling of an unknown event type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unsupported {
    /// It becomes a dead letter, `unsupported_event`.
    DeadLetter,
    /// It is published as `provider.unmapped`.
    PassOn,
}

impl Retry {
    /// Returns the schedule for the core.
    pub fn schedule(&self) -> Schedule {
        Schedule::new(&self.tiers, self.wait, self.retries.clone(), self.panic_retries)
    }
}

/// Returns the reasons that can be retried, with the default number of retries. The others say that a message
/// has been retried enough, or that the broker dead-lettered it.
fn reasons_to_retry() -> impl Iterator<Item = (&'static str, Reason, u32)> {
    let retried =
        |reason: &Reason| *reason != Reason::RetriesExhausted && !Reason::OF_THE_BROKER.contains(reason);
    let default = |reason| if reason == Reason::UnreadableKey { 5 } else { 0 };
    Reason::ALL.into_iter().filter(retried).map(move |reason| (reason.as_str(), reason, default(reason)))
}
