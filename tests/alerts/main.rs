//! Every alert of `deploy/prometheus/alerts.yaml`, fired by a real fault on a real Prometheus, and cleared;
//! and every query of the dashboards, answered meanwhile. `make alerts` runs it.
#![allow(
    missing_docs,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]

#[path = "../support/certificates.rs"]
#[allow(dead_code, reason = "each test binary uses its part")]
mod certificates;
mod dashboards;
mod faults;
mod fleet;
mod prometheus;
mod stage;
#[path = "../it/support/mod.rs"]
mod support;

use std::collections::BTreeSet;

use faults::FAULTS;
use stage::Stage;

/// Plays only the faults whose names, or whose alerts' names, contain one of these words, separated by
/// commas, and asks neither for all alerts nor for the dashboards.
const SOME: &str = "HOOKSWITCH_FAULTS";

#[test]
#[ignore = "a quarter of an hour: make alerts"]
fn each_alert_is_fired_by_a_fault_and_cleared_and_each_panel_shows_data() {
    let (stage, some) = (Stage::new(), std::env::var(SOME).unwrap_or_default());
    println!("{}", prometheus::FACTORS);
    stage.expect_quiet();
    println!("\n{:<30} {:<48} {:>6} {:>6}", "alert", "fault", "fires", "clears");
    let mut left: BTreeSet<String> = prometheus::alerts().into_iter().collect();
    let mut failed = Vec::new();
    let is_asked_for = |name: &&str| some.split(',').any(|some| name.contains(some));
    for fault in FAULTS.iter().filter(|fault| [fault.name].iter().chain(fault.alerts).any(is_asked_for)) {
        failed.extend(stage.play(fault));
        fault.alerts.iter().for_each(|alert| assert!(left.remove(*alert), "{alert} has two faults"));
    }
    if some.is_empty() {
        assert!(left.is_empty(), "no fault fires {left:?}");
        dashboards::expect_data(&stage.prometheus);
    }
    assert!(failed.is_empty(), "did not fire, or did not clear: {failed:?}");
}
