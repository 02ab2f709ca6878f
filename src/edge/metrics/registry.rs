//! A registry that creates every metric it exports, so that none can be counted and never exported.

use std::{fmt::Debug, hash::Hash};

use prometheus_client::{
    encoding::{EncodeLabelSet, text},
    metrics::{MetricType, counter::Counter, family::Family, gauge::Gauge, histogram::Histogram, info::Info},
    registry::{self, Metric, Unit},
};

use super::exposition::{Format, as_prometheus};

/// The units in which metrics are counted: the base units of OpenMetrics.
const UNITS: [Unit; 2] = [Unit::Seconds, Unit::Bytes];

/// The metrics of one process.
///
/// Metrics can be created only inside this module's folder. Their names are declared as Prometheus shows
/// them, with the unit and the suffix (`_total`, `_info`) that the exposition adds.
#[derive(Debug)]
pub struct Registry {
    exported: registry::Registry,
    declared: Vec<Declared>,
}

/// The declaration of one metric, as `docs/metrics.md` lists it.
#[derive(Debug)]
pub(super) struct Declared {
    /// The name that Prometheus shows.
    pub(super) name: &'static str,
    pub(super) kind: MetricType,
    pub(super) unit: Option<Unit>,
    /// The names of the labels.
    pub(super) labels: Vec<&'static str>,
    /// One sentence without its full stop, which the exposition adds.
    pub(super) help: &'static str,
}

impl Default for Registry {
    fn default() -> Self {
        Self::new()
    }
}

impl Registry {
    /// Creates a registry with the metric that every process has: its version.
    pub fn new() -> Self {
        let mut registry = Self { exported: registry::Registry::default(), declared: Vec::new() };
        let build = Info::new([("version", env!("CARGO_PKG_VERSION"))]);
        let labels = vec!["version"];
        registry.export("hookswitch_build_info", "Version of the running program", labels, build);
        registry
    }

    /// Returns the body of `/metrics` in a format.
    pub fn encode_as(&self, format: Format) -> String {
        match format {
            Format::OpenMetrics => self.encode(),
            Format::Prometheus => as_prometheus(&self.encode()),
        }
    }

    /// Returns the body of `/metrics` in OpenMetrics text format.
    pub fn encode(&self) -> String {
        let mut text = String::new();
        // Writing to a String cannot fail.
        let _ = text::encode(&mut text, &self.exported);
        text
    }

    /// Returns the declarations of all metrics created so far, in that order.
    pub(super) fn declared(&self) -> &[Declared] {
        &self.declared
    }

    /// Creates a counter for each set of labels.
    pub(super) fn counters<L: Labels, N, A>(
        &mut self,
        name: &'static str,
        help: &'static str,
    ) -> Family<L, Counter<N, A>>
    where
        Family<L, Counter<N, A>>: Metric,
        Counter<N, A>: Default,
    {
        self.add(name, help, L::names(), Family::default())
    }

    /// Creates a counter without labels.
    pub(super) fn counter<N, A>(&mut self, name: &'static str, help: &'static str) -> Counter<N, A>
    where
        Counter<N, A>: Metric + Clone + Default,
    {
        self.add(name, help, Vec::new(), Counter::default())
    }

    /// Creates a gauge without labels.
    pub(super) fn gauge<N, A>(&mut self, name: &'static str, help: &'static str) -> Gauge<N, A>
    where
        Gauge<N, A>: Metric + Clone + Default,
    {
        self.add(name, help, Vec::new(), Gauge::default())
    }

    /// Creates a gauge for each set of labels.
    pub(super) fn gauges<L: Labels, N, A>(
        &mut self,
        name: &'static str,
        help: &'static str,
    ) -> Family<L, Gauge<N, A>>
    where
        Family<L, Gauge<N, A>>: Metric,
        Gauge<N, A>: Default,
    {
        self.add(name, help, L::names(), Family::default())
    }

    /// Creates a histogram for each set of labels. `empty` sets the buckets, in the unit of the name.
    pub(super) fn histograms<L: Labels>(
        &mut self,
        name: &'static str,
        help: &'static str,
        empty: fn() -> Histogram,
    ) -> Family<L, Histogram> {
        self.add(name, help, L::names(), Family::new_with_constructor(empty))
    }

    fn add<M: Metric + Clone>(
        &mut self,
        name: &'static str,
        help: &'static str,
        labels: Vec<&'static str>,
        metric: M,
    ) -> M {
        self.export(name, help, labels, metric.clone());
        metric
    }

    fn export(
        &mut self,
        name: &'static str,
        help: &'static str,
        labels: Vec<&'static str>,
        metric: impl Metric,
    ) {
        let kind = metric.metric_type();
        // prometheus-client puts suffix and unit back.
        let base = name.strip_suffix("_total").or(name.strip_suffix("_info")).unwrap_or(name);
        let unit = UNITS.into_iter().find(|unit| base.ends_with(&format!("_{}", unit.as_str())));
        match unit.clone() {
            Some(unit) => {
                let base = base.trim_end_matches(unit.as_str()).trim_end_matches('_');
                self.exported.register_with_unit(base, help, unit, metric);
            }
            None => self.exported.register(base, help, metric),
        }
        self.declared.push(Declared { name, kind, unit, labels, help });
    }
}

/// A set of labels that knows their names. Declared with [`labels!`].
pub(super) trait Labels: EncodeLabelSet + Clone + Debug + Eq + Hash + Send + Sync + 'static {
    /// Returns the names in the order in which they are exposed.
    fn names() -> Vec<&'static str>;
}

/// Declares sets of labels as structs with one field a label.
macro_rules! labels {
    ($($vis:vis $set:ident { $($label:ident: $value:ty),+ $(,)? })+) => {$(
        #[derive(Clone, Debug, PartialEq, Eq, Hash, ::prometheus_client::encoding::EncodeLabelSet)]
        $vis struct $set {
            $($vis $label: $value),+
        }

        impl $crate::edge::metrics::registry::Labels for $set {
            fn names() -> Vec<&'static str> {
                // A field whose name is a keyword of Rust is written `r#type`.
                vec![$(stringify!($label).trim_start_matches("r#")),+]
            }
        }
    )+};
}
pub(super) use labels;

labels! {
    pub(super) SourceLabels { source: String }
}

#[cfg(test)]
mod tests {
    use super::*;

    labels! {
        Pair { source: String, r#type: &'static str }
    }

    #[test]
    fn names_units_and_labels_are_exposed_as_they_are_declared() {
        let mut registry = Registry::new();
        let pair = || Pair { source: "salpre".to_owned(), r#type: "call.ended" };
        let counters: [Family<_, Counter>; 2] = [
            registry.counters("hookswitch_a_total", "A"),
            registry.counters("hookswitch_b_bytes_total", "B"),
        ];
        for counters in &counters {
            counters.get_or_create(&pair()).inc();
        }
        let gauges: Family<_, Gauge> = registry.gauges("hookswitch_c", "C");
        gauges.get_or_create(&pair()).set(2);
        let seconds: Gauge = registry.gauge("hookswitch_d_timestamp_seconds", "D");
        seconds.set(3);
        registry
            .histograms("hookswitch_e_seconds", "E", || Histogram::new([1.0]))
            .get_or_create(&pair())
            .observe(0.5);
        assert_eq!(Pair::names(), ["source", "type"]);
        let (text, version) = (registry.encode(), env!("CARGO_PKG_VERSION"));
        for line in [
            &format!("hookswitch_build_info{{version=\"{version}\"}} 1"),
            "hookswitch_a_total{source=\"salpre\",type=\"call.ended\"} 1",
            "# UNIT hookswitch_b_bytes bytes",
            "hookswitch_b_bytes_total{source=\"salpre\",type=\"call.ended\"} 1",
            "hookswitch_c{source=\"salpre\",type=\"call.ended\"} 2",
            "# UNIT hookswitch_d_timestamp_seconds seconds",
            "hookswitch_d_timestamp_seconds 3",
            "hookswitch_e_seconds_count{source=\"salpre\",type=\"call.ended\"} 1",
        ] {
            assert!(text.lines().any(|found| found == line), "lacks {line}: {text}");
        }
    }
}
