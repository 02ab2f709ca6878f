//! The two text formats of metrics: OpenMetrics, and the older one of Prometheus.

/// A text format of metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// OpenMetrics 1.0.0, which a client must ask for.
    OpenMetrics,
    /// Prometheus text 0.0.4, which every tool reads.
    Prometheus,
}

impl Format {
    /// Returns the format for a request whose header `Accept` is this: OpenMetrics for a client that names it
    /// and prefers no text.
    pub fn accepted(accept: &str) -> Self {
        let quality = |wanted: &str| {
            let of_range = |range: &str| {
                let mut parts = range.split(';').map(str::trim);
                let is_wanted = parts.next().is_some_and(|name| name.eq_ignore_ascii_case(wanted));
                let quality = parts.find_map(|part| part.strip_prefix("q=").or(part.strip_prefix("Q=")));
                is_wanted.then(|| quality.map_or(1.0, |quality| quality.parse::<f32>().unwrap_or(0.0)))
            };
            accept.split(',').filter_map(of_range).fold(0.0, f32::max)
        };
        let open = quality("application/openmetrics-text");
        if open > 0.0 && open >= quality("text/plain") { Self::OpenMetrics } else { Self::Prometheus }
    }

    /// Returns the value of `Content-Type`.
    pub fn content_type(self) -> &'static str {
        match self {
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
            Self::Prometheus => "text/plain; version=0.0.4; charset=utf-8",
        }
    }
}

/// Rewrites OpenMetrics text in the format of Prometheus. There a counter and an info are described under the
/// name of their samples, an info is a gauge, and units and the mark of the end are unknown.
pub(super) fn as_prometheus(open_metrics: &str) -> String {
    let mut text = String::with_capacity(open_metrics.len());
    // The types come first in each family of prometheus-client: HELP, TYPE, UNIT, samples.
    let mut lines = open_metrics.lines().peekable();
    while let Some(line) = lines.next() {
        let Some(description) = line.strip_prefix("# ") else {
            text.push_str(line);
            text.push('\n');
            continue;
        };
        let Some(("HELP", about)) = description.split_once(' ') else { continue };
        let (name, help) = about.split_once(' ').unwrap_or((about, ""));
        let kind = lines.peek().and_then(|next| next.strip_prefix("# TYPE ")?.rsplit(' ').next());
        let (suffix, kind) = match kind {
            Some("counter") => ("_total", "counter"),
            Some("info") => ("_info", "gauge"),
            Some("unknown") | None => ("", "untyped"),
            Some(kind) => ("", kind),
        };
        // Quotation marks are escaped in OpenMetrics only.
        let help = help.replace("\\\"", "\"");
        text.push_str(&format!("# HELP {name}{suffix} {help}\n# TYPE {name}{suffix} {kind}\n"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn open_metrics_is_for_those_that_ask_for_it() {
        use Format::{OpenMetrics, Prometheus};
        let prometheus_3 = "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,\
                            application/openmetrics-text;version=0.0.1;q=0.4,\
                            text/plain;version=1.0.0;escaping=allow-utf-8;q=0.3,\
                            text/plain;version=0.0.4;q=0.2,*/*;q=0.1";
        for (accept, format) in [
            ("", Prometheus),
            ("*/*", Prometheus),
            ("text/plain", Prometheus),
            ("text/html,application/xhtml+xml,*/*;q=0.8", Prometheus),
            ("application/openmetrics-text", OpenMetrics),
            ("Application/OpenMetrics-Text; version=1.0.0; charset=utf-8", OpenMetrics),
            (prometheus_3, OpenMetrics),
            ("application/openmetrics-text;q=0", Prometheus),
            ("application/openmetrics-text;q=0.3,text/plain;q=0.7", Prometheus),
            ("application/openmetrics-text-2", Prometheus),
        ] {
            assert_eq!(Format::accepted(accept), format, "{accept}");
        }
    }

    #[test]
    fn counters_and_infos_are_described_under_the_names_of_their_samples() {
        let open_metrics = "\
            # HELP a_build Version \\\"of\\\" it.\n# TYPE a_build info\na_build_info{version=\"1\"} 1\n\
            # HELP b_bytes B.\n# TYPE b_bytes counter\n# UNIT b_bytes bytes\n\
            b_bytes_total{x=\"# \\\"q\\\"\"} 2\n\
            # HELP c C.\n# TYPE c gauge\n\
            # HELP d_seconds D.\n# TYPE d_seconds histogram\n# UNIT d_seconds seconds\n\
            d_seconds_bucket{le=\"+Inf\"} 0\n# EOF\n";
        let expected = "\
            # HELP a_build_info Version \"of\" it.\n# TYPE a_build_info gauge\n\
            a_build_info{version=\"1\"} 1\n\
            # HELP b_bytes_total B.\n# TYPE b_bytes_total counter\n\
            b_bytes_total{x=\"# \\\"q\\\"\"} 2\n\
            # HELP c C.\n# TYPE c gauge\n\
            # HELP d_seconds D.\n# TYPE d_seconds histogram\nd_seconds_bucket{le=\"+Inf\"} 0\n";
        assert_eq!(as_prometheus(open_metrics), expected);
    }
}
