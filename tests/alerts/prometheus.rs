//! A private Prometheus with the repository's rules, whose times are shortened.

use std::{
    collections::BTreeSet,
    fmt::Write,
    path::Path,
    process::{Child, Stdio},
    time::Duration,
};

use fancy_regex::{Captures, Regex};
use hookswitch::edge::http::Client;
use serde_json::Value;
use tempfile::TempDir;
use tokio::runtime::Runtime;

use crate::support::services::{free_port, spawn, tied};

/// The rules as they are shipped.
const RULES: &str = include_str!("../../deploy/prometheus/alerts.yaml");

/// Times are divided by this: 15 minutes take 15 seconds.
const FACTOR: f64 = 60.0;

/// Alerts on what takes longer to happen, or on numbers that a worker reads only every 15 s, and the factor
/// of their times.
const SLOW: [(&str, f64); 3] =
    [("HookswitchLedgerOpen", 20.0), ("HookswitchBacklogGrows", 20.0), ("HookswitchLinkFlaps", 20.0)];

/// Times that would still be too long, and the seconds that take their place.
const LONG: [(&str, f64); 3] = [("1h", 20.0), ("1d", 30.0), ("7d", 40.0)];

/// The factors in words.
pub const FACTORS: &str = "Times of the rules are divided by 60 (by 20 in HookswitchLedgerOpen, \
                           HookswitchBacklogGrows and HookswitchLinkFlaps); an hour is 20 s, a day 30 s, a \
                           week 40 s. Prometheus scrapes and evaluates every second.";

/// Returns the names of all alerts.
pub fn alerts() -> Vec<String> {
    let lines = RULES.lines().filter_map(|line| line.trim().strip_prefix("- alert: "));
    lines.map(str::to_owned).collect()
}

/// Returns the rules with their times shortened.
fn shortened() -> String {
    let time = Regex::new(r"(?<![\w.])(\d+)(s|m|h|d)\b").unwrap();
    let (mut rules, mut factor, mut in_expression) = (String::new(), FACTOR, false);
    for line in RULES.lines() {
        let trimmed = line.trim();
        if let Some(alert) = trimmed.strip_prefix("- alert: ") {
            factor = SLOW.iter().find(|(slow, _)| *slow == alert).map_or(FACTOR, |(_, factor)| *factor);
        }
        if trimmed.ends_with(':') || trimmed.starts_with("for:") {
            in_expression = false;
        }
        in_expression |= trimmed.starts_with("expr:");
        let shorter = |found: &Captures<'_, str>| {
            let long = LONG.iter().find(|(long, _)| *long == &found[0]).map(|(_, seconds)| *seconds);
            let unit = match &found[2] {
                "s" => 1.0,
                "m" => 60.0,
                "h" => 3_600.0,
                _ => 86_400.0,
            };
            let seconds = long.unwrap_or(found[1].parse::<f64>().unwrap() * unit / factor);
            format!("{}s", seconds.round().max(1.0))
        };
        if in_expression || trimmed.starts_with("for:") {
            rules += &time.replace_all(&line.replace("* 60", "* 1"), shorter);
        } else {
            rules += line;
        }
        rules.push('\n');
    }
    rules
}

/// A running Prometheus; killed when dropped.
pub struct Prometheus {
    child: Child,
    dir: TempDir,
    port: u16,
    runtime: Runtime,
}

impl Prometheus {
    /// Starts one that reads the metrics of these processes: role and port.
    pub fn start(targets: &[(&str, u16)]) -> Self {
        let (dir, port) = (tempfile::tempdir().unwrap(), free_port());
        let file = |name: &str| dir.path().join(name);
        std::fs::write(file("rules.yaml"), shortened()).unwrap();
        let mut config = "global: {scrape_interval: 1s, evaluation_interval: 1s}\nrule_files: [rules.yaml]\n\
                          scrape_configs:\n- job_name: hookswitch\n  static_configs:\n"
            .to_owned();
        for (role, port) in targets {
            writeln!(config, "  - {{targets: ['127.0.0.1:{port}'], labels: {{role: {role}}}}}").unwrap();
        }
        std::fs::write(file("prometheus.yaml"), config).unwrap();
        let log = std::fs::File::create(file("log")).unwrap();
        let mut command = tied("prometheus");
        command
            .arg(format!("--config.file={}", file("prometheus.yaml").display()))
            .arg(format!("--storage.tsdb.path={}", file("data").display()))
            .arg(format!("--web.listen-address=127.0.0.1:{port}"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log);
        let (child, runtime) = (spawn(command), Runtime::new().unwrap());
        Self { child, dir, port, runtime }
    }

    /// Returns the alerts that fire.
    pub fn firing(&self) -> BTreeSet<String> {
        let alerts = self.get("alerts");
        let firing = alerts["data"]["alerts"].as_array().unwrap().iter();
        let firing = firing.filter(|alert| alert["state"] == "firing");
        firing.map(|alert| alert["labels"]["alertname"].as_str().unwrap().to_owned()).collect()
    }

    /// Returns how many series an expression has now, or had in the last minutes.
    pub fn series(&self, expression: &str, minutes: u32) -> usize {
        let encoded: String = url::form_urlencoded::byte_serialize(expression.as_bytes()).collect();
        let now = jiff::Timestamp::now().as_second();
        let begin = now - i64::from(minutes) * 60;
        let answer = self.get(&format!("query_range?query={encoded}&start={begin}&end={now}&step=2"));
        assert_eq!(answer["status"], "success", "{expression}: {answer}");
        answer["data"]["result"].as_array().unwrap().len()
    }

    fn get(&self, path: &str) -> Value {
        let url = format!("http://127.0.0.1:{}/api/v1/{path}", self.port);
        for _ in 0..100 {
            let got = self.runtime.block_on(Client::new(Duration::from_secs(10)).get(&url));
            if let Ok(reply) = got
                && let Ok(answer) = serde_json::from_slice(&reply.body)
            {
                return answer;
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        panic!("Prometheus does not answer: {}", read(&self.dir.path().join("log")));
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_default()
}

#[test]
fn times_of_rules_are_shortened_and_nothing_else() {
    let rules = shortened();
    for (before, after) in [("for: 15m", "for: 15s"), ("[15m:30s]", "[45s:2s]"), ("[1d:5m]", "[30s:5s]")] {
        assert!(RULES.contains(before) && rules.contains(after), "{before}: {rules}");
    }
    assert!(rules.contains("> 5 * 1\n") && !rules.contains("offset 7d"));
    let texts = |rules: &str| -> Vec<String> {
        let of_texts = |line: &&str| line.trim().starts_with("summary:") || line.contains("runbook_url:");
        rules.lines().filter(of_texts).map(str::to_owned).collect()
    };
    assert_eq!(texts(&rules), texts(RULES));
}
