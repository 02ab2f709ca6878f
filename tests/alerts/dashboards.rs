//! The queries of the dashboards, answered by a real Prometheus.

use std::{collections::BTreeMap, fs, path::Path};

use serde_json::Value;

use crate::prometheus::Prometheus;

/// The minutes within which each query must have had data: as long as the faults take.
const MINUTES: u32 = 60;

/// Expects each query of each panel to have shown data since the first fault. Those about RabbitMQ's own
/// metrics, which it does not export here, are left out.
pub fn expect_data(prometheus: &Prometheus) {
    let (mut count, mut empty) = (0, Vec::new());
    for (panel, query) in queries() {
        if query.contains("rabbitmq_") {
            continue;
        }
        count += 1;
        if prometheus.series(&query, MINUTES) == 0 {
            empty.push(format!("{panel}: {query}"));
        }
    }
    assert!(empty.is_empty(), "without data:\n{}", empty.join("\n"));
    println!("\nall {count} queries of the dashboards have shown data");
}

/// Returns each query with the title of its panel, and with Grafana's variables filled in.
fn queries() -> Vec<(String, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/grafana/dashboards");
    let mut queries = Vec::new();
    for file in fs::read_dir(folder).unwrap() {
        let dashboard: Value = serde_json::from_slice(&fs::read(file.unwrap().path()).unwrap()).unwrap();
        for panel in dashboard["panels"].as_array().unwrap() {
            let title =
                format!("{}, {}", dashboard["title"].as_str().unwrap(), panel["title"].as_str().unwrap());
            for target in panel["targets"].as_array().into_iter().flatten() {
                queries.push((title.clone(), filled(target["expr"].as_str().unwrap())));
            }
        }
    }
    queries
}

fn filled(query: &str) -> String {
    let variables =
        BTreeMap::from([("$__rate_interval", "10s"), ("$__range", "10m"), ("$source", ".*"), ("1d", "30s")]);
    variables.into_iter().fold(query.to_owned(), |query, (name, value)| query.replace(name, value))
}
