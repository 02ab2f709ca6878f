//! Metrics of the workers.

use std::{
    collections::{BTreeMap, HashSet},
    sync::atomic::AtomicU64,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use jiff::Timestamp;
use prometheus_client::metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram};

use super::{
    queues::QueueMetrics,
    registry::{Registry, SourceLabels, labels},
    share::GaugeShare,
    store::StoreMetrics,
    waits::WaitMetrics,
};
use crate::{
    config::Config,
    core::{
        delivery::{disposition::Disposition, fault::Reason, retry::Tier},
        ledger::Sum,
        providers::{Drift, Provider},
        webhook::{DeliveryId, SourceName},
    },
    edge::trouble::Trouble,
};

/// Paths of schema drift that get a label of their own, for each provider; the rest counts as `other`. A
/// sender chooses the names of its fields, and must not be able to fill the memory of the process or of
/// Prometheus.
pub(super) const DRIFT_PATHS_MAX: usize = 100;

/// Bounds of the buckets of `hookswitch_handle_seconds`, in seconds.
const HANDLE_SECONDS: [f64; 13] =
    [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0];

/// Returns the webhooks of a sum that are in one state.
type InState = fn(&Sum) -> i64;

/// The values of the label `state` of `hookswitch_ledger`, each with what it counts.
pub(super) const LEDGER_STATES: [(&str, InState); 6] = [
    ("accepted", |sum| sum.accepted),
    ("done", |sum| sum.done),
    ("duplicate", |sum| sum.duplicate),
    ("discarded", |sum| sum.discarded),
    ("dead", |sum| sum.dead),
    ("in_system", |sum| sum.in_system),
];

labels! {
    DispositionLabels { source: String, disposition: &'static str }
    TierLabels { source: String, tier: String }
    ReasonLabels { source: String, reason: &'static str }
    DuplicateLabels { source: String, body: &'static str }
    EventLabels { source: String, r#type: &'static str }
    LedgerLabels { source: String, state: &'static str }
    CauseLabels { cause: &'static str }
    DriftLabels { provider: &'static str, path: String, class: &'static str }
}

/// The metrics of a worker.
#[derive(Debug)]
pub struct WorkerMetrics {
    deliveries: Family<DispositionLabels, Counter>,
    events: Family<EventLabels, Counter>,
    duplicates: Family<DuplicateLabels, Counter>,
    retries: Family<TierLabels, Counter>,
    dead: Family<ReasonLabels, Counter>,
    /// The queues that a worker looks at.
    pub queues: QueueMetrics,
    dead_letters_unlisted: Family<SourceLabels, Counter>,
    handle_seconds: Family<SourceLabels, Histogram>,
    /// The webhooks that wait.
    pub waits: WaitMetrics,
    in_flight: Family<SourceLabels, Gauge>,
    bytes_held: Gauge,
    parked: Family<SourceLabels, Counter>,
    pauses: Family<CauseLabels, Counter>,
    ledger: Family<LedgerLabels, Gauge>,
    ledger_queued: Gauge,
    ledger_drawn: Gauge,
    ledger_marks_dropped: Counter,
    /// Redis itself.
    pub store: StoreMetrics,
    schema_drift: Family<DriftLabels, Counter>,
    /// The paths of schema drift that have a label of their own.
    drift_paths: Mutex<HashSet<(Provider, String)>>,
}

/// The bytes of the webhooks in flight; cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct BytesHeld(Gauge);

impl BytesHeld {
    /// Adds bytes that are held now.
    pub fn add(&self, bytes: usize) {
        self.0.inc_by(i64::try_from(bytes).unwrap_or(i64::MAX));
    }

    /// Subtracts bytes that are no longer held.
    pub fn subtract(&self, bytes: usize) {
        self.0.dec_by(i64::try_from(bytes).unwrap_or(i64::MAX));
    }
}

impl WorkerMetrics {
    /// Creates the metrics.
    pub fn register(registry: &mut Registry) -> Arc<Self> {
        let metrics = Self::create(registry);
        for trouble in Trouble::ALL.iter().filter(|trouble| trouble.pauses()) {
            drop(metrics.pauses.get_or_create(&CauseLabels { cause: trouble.as_str() }));
        }
        Arc::new(metrics)
    }

    fn create(registry: &mut Registry) -> Self {
        Self {
            deliveries: registry.counters("hookswitch_deliveries_total", "Deliveries that were settled"),
            events: registry.counters("hookswitch_events_total", "Events that the broker confirmed"),
            duplicates: registry.counters(
                "hookswitch_duplicates_total",
                "Deliveries settled as duplicates, by whether the body was the first one's",
            ),
            retries: registry.counters("hookswitch_retries_total", "Deliveries sent to a delay queue"),
            dead: registry.counters("hookswitch_dead_total", "Deliveries sent to a dead-letter queue"),
            queues: QueueMetrics::register(registry),
            dead_letters_unlisted: registry.counters(
                "hookswitch_dead_letters_unlisted_total",
                "Dead letters that are in their queue but could not be written to the log of dead letters",
            ),
            handle_seconds: registry.histograms(
                "hookswitch_handle_seconds",
                "Time from taking a delivery to settling it",
                || Histogram::new(HANDLE_SECONDS),
            ),
            waits: WaitMetrics::register(registry),
            in_flight: registry.gauges("hookswitch_in_flight", "Deliveries taken and not yet settled"),
            bytes_held: registry.gauge(
                "hookswitch_held_bytes",
                "Bytes of the webhooks in flight, which worker.memory_max bounds",
            ),
            parked: registry.counters(
                "hookswitch_parked_total",
                "Deliveries that had no room within worker.memory_max and went back to their queue",
            ),
            pauses: registry.counters(
                "hookswitch_pauses_total",
                "Times that the worker paused for an infrastructure error, for all sources or one of them",
            ),
            ledger: registry.gauges(
                "hookswitch_ledger",
                "Webhooks by state, of all processes together, from the ledger in Redis; exported by one \
                 worker at a time",
            ),
            ledger_queued: registry.gauge(
                "hookswitch_ledger_queued",
                "Webhooks ready in raw and delay queues, about, counted together with hookswitch_ledger",
            ),
            ledger_drawn: registry.gauge(
                "hookswitch_ledger_drawn_timestamp_seconds",
                "Unix time at which hookswitch_ledger was last updated; 0 where it is not exported",
            ),
            ledger_marks_dropped: registry.counter(
                "hookswitch_ledger_marks_dropped_total",
                "Reports in the ledger's queue that no receiver can have sent",
            ),
            store: StoreMetrics::register(registry),
            schema_drift: registry.counters(
                "hookswitch_schema_drift_total",
                "Values in webhooks that the provider's adapter does not know and carries under `unmapped`",
            ),
            drift_paths: Mutex::default(),
        }
    }

    /// Creates the series of the sources that a worker with this configuration works on.
    pub fn begin_all(&self, config: &Config) {
        let tiers = config.retry.schedule().all_tiers();
        let sources = config.sources.keys().filter(|source| config.worker.works_on(source));
        sources.for_each(|source| self.begin(source, &tiers));
    }

    /// Creates the series of a source: everything but its types of events, which follow from what it sends.
    fn begin(&self, source: &SourceName, tiers: &[Tier]) {
        let labels = || SourceLabels { source: source.to_string() };
        let name = || source.to_string();
        for disposition in Disposition::WORDS {
            drop(self.deliveries.get_or_create(&DispositionLabels { source: name(), disposition }));
        }
        for reason in Reason::ALL {
            drop(self.dead.get_or_create(&ReasonLabels { source: name(), reason: reason.as_str() }));
        }
        for tier in tiers {
            drop(self.retries.get_or_create(&TierLabels { source: name(), tier: tier.name() }));
        }
        for body in ["same", "other"] {
            drop(self.duplicates.get_or_create(&DuplicateLabels { source: name(), body }));
        }
        for counter in [&self.dead_letters_unlisted, &self.parked] {
            drop(counter.get_or_create(&labels()));
        }
        drop(self.handle_seconds.get_or_create(&labels()));
        drop(self.in_flight.get_or_create(&labels()));
        self.waits.begin(source);
    }

    /// Returns the metrics of one source. The labels that every delivery needs are looked up here, once.
    pub fn of_source(self: &Arc<Self>, source: &SourceName) -> SourceMetrics {
        let labels = SourceLabels { source: source.to_string() };
        SourceMetrics {
            done: self.disposition(source, &Disposition::Done { messages: 1 }),
            handle_seconds: self.handle_seconds.get_or_create(&labels).clone(),
            wait_seconds: self.waits.wait_seconds(source),
            per_message: self.queues.per_message(source.as_str()),
            events: Mutex::default(),
            source: source.clone(),
            all: self.clone(),
        }
    }

    fn disposition(&self, source: &SourceName, disposition: &Disposition) -> Counter {
        let labels = DispositionLabels { source: source.to_string(), disposition: disposition.as_str() };
        self.deliveries.get_or_create(&labels).clone()
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

    /// Counts a pause of all sources or of one.
    pub fn paused(&self, trouble: Trouble) {
        self.pauses.get_or_create(&CauseLabels { cause: trouble.as_str() }).inc();
    }

    /// Shows the balance of the ledger by source, the number of messages in raw and delay queues, and the
    /// time at which both were read.
    pub fn balance(&self, sources: &BTreeMap<String, Sum>, queued: i64, drawn: Timestamp) {
        self.ledger.clear();
        for (source, sum) in sources {
            for (state, count) in LEDGER_STATES {
                self.ledger.get_or_create(&LedgerLabels { source: source.clone(), state }).set(count(sum));
            }
        }
        self.ledger_queued.set(queued);
        self.ledger_drawn.set(drawn.as_second());
    }

    /// Shows no balance: another worker shows it, or it is not known.
    pub fn no_balance(&self) {
        self.ledger.clear();
        self.ledger_queued.set(0);
        self.ledger_drawn.set(0);
    }

    /// Counts a report in the ledger's queue that is not recorded.
    pub fn mark_dropped(&self) {
        self.ledger_marks_dropped.inc();
    }

    /// Returns the share that a lane has of its source's deliveries in flight; none at first.
    pub fn in_flight(&self, source: &SourceName) -> GaugeShare {
        GaugeShare::of(&self.in_flight.get_or_create(&SourceLabels { source: source.to_string() }))
    }

    /// Returns the gauge of the bytes that are held.
    pub fn bytes_held(&self) -> BytesHeld {
        BytesHeld(self.bytes_held.clone())
    }

    /// Counts and logs a dead letter that is in its source's queue but could not be written to the log of
    /// dead letters.
    pub fn unlisted(&self, source: &str, delivery_id: DeliveryId) {
        self.dead_letters_unlisted.get_or_create(&SourceLabels { source: source.to_owned() }).inc();
        tracing::warn!(
            %source, %delivery_id,
            "a dead letter is in its queue but not in the log of dead letters: run `hookswitch dead-letters \
             reindex`"
        );
    }

    /// Counts a value that the provider's adapter does not know. Returns true if this process sees its path
    /// for the first time.
    pub fn drifted(&self, provider: Provider, drift: &Drift) -> bool {
        let mut seen = self.drift_paths.lock().unwrap_or_else(PoisonError::into_inner);
        let count = seen.iter().filter(|(of, _)| *of == provider).count();
        let known = seen.contains(&(provider, drift.path.clone()));
        let labelled = known || count < DRIFT_PATHS_MAX;
        if labelled && !known {
            seen.insert((provider, drift.path.clone()));
        }
        drop(seen);
        let path = if labelled { drift.path.clone() } else { "other".to_owned() };
        self.schema_drift
            .get_or_create(&DriftLabels { provider: provider.as_str(), path, class: drift.class })
            .inc();
        labelled && !known
    }
}

/// The metrics of one source in a worker.
#[derive(Debug)]
pub struct SourceMetrics {
    source: SourceName,
    all: Arc<WorkerMetrics>,
    done: Counter,
    handle_seconds: Histogram,
    wait_seconds: Histogram,
    per_message: Gauge<f64, AtomicU64>,
    /// Counters of events by type. A list, since a source has few types.
    events: Mutex<Vec<(&'static str, Counter)>>,
}

impl SourceMetrics {
    /// Counts a delivery that was settled after `took`.
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

    /// Counts a webhook that has waited since `received`, as the oldest of its batch.
    pub fn waited(&self, received: Timestamp, now: Timestamp) {
        self.wait_seconds.observe(now.duration_since(received).as_secs_f64().max(0.0));
    }

    /// Shows how many webhooks a message holds, on average.
    pub fn per_message(&self, mean: f64) {
        self.per_message.set(mean);
    }

    /// Counts a delivery that had no room.
    pub fn parked(&self) {
        self.all.parked.get_or_create(&SourceLabels { source: self.source.to_string() }).inc();
    }

    /// Counts a confirmed event of type `kind`.
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
        let mut registry = Registry::new();
        let metrics = WorkerMetrics::register(&mut registry);
        for n in 0..1_000 {
            metrics
                .drifted(Provider::Wavix, &Drift { path: format!("field{n}"), class: "string", length: "1" });
        }
        let text = registry.encode();
        let lines = text.lines().filter(|line| line.starts_with("hookswitch_schema_drift_total")).count();
        assert_eq!(lines, DRIFT_PATHS_MAX + 1);
        assert!(text.contains("path=\"other\""));
    }
}
