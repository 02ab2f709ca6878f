//! Infrastructure errors: the program's one vocabulary of outages, for the gate, `/readyz`, metrics and logs.

use std::fmt;

/// Declares each error once: its meaning, its word in metrics and logs, and what an operator is told.
macro_rules! troubles {
    ($($(#[$doc:meta])+ $trouble:ident, $word:literal, $text:literal;)+) => {
        /// An infrastructure error: what keeps a process from working, through no fault of any message.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Trouble {
            $($(#[$doc])+ $trouble),+
        }

        impl Trouble {
            /// All infrastructure errors.
            pub const ALL: &'static [Self] = &[$(Self::$trouble),+];

            /// Returns the word used for the label and the log field `cause`.
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$trouble => $word),+
                }
            }
        }

        impl fmt::Display for Trouble {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(match self {
                    $(Self::$trouble => $text),+
                })
            }
        }
    };
}

troubles! {
    /// There is no connection to the broker.
    BrokerDown, "broker_down",
        "RabbitMQ is unreachable: check that it is running and named by amqp.url";
    /// The broker refuses the user or the password.
    BrokerLogin, "broker_login",
        "RabbitMQ refuses the login: check the user and the password in amqp.url";
    /// The broker refuses the virtual host: it does not exist, or is closed to the user.
    BrokerVhost, "broker_vhost",
        "RabbitMQ refuses the virtual host of amqp.url: check that it exists and that the user may enter it";
    /// The TLS connection to the broker fails.
    BrokerTls, "broker_tls",
        "TLS to RabbitMQ fails: check the port in amqp.url, and whether the certificate is trusted here";
    /// The user lacks a permission on an exchange or queue.
    BrokerDenied, "broker_denied",
        "RabbitMQ denies access to an exchange or queue: grant the permissions listed in docs/permissions.md";
    /// The broker blocks publishing: it is short of memory or disk.
    BrokerBlocked, "broker_blocked",
        "RabbitMQ blocks publishing (memory or disk alarm): free memory or disk space there";
    /// There is no connection to Redis.
    StoreDown, "store_down",
        "Redis is unreachable: check that it runs where redis.url or redis.sentinels says (TLS: rediss://)";
    /// Redis refuses the user or the password.
    StoreLogin, "store_login",
        "Redis refuses the login: check user and password in redis.url, or a Sentinel's in redis.sentinels";
    /// Redis does not permit a command, or a key.
    StoreForbidden, "store_forbidden",
        "Redis does not permit a command or a key: grant its user what docs/redis.md lists";
    /// Redis has no database with the number in `redis.url`.
    StoreDatabase, "store_database",
        "Redis has no such database: check the number at the end of redis.url";
    /// The TLS connection to Redis cannot be made.
    StoreTls, "store_tls",
        "the TLS connection to Redis fails: check its certificate, and whether it speaks TLS at all";
    /// Redis is a replica.
    StoreReadOnly, "store_read_only",
        "Redis is a replica and rejects writes: name its master in redis.urls too, or use redis.sentinels";
    /// Redis has no memory left.
    StoreFull, "store_full",
        "Redis is out of memory: raise its maxmemory, or make room";
    /// Redis cannot save its data or lacks replicas, and rejects writes therefore.
    StoreNotSaving, "store_not_saving",
        "Redis cannot save or copy its data and rejects writes: check its disk, its replicas and its log";
    /// Redis loads its data, runs a script for long, or waits for its master.
    StoreBusy, "store_busy",
        "Redis is loading its data, or busy: if it stays so, check its log";
    /// Redis is a Redis Cluster that does not serve the keys at present, or is not what `redis.cluster` says.
    StoreCluster, "store_cluster",
        "the Redis Cluster does not serve all keys now, or redis.cluster does not fit: see docs/redis.md";
    /// Redis has lost what it held.
    StoreForgot, "store_forgot",
        "Redis has lost its data: the ledger counts anew, and what comes again may be published again";
    /// The keys in Redis belong to another broker or virtual host.
    StoreForeign, "store_foreign",
        "the keys in Redis belong to another broker or virtual host: see redis.namespace in docs/redis.md";
    /// Redis answers with another error.
    StoreRefused, "store_refused",
        "Redis refuses a command: the log names its error";
    /// The broker did not confirm a message in time, or did not take it in time.
    Late, "late",
        "RabbitMQ did not confirm in time: check its load and its disk";
    /// A queue or binding is missing.
    Topology, "topology",
        "a queue or binding is missing: run `hookswitch topology apply`";
    /// A downstream queue is full.
    DownstreamFull, "downstream_full",
        "a downstream queue is full: drain it or raise its length_max";
    /// The services are reachable, but the worker does not consume yet, or no longer.
    NotConsuming, "not_consuming",
        "no queue is being consumed: if this lasts for more than a few seconds, check the worker's log";
}

impl Trouble {
    /// Returns those of the link `broker` or `redis`, first that there is no connection.
    pub fn of_link(link: &str) -> impl Iterator<Item = Self> + Clone {
        let prefix = if link == "broker" { "broker_" } else { "store_" };
        Self::ALL.iter().copied().filter(move |trouble| trouble.as_str().starts_with(prefix))
    }

    /// Returns whether it makes a worker pause, for all sources or for one. The others are waited out by the
    /// delivery that meets them, or keep a worker from starting.
    pub fn pauses(self) -> bool {
        match self {
            Self::Late | Self::NotConsuming => false,
            Self::BrokerDown
            | Self::BrokerLogin
            | Self::BrokerVhost
            | Self::BrokerTls
            | Self::BrokerDenied
            | Self::BrokerBlocked
            | Self::Topology
            | Self::StoreDown
            | Self::StoreLogin
            | Self::StoreForbidden
            | Self::StoreDatabase
            | Self::StoreTls
            | Self::StoreReadOnly
            | Self::StoreFull
            | Self::StoreNotSaving
            | Self::StoreBusy
            | Self::StoreCluster
            | Self::StoreForgot
            | Self::StoreForeign
            | Self::StoreRefused
            | Self::DownstreamFull => true,
        }
    }
}
