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
    /// There is no connection to Redis, or it rejects writes.
    StoreDown, "store_down",
        "Redis is unreachable or rejects writes: check that it is running, not full, and named by redis.url";
    /// The broker did not confirm a message in time, or did not take it in time.
    Late, "late",
        "RabbitMQ did not confirm in time: check its load and its disk";
    /// A queue or binding is missing.
    Topology, "topology",
        "a queue or binding is missing: run `hookswitch topology check`";
    /// A downstream queue is full.
    DownstreamFull, "downstream_full",
        "a downstream queue is full: drain it or raise its length_max";
    /// The services are reachable, but the worker does not consume yet, or no longer.
    NotConsuming, "not_consuming",
        "no queue is being consumed: if this lasts for more than a few seconds, check the worker's log";
}
