//! What Prometheus sees. Labels come from closed lists or from the configuration, never from a sender.

pub mod receiver;

use std::{
    collections::{BTreeMap, HashSet},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use jiff::Timestamp;
use prometheus_client::{
    encoding::{EncodeLabelSet, text},
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram, info::Info},
    registry::Registry,
};

use super::trouble::Trouble;
use crate::core::{
    delivery::{disposition::Disposition, fault::Reason, retry::Tier},
    ledger::Sum,
    providers::{Drift, Provider},
    webhook::SourceName,
};

/// Paths of drift that are told apart for each provider; the rest counts as `other`. A sender chooses the names of
/// its fields, and must not be able to fill the memory of whoever scrapes us.
const DRIFT_PATHS_MAX: usize = 100;

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct SourceLabel {
    source: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct DispositionLabels {
    source: String,
    disposition: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct TierLabels {
    source: String,
    tier: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ReasonLabels {
    source: String,
    reason: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct DuplicateLabels {
    source: String,
    body: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct EventLabels {
    source: String,
    r#type: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct LedgerLabels {
    source: String,
    state: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CauseLabel {
    cause: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct DriftLabels {
    provider: &'static str,
    path: String,
    class: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct LinkLabel {
    link: &'static str,
}

/// A registry with what every process tells of itself.
pub fn registry() -> Registry {
    let mut registry = Registry::default();
    let build = Info::new([("version", env!("CARGO_PKG_VERSION"))]);
    registry.register("hookswitch_build", "The program's version", build);
    registry
}

/// The text that `/metrics` answers.
pub fn encode(registry: &Registry) -> String {
    let mut text = String::new();
    // Writing to a String cannot fail.
    let _ = text::encode(&mut text, registry);
    text
}

/// One connection to an outside service.
#[derive(Debug, Default)]
pub struct LinkMetrics {
    /// How often it was lost or could not be made.
    pub reconnects: Counter,
}

impl LinkMetrics {
    /// Makes and registers the metrics of several links.
    pub fn register<const N: usize>(registry: &mut Registry, links: [&'static str; N]) -> [Arc<Self>; N] {
        let family = Family::<LinkLabel, Counter>::default();
        registry.register("hookswitch_reconnects", "Connections lost or not made, by link", family.clone());
        links.map(|link| Arc::new(Self { reconnects: family.get_or_create(&LinkLabel { link }).clone() }))
    }
}

/// What a worker counts.
#[derive(Debug)]
pub struct WorkerMetrics {
    dispositions: Family<DispositionLabels, Counter>,
    events: Family<EventLabels, Counter>,
    duplicates: Family<DuplicateLabels, Counter>,
    retries: Family<TierLabels, Counter>,
    dead: Family<ReasonLabels, Counter>,
    unlisted: Family<SourceLabel, Counter>,
    handle_seconds: Family<SourceLabel, Histogram>,
    in_flight: Family<SourceLabel, Gauge>,
    pauses: Family<CauseLabel, Counter>,
    ledger: Family<LedgerLabels, Gauge>,
    ledger_queued: Gauge,
    ledger_drawn: Gauge,
    drift: Family<DriftLabels, Counter>,
    drift_paths: Mutex<HashSet<(Provider, String)>>,
}

/// A lane's share of the deliveries in flight; dropped, it is none.
#[derive(Debug)]
pub struct InFlight {
    gauge: Gauge,
    count: i64,
}

impl InFlight {
    /// So many are in flight now.
    pub fn set(&mut self, count: usize) {
        let count = i64::try_from(count).unwrap_or(i64::MAX);
        self.gauge.inc_by(count - self.count);
        self.count = count;
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.set(0);
    }
}

impl WorkerMetrics {
    /// Makes and registers them.
    pub fn register(registry: &mut Registry) -> Arc<Self> {
        let buckets = || {
            Histogram::new([0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0])
        };
        let metrics = Self {
            dispositions: Family::default(),
            events: Family::default(),
            duplicates: Family::default(),
            retries: Family::default(),
            dead: Family::default(),
            unlisted: Family::default(),
            handle_seconds: Family::new_with_constructor(buckets),
            in_flight: Family::default(),
            pauses: Family::default(),
            ledger: Family::default(),
            ledger_queued: Gauge::default(),
            ledger_drawn: Gauge::default(),
            drift: Family::default(),
            drift_paths: Mutex::default(),
        };
        registry.register(
            "hookswitch_deliveries",
            "Deliveries settled, by source and disposition",
            metrics.dispositions.clone(),
        );
        registry.register(
            "hookswitch_dead_letters_unlisted",
            "Dead letters that are in their queue and could not be written to the log",
            metrics.unlisted.clone(),
        );
        registry.register("hookswitch_events", "Events published and confirmed", metrics.events.clone());
        registry.register(
            "hookswitch_duplicates",
            "Duplicates, by whether their body was the first one's",
            metrics.duplicates.clone(),
        );
        registry.register("hookswitch_retries", "Messages sent to a delay queue", metrics.retries.clone());
        registry.register("hookswitch_dead", "Dead letters, by reason", metrics.dead.clone());
        registry.register(
            "hookswitch_handle_seconds",
            "From the delivery to its settlement",
            metrics.handle_seconds.clone(),
        );
        registry.register(
            "hookswitch_in_flight",
            "Deliveries taken from the broker and not settled",
            metrics.in_flight.clone(),
        );
        registry.register(
            "hookswitch_pauses",
            "Times the worker stopped taking messages",
            metrics.pauses.clone(),
        );
        registry.register(
            "hookswitch_ledger",
            "Webhooks, by source and by what became of them; of all workers, as Redis has it",
            metrics.ledger.clone(),
        );
        registry.register(
            "hookswitch_ledger_queued",
            "Messages ready in raw and delay queues, counted with hookswitch_ledger",
            metrics.ledger_queued.clone(),
        );
        registry.register(
            "hookswitch_ledger_drawn_timestamp_seconds",
            "When this worker drew the ledger last",
            metrics.ledger_drawn.clone(),
        );
        registry.register(
            "hookswitch_schema_drift",
            "Leaves that a provider sent and we did not expect",
            metrics.drift.clone(),
        );
        Arc::new(metrics)
    }

    /// What is counted of one source, with its names looked up once.
    pub fn of_source(self: &Arc<Self>, source: &SourceName) -> SourceMetrics {
        let label = SourceLabel { source: source.to_string() };
        SourceMetrics {
            done: self.disposition(source, &Disposition::Done { events: 1 }),
            handle_seconds: self.handle_seconds.get_or_create(&label).clone(),
            events: Mutex::default(),
            source: source.clone(),
            all: self.clone(),
        }
    }

    fn disposition(&self, source: &SourceName, disposition: &Disposition) -> Counter {
        let labels = DispositionLabels { source: source.to_string(), disposition: disposition.as_str() };
        self.dispositions.get_or_create(&labels).clone()
    }

    fn retried(&self, source: &SourceName, tier: Tier) {
        self.retries.get_or_create(&TierLabels { source: source.to_string(), tier: tier.name() }).inc();
    }

    fn died(&self, source: &SourceName, reason: Reason) {
        self.dead.get_or_create(&ReasonLabels { source: source.to_string(), reason: reason.as_str() }).inc();
    }

    fn event(&self, source: &SourceName, kind: &'static str) -> Counter {
        self.events.get_or_create(&EventLabels { source: source.to_string(), r#type: kind }).clone()
    }

    fn duplicate(&self, source: &SourceName, other_body: bool) {
        let body = if other_body { "other" } else { "same" };
        self.duplicates.get_or_create(&DuplicateLabels { source: source.to_string(), body }).inc();
    }

    /// Counts a pause.
    pub fn paused(&self, trouble: Trouble) {
        self.pauses.get_or_create(&CauseLabel { cause: trouble.as_str() }).inc();
    }

    /// Shows the ledger's balance, how many messages are queued, and when both were drawn.
    pub fn balance(&self, sources: &BTreeMap<String, Sum>, queued: i64, drawn: Timestamp) {
        self.ledger.clear();
        for (source, sum) in sources {
            let states = [
                ("accepted", sum.accepted),
                ("done", sum.done),
                ("duplicate", sum.duplicate),
                ("discarded", sum.discarded),
                ("dead", sum.dead),
                ("in_system", sum.in_system),
            ];
            for (state, count) in states {
                self.ledger.get_or_create(&LedgerLabels { source: source.clone(), state }).set(count);
            }
        }
        self.ledger_queued.set(queued);
        self.ledger_drawn.set(drawn.as_second());
    }

    /// A lane's share of its source's deliveries that have been taken and are not settled.
    pub fn in_flight(&self, source: &SourceName) -> InFlight {
        let gauge = self.in_flight.get_or_create(&SourceLabel { source: source.to_string() }).clone();
        InFlight { gauge, count: 0 }
    }

    /// Counts a dead letter that is in its source's queue and could not be written to the log.
    pub fn unlisted(&self, source: &str) {
        self.unlisted.get_or_create(&SourceLabel { source: source.to_owned() }).inc();
        tracing::warn!(%source, "a dead letter is in its queue and not in the log: run `hookswitch dead-letters reindex`");
    }

    /// Counts unexpected leaves; whether one was seen for the first time by this process.
    pub fn drifted(&self, provider: Provider, drift: &Drift) -> bool {
        let mut seen = self.drift_paths.lock().unwrap_or_else(PoisonError::into_inner);
        let of_provider = seen.iter().filter(|(of, _)| *of == provider).count();
        let known = seen.contains(&(provider, drift.path.clone()));
        let told_apart = known || of_provider < DRIFT_PATHS_MAX;
        if told_apart && !known {
            seen.insert((provider, drift.path.clone()));
        }
        drop(seen);
        let path = if told_apart { drift.path.clone() } else { "other".to_owned() };
        self.drift
            .get_or_create(&DriftLabels { provider: provider.as_str(), path, class: drift.class })
            .inc();
        told_apart && !known
    }
}

/// What a worker counts of one source.
#[derive(Debug)]
pub struct SourceMetrics {
    source: SourceName,
    all: Arc<WorkerMetrics>,
    done: Counter,
    handle_seconds: Histogram,
    /// By type: a source has few.
    events: Mutex<Vec<(&'static str, Counter)>>,
}

impl SourceMetrics {
    /// Counts a settled delivery.
    pub fn settled(&self, disposition: &Disposition, took: Duration) {
        self.handle_seconds.observe(took.as_secs_f64());
        match disposition {
            Disposition::Done { .. } => {
                self.done.inc();
                return;
            }
            Disposition::Retry { tier, .. } => self.all.retried(&self.source, *tier),
            Disposition::DeadLetter { reason, .. } => self.all.died(&self.source, *reason),
            Disposition::Duplicate { other_body } => self.all.duplicate(&self.source, *other_body),
        }
        self.all.disposition(&self.source, disposition).inc();
    }

    /// Counts a confirmed event.
    pub fn published(&self, kind: &'static str) {
        let mut events = self.events.lock().unwrap_or_else(PoisonError::into_inner);
        match events.iter().find(|(known, _)| *known == kind) {
            Some((_, counter)) => drop(counter.inc()),
            None => {
                let counter = self.all.event(&self.source, kind);
                counter.inc();
                events.push((kind, counter));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sender_cannot_make_more_than_a_hundred_drift_labels() {
        let mut registry = registry();
        let metrics = WorkerMetrics::register(&mut registry);
        for n in 0..1_000 {
            metrics.drifted(Provider::Wavix, &Drift { path: format!("field{n}"), class: "string" });
        }
        let text = encode(&registry);
        let lines = text.lines().filter(|line| line.starts_with("hookswitch_schema_drift_total")).count();
        assert_eq!(lines, DRIFT_PATHS_MAX + 1);
        assert!(text.contains("path=\"other\""));
    }
}
