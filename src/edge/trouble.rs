//! Infrastructure errors: the one vocabulary of outages, for the gate, `/readyz`, metrics and logs.

/// What keeps us from working.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Trouble {
    /// There is no connection to the broker.
    BrokerDown,
    /// The broker takes no messages: it is short of memory or disk.
    BrokerBlocked,
    /// There is no connection to Redis, or it refuses.
    StoreDown,
    /// It took too long.
    Late,
    /// A queue or binding is missing.
    Topology,
    /// A downstream queue is full.
    DownstreamFull,
    /// The services are there, but no queue is being consumed yet, or not any more.
    NotConsuming,
}

impl Trouble {
    /// The word used in metrics and logs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::BrokerDown => "broker_down",
            Self::BrokerBlocked => "broker_blocked",
            Self::StoreDown => "store_down",
            Self::Late => "late",
            Self::Topology => "topology",
            Self::DownstreamFull => "downstream_full",
            Self::NotConsuming => "not_consuming",
        }
    }
}

impl std::fmt::Display for Trouble {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::BrokerDown => "the broker is not reachable",
            Self::BrokerBlocked => "the broker takes no messages (memory or disk alarm)",
            Self::StoreDown => "Redis is not reachable or refuses",
            Self::Late => "it took too long",
            Self::Topology => "a queue or binding is missing: run `hookswitch topology check`",
            Self::DownstreamFull => "a downstream queue is full",
            Self::NotConsuming => "no queue is being consumed",
        })
    }
}
