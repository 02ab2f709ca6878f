//! The CPU time and memory of a process, read from `/proc`.

use std::fs;

/// `USER_HZ`: clock ticks per second in `/proc`, which Linux fixes.
const TICKS_PER_SECOND: f64 = 100.0;

/// Returns the CPU seconds that a process has used so far, user and system.
pub fn cpu_seconds(pid: u32) -> f64 {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let ticks = stat[stat.rfind(')').unwrap() + 2..].split(' ').skip(11).take(2);
    ticks.map(|ticks| ticks.parse::<f64>().unwrap()).sum::<f64>() / TICKS_PER_SECOND
}

/// Returns a line of `/proc/<pid>/status` in MiB: `VmRSS`, or `VmHWM` for the peak.
pub fn memory_mib(pid: u32, line: &str) -> f64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|l| l.strip_prefix(line)?.strip_prefix(':')).unwrap();
    line.split_whitespace().next().unwrap().parse::<f64>().unwrap() / 1024.0
}

/// Returns the CPU seconds that each group of processes has used so far.
pub fn cpu_of<const N: usize>(groups: [&[u32]; N]) -> [f64; N] {
    groups.map(|pids| pids.iter().copied().map(cpu_seconds).sum())
}

/// CPU seconds of the measured processes in total, of the broker and of Redis.
#[derive(Clone, Copy)]
pub struct Sample([f64; 3]);

/// A meter of the measured processes.
pub struct Meter {
    pub own: Vec<u32>,
    /// All nodes.
    pub broker: Vec<u32>,
    pub redis: u32,
}

impl Meter {
    pub fn sample(&self) -> Sample {
        Sample(cpu_of([&self.own, &self.broker, &[self.redis]]))
    }

    /// Returns CPU microseconds since `before`, divided by `count`: the processes, the broker, Redis.
    pub fn per_message(&self, before: Sample, count: u64) -> [f64; 3] {
        let now = self.sample();
        std::array::from_fn(|n| (now.0[n] - before.0[n]) * 1e6 / count.max(1) as f64)
    }

    /// Returns the largest peak memory of the processes, in MiB.
    pub fn peak_mib(&self) -> f64 {
        self.own.iter().map(|pid| memory_mib(*pid, "VmHWM")).fold(0.0, f64::max)
    }
}
