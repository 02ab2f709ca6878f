//! Metrics of the process itself, under the names that all Prometheus clients use. Linux tells them in
//! `/proc`; elsewhere they are 0.

use std::{fs, sync::atomic::AtomicU64};

use prometheus_client::metrics::{counter::Counter, family::Family, gauge::Gauge};

use super::registry::{Registry, labels};
use crate::edge::trouble::Trouble;

/// Ticks of a second in `/proc`: the same on every Linux, whatever its own clock.
const TICKS: f64 = 100.0;

labels! {
    CauseLabels { cause: &'static str }
}

/// The metrics of the process, which are read when they are asked for.
#[derive(Debug)]
pub struct ProcessMetrics {
    cpu: Counter<f64, AtomicU64>,
    resident: Gauge,
    virtual_memory: Gauge,
    open_files: Gauge,
    open_files_max: Gauge,
    threads: Gauge,
    started: Gauge<f64, AtomicU64>,
    not_ready: Family<CauseLabels, Gauge>,
}

/// What `/proc/self/stat` tells.
#[derive(Debug, PartialEq)]
struct Stat {
    cpu_seconds: f64,
    /// Time from the start of the system to that of the process.
    started_seconds: f64,
}

impl ProcessMetrics {
    /// Creates the metrics.
    pub fn register(registry: &mut Registry) -> Self {
        let metrics = Self {
            cpu: registry.counter("process_cpu_seconds_total", "User and system CPU time of the process"),
            resident: registry.gauge("process_resident_memory_bytes", "Memory of the process"),
            virtual_memory: registry.gauge("process_virtual_memory_bytes", "Address space of the process"),
            open_files: registry.gauge("process_open_fds", "Open files and sockets of the process"),
            open_files_max: registry
                .gauge("process_max_fds", "Most files and sockets that the process may open"),
            threads: registry.gauge("process_threads", "Threads of the process"),
            started: registry
                .gauge("process_start_time_seconds", "Unix time at which the process was started"),
            not_ready: registry.gauges(
                "hookswitch_not_ready",
                "1 for the cause for which /readyz says that the process is not ready, 0 for all others",
            ),
        };
        let booted = number_after(&read("stat"), "btime ");
        if let Some((booted, Stat { started_seconds, .. })) = booted.zip(stat(&read("self/stat"))) {
            metrics.started.set(booted as f64 + started_seconds);
        }
        metrics
    }

    /// Reads the values of now, and shows what keeps the process from being ready.
    pub fn refresh(&self, trouble: Option<Trouble>) {
        for cause in Trouble::ALL {
            let labels = CauseLabels { cause: cause.as_str() };
            self.not_ready.get_or_create(&labels).set((trouble == Some(*cause)).into());
        }
        if let Some(Stat { cpu_seconds, .. }) = stat(&read("self/stat")) {
            self.cpu.inc_by((cpu_seconds - self.cpu.get()).max(0.0));
        }
        let status = read("self/status");
        for (gauge, line, factor) in [
            (&self.resident, "VmRSS:", 1_024),
            (&self.virtual_memory, "VmSize:", 1_024),
            (&self.threads, "Threads:", 1),
        ] {
            gauge.set(number_after(&status, line).unwrap_or_default() * factor);
        }
        self.open_files_max.set(number_after(&read("self/limits"), "Max open files").unwrap_or_default());
        // The folder itself is open while it is read.
        let open = fs::read_dir("/proc/self/fd").map_or(0, |files| files.count().saturating_sub(1));
        self.open_files.set(i64::try_from(open).unwrap_or(i64::MAX));
    }
}

/// Returns the text of a file in `/proc`, empty if there is none.
fn read(name: &str) -> String {
    fs::read_to_string(format!("/proc/{name}")).unwrap_or_default()
}

/// Reads `/proc/self/stat`. Its second field is the name of the program, in parentheses.
fn stat(text: &str) -> Option<Stat> {
    let fields: Vec<_> = text.rsplit_once(')')?.1.split_whitespace().collect();
    let ticks = |field: usize| fields.get(field - 3)?.parse::<f64>().ok();
    let cpu_seconds = (ticks(14)? + ticks(15)?) / TICKS;
    Some(Stat { cpu_seconds, started_seconds: ticks(22)? / TICKS })
}

/// Returns the first number in the line that starts with `name`.
fn number_after(text: &str, name: &str) -> Option<i64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_a_program_may_contain_anything() {
        let text = "7 (a) b (c) S 1 7 7 0 -1 4194560 1 0 0 0 150 50 0 0 20 0 4 0 12345 1000 100";
        assert_eq!(stat(text), Some(Stat { cpu_seconds: 2.0, started_seconds: 123.45 }));
        assert_eq!(stat("7 (a) S 1"), None);
    }

    #[test]
    fn the_process_is_measured() {
        let mut registry = Registry::new();
        let metrics = ProcessMetrics::register(&mut registry);
        metrics.refresh(None);
        let now = jiff::Timestamp::now().as_second() as f64;
        assert!(metrics.cpu.get() >= 0.0 && metrics.threads.get() >= 1);
        assert!(metrics.resident.get() > 1 << 20 && metrics.virtual_memory.get() > metrics.resident.get());
        assert!((3..=metrics.open_files_max.get()).contains(&metrics.open_files.get()));
        assert!((now - 3_600.0..=now + 2.0).contains(&metrics.started.get()), "{metrics:?}");
    }
}
