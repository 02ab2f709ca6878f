//! Reports of the measurements: spreads, tails, and the result files of a run.

use std::{
    ffi::OsStr,
    fmt, fs,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use serde::{Deserialize, Serialize};

use super::world::World;

/// The destination and format of results.
#[derive(clap::Args)]
pub struct Output {
    /// Folder for the results and the chart
    #[arg(long, default_value = "docs/bench")]
    out: PathBuf,
    /// Print the results as JSON instead of tables
    #[arg(long)]
    json: bool,
}

impl Output {
    /// Prints a run as a table or as JSON, and writes `<name>.json` and the chart `<name>.svg`.
    ///
    /// With services of another Debian all names of files end in its name.
    pub fn finish(&self, name: &str, result: &impl Serialize, table: &str, chart: &str) {
        let json = serde_json::to_string_pretty(result).unwrap() + "\n";
        print!("{}", if self.json { &json } else { table });
        self.write(&format!("{name}.json"), &json);
        self.write(&format!("{name}.svg"), chart);
    }

    pub fn write(&self, name: &str, text: &str) {
        fs::create_dir_all(&self.out).unwrap();
        let path = self.path(name);
        fs::write(&path, text).unwrap();
        say(&format!("written: {}", path.display()));
    }

    pub fn read(&self, name: &str) -> Option<String> {
        fs::read_to_string(self.path(name)).ok()
    }

    fn path(&self, name: &str) -> PathBuf {
        let root = std::env::var_os("HOOKSWITCH_SERVICES_ROOT").map(PathBuf::from);
        let suite = root.as_deref().and_then(Path::file_name).and_then(OsStr::to_str);
        match (suite, name.rsplit_once('.')) {
            (Some(suite), Some((stem, ending))) => self.out.join(format!("{stem}-{suite}.{ending}")),
            _ => self.out.join(name),
        }
    }

    /// Prints the results of a run without a chart.
    pub fn print(&self, result: &impl Serialize, table: &str) {
        let json = || serde_json::to_string_pretty(result).unwrap() + "\n";
        print!("{}", if self.json { json() } else { table.to_owned() });
    }
}

/// Prints progress to standard error, since standard output is for results.
pub fn say(text: &str) {
    eprintln!("==> {text}");
}

/// Several measurements of the same figure.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Spread {
    pub n: usize,
    pub median: f64,
    pub min: f64,
    pub max: f64,
}

impl Spread {
    pub fn of(values: impl IntoIterator<Item = f64>) -> Self {
        let mut values: Vec<f64> = values.into_iter().collect();
        values.sort_by(f64::total_cmp);
        let n = values.len();
        let median = f64::midpoint(values[(n - 1) / 2], values[n / 2]);
        Self { n, median, min: values[0], max: values[n - 1] }
    }
}

/// `median (min–max)`.
impl fmt::Display for Spread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = f.precision().unwrap_or(1);
        let text = format!("{:.digits$} ({:.digits$}–{:.digits$})", self.median, self.min, self.max);
        let room = f.width().unwrap_or(0).saturating_sub(text.chars().count());
        write!(f, "{}{text}", " ".repeat(room))
    }
}

/// A distribution of durations in milliseconds.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Tail {
    pub n: usize,
    pub p50: f64,
    pub p99: f64,
    pub p999: f64,
    pub max: f64,
}

impl Tail {
    pub fn of(took: impl IntoIterator<Item = Duration>) -> Self {
        let mut took: Vec<f64> = took.into_iter().map(|took| took.as_secs_f64() * 1e3).collect();
        took.sort_by(f64::total_cmp);
        let at = |share: f64| percentile(&took, share);
        Self { n: took.len(), p50: at(0.5), p99: at(0.99), p999: at(0.999), max: at(1.0) }
    }
}

/// Returns the smallest sorted value that this share of the values does not exceed; 0 without values.
fn percentile(sorted: &[f64], share: f64) -> f64 {
    let rank = (share * sorted.len() as f64).ceil() as usize;
    sorted.get(rank.saturating_sub(1)).copied().unwrap_or_default()
}

/// The machine and services of a measurement.
#[derive(Serialize, Deserialize)]
pub struct Machine {
    pub cores: usize,
    pub cpu: String,
    pub kernel: String,
    pub rabbitmq: String,
    pub redis: String,
    pub date: String,
    pub commit: String,
}

impl Machine {
    pub async fn of(world: &World) -> Self {
        let cpu = field(&read("/proc/cpuinfo"), "model name");
        Self {
            cores: std::thread::available_parallelism().unwrap().get(),
            cpu: cpu.unwrap_or_else(|| "unknown".to_owned()),
            kernel: read("/proc/sys/kernel/osrelease").trim().to_owned(),
            rabbitmq: world.rabbitmq.version(),
            redis: field(&world.redis_info("server").await, "redis_version").unwrap_or_default(),
            date: jiff::Timestamp::now().strftime("%Y-%m-%d %H:%M UTC").to_string(),
            commit: commit(),
        }
    }
}

impl fmt::Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { cores, cpu, kernel, rabbitmq, redis, date, commit } = self;
        write!(
            f,
            "{date}, {commit}; {cores} cores, {cpu}, Linux {kernel}, RabbitMQ {rabbitmq}, Redis {redis}"
        )
    }
}

fn read(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

/// Returns the value of the first line `<name>: <value>`.
pub fn field(text: &str, name: &str) -> Option<String> {
    let value = text.lines().find_map(|line| line.strip_prefix(name)?.trim_start().strip_prefix(':'))?;
    Some(value.trim().to_owned())
}

/// Returns the measured commit, and whether anything but results has changed since.
fn commit() -> String {
    let git = |arguments: &[&str]| {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
        let output = Command::new("git").args(arguments).current_dir(folder).output().ok()?;
        output.status.success().then_some(String::from_utf8(output.stdout).ok()?)
    };
    let Some(head) = git(&["rev-parse", "--short=10", "HEAD"]) else { return "unknown commit".to_owned() };
    let changed = git(&["status", "--porcelain", "--", "src", "tests/bench", "Cargo.toml", "Cargo.lock"]);
    let more = if changed.is_some_and(|changed| !changed.is_empty()) { " with changes" } else { "" };
    format!("{}{more}", head.trim())
}
