//! `[subscriptions.<queue>]`: the queues of consumers.

use std::time::Duration;

use super::{
    format::{boolean, duration, number, one_of, size},
    items::{FormatItems as _, Parts, made_of},
    read::Reader,
    redaction::Redact,
    secret::Secret,
    section::section,
    units::show_duration,
    values::{patterns, some_text},
};
use crate::core::events::{data::Direction, filter::Filter};

const MINUTE: Duration = Duration::from_mins(1);
const YEARS: Duration = Duration::from_hours(24 * 3660);

const MIB: u64 = 1 << 20;
const TIB: u64 = 1 << 40;

section! {
    /// A durable queue for a consumer, bound to the events.
    /// Its name consists of 1 to 200 visible ASCII characters, and is none that hookswitch or RabbitMQ uses.
    pub struct Subscription {
        /// Patterns of the routing keys, which are `<type>.<source>`, as in `call.answered.varda-eu`.
        /// `*` stands for one word and `#` for any number of words.
        patterns: Vec<String> = patterns().required(r##"["call.#"]"##);
        /// Which of the events that match a pattern.
        filter: Filter = made_of::<FilterKeys>();
        /// What becomes of personal data.
        redact: Redact = made_of::<Redact>();
        /// What holds the events. A `"queue"` is worked off: an event leaves it once its consumer acks it. A
        /// `"stream"` is history: it keeps events for `retention`, and each of its readers begins wherever it
        /// wants.
        kind: Kind = one_of([("queue", Kind::Queue), ("stream", Kind::Stream)]).default(Kind::Queue);
        /// Messages that the queue accepts, after which `overflow` applies. No limit if absent.
        length_max: Option<u32> = number(1..=u32::MAX).optional("1000000");
        /// Size of all messages together: after it `overflow` applies, or a stream drops its oldest events.
        /// No limit if absent.
        bytes_max: Option<u64> = size(MIB..=16 * TIB).optional(r#""10GiB""#);
        /// What a full queue does. With `"reject"` it takes no more: workers wait, so that no event is lost,
        /// and the events of all other queues wait with it. With `"drop_oldest"` it loses its oldest events.
        overflow: Overflow =
            one_of([("reject", Overflow::Reject), ("drop_oldest", Overflow::DropOldest)])
                .default(Overflow::Reject);
        /// How long a stream keeps events. It drops them in segments of up to 50 MB, the current one never,
        /// so that a stream with little traffic keeps them longer.
        retention: Option<Duration> = duration(MINUTE..=YEARS).optional(r#""7d""#).alternative();
    }
}

section! {
    /// The keys of a subscription's filter.
    pub(super) struct FilterKeys {
        /// Only events that the provider marks as tests, or only others. Workers apply these four filters.
        /// When a queue gets its first filter, all workers must have it before `hookswitch topology apply`.
        /// Otherwise it misses events.
        test: Option<bool> = boolean().optional("false");
        /// Only events with this direction: calls, messages and engagements have one.
        direction: Option<Direction> =
            one_of([("inbound", Direction::Inbound), ("outbound", Direction::Outbound)])
                .optional(r#""inbound""#);
        /// Only events of this tenant.
        tenant: Option<String> = some_text().optional(r#""acme-7""#);
        /// Only events of this connector.
        connector: Option<String> = some_text().optional(r#""hubspot""#);
    }
}

impl Parts for FilterKeys {
    type Whole = Filter;

    fn assemble(self) -> Option<Filter> {
        let Self { test, direction, tenant, connector } = self;
        Some(Filter { test, direction, tenant, connector })
    }

    fn of(whole: &Filter) -> Self {
        let Filter { test, direction, tenant, connector } = whole.clone();
        Self { test, direction, tenant, connector }
    }
}

/// What holds the events of a subscription.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A quorum queue: an event leaves it once it is acked.
    Queue,
    /// A stream: events stay for a time, however often they are read.
    Stream,
}

/// What a full queue does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Overflow {
    /// It refuses new events, whose workers wait.
    Reject,
    /// It drops its oldest events.
    DropOldest,
}

impl Subscription {
    /// Records the contradictions among the keys of the subscription `name`.
    pub(super) fn check(&self, reader: &Reader<'_>, name: &str, redaction_key: Option<&Secret>) {
        self.redact.check(reader, name, redaction_key);
        let problem = |key: &str, value: String, expected: &str| {
            reader.problem(format!("subscriptions.{name}.{key}"), value, expected);
        };
        let drops = self.overflow == Overflow::DropOldest;
        match self.kind {
            Kind::Queue => {
                if let Some(retention) = self.retention {
                    let expected = "not to be set for a queue, or kind = \"stream\"";
                    problem("retention", show_duration(retention), expected);
                }
                if drops && self.length_max.is_none() && self.bytes_max.is_none() {
                    let expected = "length_max or bytes_max beside it: without a limit nothing overflows";
                    problem("overflow", "\"drop_oldest\"".to_owned(), expected);
                }
            }
            Kind::Stream => {
                if self.retention.is_none() && self.bytes_max.is_none() {
                    let expected = "a duration, or bytes_max beside it: otherwise the stream grows for good";
                    problem("retention", "(missing)".to_owned(), expected);
                }
                if let Some(length_max) = self.length_max {
                    let expected = "not to be set for a stream: its limits are retention and bytes_max";
                    problem("length_max", length_max.to_string(), expected);
                }
                if drops {
                    let expected = "not to be set for a stream, which always drops its oldest events";
                    problem("overflow", "\"drop_oldest\"".to_owned(), expected);
                }
            }
        }
    }
}
