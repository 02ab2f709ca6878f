//! `docs/metrics.md`, generated from the declarations of the metrics.

use std::collections::BTreeSet;

use prometheus_client::registry::Unit;

use super::{
    certificates::CertificateMetrics,
    config::{ConfigMetrics, Reload},
    link::Links,
    process::ProcessMetrics,
    receiver::{REFUSALS, ReceiverMetrics, UNKNOWN_SOURCE},
    registry::{Declared, Registry},
    spans::SpanMetrics,
    worker::{DRIFT_PATHS_MAX, LEDGER_STATES, WorkerMetrics},
};
use crate::{
    core::delivery::{disposition::Disposition, fault::Reason},
    edge::trouble::Trouble,
};

const HEAD: &str = "\
# Metrics

<!-- Generated from src/edge/metrics: `HOOKSWITCH_BLESS=1 cargo test --lib metrics` rewrites this page. -->

Every process serves its metrics at `/metrics` on `admin.listen` (by default 127.0.0.1:9464): in OpenMetrics
text format where the request accepts `application/openmetrics-text`, as Prometheus does, and else in the
text format of Prometheus 0.0.4. The series of a configured source exist from the start, with the value 0.
Those with the labels `type` or `path` appear when they are first counted. A histogram shows as
`<name>_bucket`, `<name>_sum` and `<name>_count`. [alerts.yaml](../deploy/prometheus/alerts.yaml) has alerts
on some of them.
";

/// Creates the metrics of one group.
type Create = fn(&mut Registry);

/// All groups of metrics, each with the processes that have it.
const GROUPS: [(&str, Create); 3] = [
    ("Every process", |registry| {
        drop(ProcessMetrics::register(registry));
        drop(ConfigMetrics::register(registry));
        drop(Links::register(registry));
        drop(SpanMetrics::register(registry));
        drop(CertificateMetrics::register(registry));
    }),
    ("Receivers", |registry| drop(ReceiverMetrics::register(registry))),
    ("Workers", |registry| drop(WorkerMetrics::register(registry))),
];

/// Returns the text of `docs/metrics.md`.
pub fn reference() -> String {
    let (mut page, mut registry, mut shown) = (HEAD.to_owned(), Registry::new(), 0);
    for (title, create) in GROUPS {
        create(&mut registry);
        add_metrics(&mut page, title, &registry.declared()[shown..]);
        shown = registry.declared().len();
    }
    page.push_str("\n## Labels\n\n| label | values |\n| --- | --- |\n");
    let labels: BTreeSet<&str> =
        registry.declared().iter().flat_map(|metric| &metric.labels).copied().collect();
    for label in labels {
        page.push_str(&format!("| `{label}` | {} |\n", values(label).unwrap_or_default()));
    }
    page
}

fn add_metrics(page: &mut String, title: &str, metrics: &[Declared]) {
    page.push_str(&format!("\n## {title}\n\n| name | type | unit | labels | meaning |\n"));
    page.push_str("| --- | --- | --- | --- | --- |\n");
    for Declared { name, kind, unit, labels, help } in metrics {
        let (kind, unit) = (kind.as_str(), unit.as_ref().map_or("", Unit::as_str));
        let labels = list(labels.iter().copied());
        page.push_str(&format!("| `{name}` | {kind} | {unit} | {labels} | {help} |\n"));
    }
}

/// Returns the values of a label, or `None` if the label is not described here.
fn values(label: &str) -> Option<String> {
    let values = match label {
        "body" => "`same` or `other`: the body of the duplicate, compared with the first one's".to_owned(),
        "cause" => list(Trouble::ALL.iter().map(|trouble| trouble.as_str())),
        "certificate" => {
            "key of the configuration that names its file: `tls_certificate_file` or `tls_ca_file`, \
                          after `amqp.`, `redis.`, `receiver.` or `admin.`"
                .to_owned()
        }
        "class" => {
            "JSON type of the value: `string`, `number`, `boolean`, `object` or `array`; `unreadable` for a \
                    string that some readers refuse"
                .to_owned()
        }
        "disposition" => list(Disposition::WORDS.into_iter()),
        "link" => "`broker` or `redis`".to_owned(),
        "path" => format!(
            "place in the body, with `[]` for every index; after {DRIFT_PATHS_MAX} paths of one provider \
             `other`"
        ),
        "provider" => "name of the source's provider".to_owned(),
        "queue" => {
            "name of a configured subscription's queue, `events.unrouted` or `hookswitch.ledger`".to_owned()
        }
        "reason" => list(Reason::ALL.iter().map(|reason| reason.as_str())),
        "refusal" => list(REFUSALS.into_iter()),
        "result" => list(Reload::ALL.iter().map(|result| result.as_str())),
        "source" => format!("name of a configured source; `{UNKNOWN_SOURCE}` for all other requests"),
        "state" => list(LEDGER_STATES.iter().map(|(state, _)| *state)),
        "status" => "HTTP status".to_owned(),
        "tier" => "name of the delay queue without `retry.`".to_owned(),
        "type" => "type of the event, as in the CloudEvent".to_owned(),
        "version" => "version as in `hookswitch --version`".to_owned(),
        _ => return None,
    };
    Some(values)
}

fn list<'a>(words: impl Iterator<Item = &'a str>) -> String {
    words.map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use std::{fs, path::Path};

    use super::*;

    const ROOT: &str = env!("CARGO_MANIFEST_DIR");

    fn all_declared() -> Registry {
        let mut registry = Registry::new();
        GROUPS.iter().for_each(|(_, create)| create(&mut registry));
        registry
    }

    #[test]
    fn the_page_is_what_the_declarations_say() {
        let (page, expected) = (Path::new(ROOT).join("docs/metrics.md"), reference());
        if std::env::var_os("HOOKSWITCH_BLESS").is_some() {
            fs::write(&page, &expected).unwrap();
        }
        let found = fs::read_to_string(&page).unwrap_or_default();
        assert!(found == expected, "set HOOKSWITCH_BLESS=1 to rewrite the page; expected:\n{expected}");
    }

    /// Metrics can be created only in this folder, so a name that stands here and not on the page belongs to
    /// a group that [`GROUPS`] lacks.
    #[test]
    fn every_declared_name_is_on_the_page() {
        let (page, mut names) = (reference(), 0);
        for entry in fs::read_dir(Path::new(ROOT).join("src/edge/metrics")).unwrap() {
            let text = fs::read_to_string(entry.unwrap().path()).unwrap();
            let code = text.split("#[cfg(test)]").next().unwrap();
            for prefix in ["hookswitch_", "process_"] {
                let quoted = format!("\"{prefix}");
                for name in code.split(&quoted).skip(1).filter_map(|rest| rest.split('"').next()) {
                    assert!(page.contains(&format!("| `{prefix}{name}` |")), "{prefix}{name} is missing");
                    names += 1;
                }
            }
        }
        assert_eq!(names, all_declared().declared().len());
    }

    #[test]
    fn names_follow_the_conventions_of_openmetrics() {
        let (registry, mut seen) = (all_declared(), BTreeSet::new());
        for Declared { name, kind, unit, labels, help } in registry.declared() {
            assert!(seen.insert(name), "{name} is declared twice");
            assert!(name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_'), "{name}");
            assert_eq!(name.ends_with("_total"), kind.as_str() == "counter", "{name}");
            assert_eq!(name.ends_with("_info"), kind.as_str() == "info", "{name}");
            assert!(unit.is_some() || kind.as_str() != "histogram", "{name} has no unit");
            assert!(!help.ends_with('.'), "{name}: the exposition adds the full stop");
            for label in labels {
                assert!(values(label).is_some(), "describe the values of the label {label}");
            }
        }
    }
}
