//! Metrics of the connections to RabbitMQ and Redis.

use std::{
    sync::{Arc, Mutex, PoisonError, atomic::AtomicU64},
    time::{Duration, Instant},
};

use prometheus_client::metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram};

use super::{
    registry::{Registry, labels},
    share::GaugeShare,
};
use crate::edge::trouble::Trouble;

/// Bounds of the buckets of `hookswitch_link_answer_seconds`, in seconds.
const ANSWER_SECONDS: [f64; 14] =
    [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

labels! {
    LinkLabels { link: &'static str }
    LinkCauseLabels { link: &'static str, cause: &'static str }
}

/// The metrics of all connections of a process.
#[derive(Clone, Debug)]
pub struct Links {
    up: Family<LinkLabels, Gauge>,
    connects: Family<LinkLabels, Counter>,
    reconnects: Family<LinkCauseLabels, Counter>,
    down_seconds: Family<LinkCauseLabels, Counter<f64, AtomicU64>>,
    answer_seconds: Family<LinkLabels, Histogram>,
    pending: Family<LinkLabels, Gauge>,
    pending_max: Family<LinkLabels, Gauge>,
}

/// The metrics of one connection to an outside service.
#[derive(Debug)]
pub struct LinkMetrics {
    link: &'static str,
    all: Links,
    up: Gauge,
    answer_seconds: Histogram,
    pending: Gauge,
    state: Mutex<State>,
}

/// Whether the connection can be used, and the time up to which that is counted.
#[derive(Debug)]
struct State {
    trouble: Option<Trouble>,
    counted: Instant,
}

impl Links {
    /// Creates the metrics. A process begins those of the connections that it has.
    pub fn register(registry: &mut Registry) -> Self {
        Self {
            up: registry.gauges(
                "hookswitch_link_up",
                "1 if the connection can be used, 0 if not or if the broker blocks publishers",
            ),
            connects: registry.counters(
                "hookswitch_connects_total",
                "Connections that were opened and could be used: more than one shows that one was lost",
            ),
            reconnects: registry
                .counters("hookswitch_reconnects_total", "Connections that were lost or could not be opened"),
            down_seconds: registry.counters(
                "hookswitch_link_down_seconds_total",
                "Time during which the connection could not be used: workers paused, receivers answered 503",
            ),
            answer_seconds: registry.histograms(
                "hookswitch_link_answer_seconds",
                "Time from sending to the answer: RabbitMQ's confirm of all messages of a batch, or Redis' \
                 reply",
                || Histogram::new(ANSWER_SECONDS),
            ),
            pending: registry
                .gauges("hookswitch_link_pending", "Messages without a confirm, or commands without a reply"),
            pending_max: registry.gauges(
                "hookswitch_link_pending_max",
                "Most messages without a confirm: amqp.publish_window times amqp.publish_channels",
            ),
        }
    }

    /// Creates the series of a connection, which is down at first, and what counts for it.
    pub fn begin(&self, link: &'static str) -> Arc<LinkMetrics> {
        let (labels, down) = (LinkLabels { link }, Trouble::of_link(link));
        drop(self.connects.get_or_create(&labels));
        for cause in down.clone().map(Trouble::as_str) {
            drop(self.reconnects.get_or_create(&LinkCauseLabels { link, cause }));
            drop(self.down_seconds.get_or_create(&LinkCauseLabels { link, cause }));
        }
        Arc::new(LinkMetrics {
            link,
            up: self.up.get_or_create(&labels).clone(),
            answer_seconds: self.answer_seconds.get_or_create(&labels).clone(),
            pending: self.pending.get_or_create(&labels).clone(),
            state: Mutex::new(State { trouble: down.into_iter().next(), counted: Instant::now() }),
            all: self.clone(),
        })
    }
}

impl LinkMetrics {
    /// Creates the metrics of a connection that is deliberately not exported, such as that of a command,
    /// which has no `/metrics`.
    pub fn unexported() -> Arc<Self> {
        Links::register(&mut Registry::new()).begin("broker")
    }

    /// Sets the most messages that may wait for their confirms.
    pub fn set_pending_max(&self, max: usize) {
        let max = i64::try_from(max).unwrap_or(i64::MAX);
        self.all.pending_max.get_or_create(&LinkLabels { link: self.link }).set(max);
    }

    /// Takes note of what keeps the connection from being used, if anything.
    pub fn turned(&self, trouble: Option<Trouble>) {
        self.count_down_time(|state| state.trouble = trouble);
        self.up.set(i64::from(trouble.is_none()));
    }

    /// Counts a connection that was opened. It can be used unless the broker blocks publishers already.
    pub fn connected(&self, trouble: Option<Trouble>) {
        self.all.connects.get_or_create(&LinkLabels { link: self.link }).inc();
        self.turned(trouble);
    }

    /// Counts a connection that was lost or could not be opened.
    pub fn lost(&self, trouble: Trouble) {
        let labels = LinkCauseLabels { link: self.link, cause: trouble.as_str() };
        self.all.reconnects.get_or_create(&labels).inc();
        self.turned(Some(trouble));
    }

    /// Counts the time until now, before the metrics are read.
    pub fn refresh(&self) {
        self.count_down_time(|_| {});
    }

    fn count_down_time(&self, then: impl FnOnce(&mut State)) {
        let (mut state, now) = (self.state.lock().unwrap_or_else(PoisonError::into_inner), Instant::now());
        if let Some(trouble) = state.trouble {
            let labels = LinkCauseLabels { link: self.link, cause: trouble.as_str() };
            self.all.down_seconds.get_or_create(&labels).inc_by((now - state.counted).as_secs_f64());
        }
        state.counted = now;
        then(&mut state);
    }

    /// Counts an answer that came after `took`.
    pub fn answered(&self, took: Duration) {
        self.answer_seconds.observe(took.as_secs_f64());
    }

    /// Returns a share of what waits for an answer; nothing at first.
    pub fn pending(&self) -> GaugeShare {
        GaugeShare::of(&self.pending)
    }

    /// Counts a command as waiting for its reply until the guard is dropped.
    pub fn pending_one(&self) -> GaugeShare {
        GaugeShare::one(&self.pending)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_without_a_connection_is_counted_while_it_passes_and_by_its_cause() {
        let mut registry = Registry::new();
        let link = Links::register(&mut registry).begin("broker");
        let down = |cause: &str| {
            let line = format!("hookswitch_link_down_seconds_total{{link=\"broker\",cause=\"{cause}\"}} ");
            let text = registry.encode();
            text.lines().find_map(|found| found.strip_prefix(&line)?.parse::<f64>().ok()).unwrap()
        };
        link.connected(None);
        let before = down("broker_down");
        assert!(registry.encode().contains("hookswitch_link_up{link=\"broker\"} 1"));
        link.turned(Some(Trouble::BrokerBlocked));
        std::thread::sleep(Duration::from_millis(5));
        link.refresh();
        let blocked = down("broker_blocked");
        assert!(blocked >= 0.005, "{blocked}");
        assert!(registry.encode().contains("hookswitch_link_up{link=\"broker\"} 0"));
        link.lost(Trouble::BrokerLogin);
        assert!(down("broker_blocked") >= blocked);
        assert!((down("broker_down") - before).abs() < f64::EPSILON);
        let lost = "hookswitch_reconnects_total{link=\"broker\",cause=\"broker_login\"} 1";
        assert!(registry.encode().contains(lost));
    }
}
