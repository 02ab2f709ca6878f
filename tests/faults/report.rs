//! The accounting at the end: missing webhooks, duplicates by whether they were avoidable, and the tables.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    fs::File,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    sync::atomic::Ordering,
};

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    book::{Book, Entry, Trouble, Wrong},
    fleet::OTHER_CLOCK,
    rows,
    traffic::Class,
    world::{LEASE, World},
};

/// Number of lost webhooks that are traced through ledger and logs.
const TRACED: usize = 20;

/// A copy of an event, as received by the consumer.
struct Copy {
    at: u64,
    position: usize,
    delivery: String,
    hash: String,
}

/// A delivery that a worker logged as done: Redis had the done mark before `end`, and none of its events were
/// published before `began`.
struct Done {
    began: u64,
    end: u64,
}

/// The duplicates, by what the program could know when it published them.
#[derive(Default)]
pub struct Duplicates {
    pub unknowable: u64,
    pub knowable: u64,
}

fn lines(path: &Path) -> impl Iterator<Item = String> {
    let file = File::open(path).unwrap();
    // A killed process may leave half a line, even half a character.
    BufReader::new(file).split(b'\n').map(|line| String::from_utf8_lossy(&line.unwrap()).into_owned())
}

fn logs(dir: &Path) -> Vec<PathBuf> {
    let files = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    files.filter(|path| path.extension().is_some_and(|extension| extension == "log")).collect()
}

/// Checks every webhook that was answered 200. Call it when no webhook is in flight.
pub fn account(book: &Book, dir: &Path) {
    let mut lost = Vec::new();
    for Entry { number, accepted, copies, dead } in book.entries() {
        if accepted == 0 {
            continue;
        }
        let missing = match number.class() {
            Some(Class::Good) => copies.iter().take(book.traffic.events_of(number)).any(|c| *c == 0),
            _ => true,
        };
        if missing && dead == 0 {
            lost.push(number);
        }
    }
    let traced: Vec<_> = lost.iter().take(TRACED).map(ToString::to_string).collect();
    let traces = trace(dir, &traced);
    for number in lost {
        let trace = traces.get(&number.to_string()).map_or(String::new(), |lines| lines.join("\n    "));
        book.complain(Wrong::Lost, format!("{number}\n    {trace}"));
    }
}

/// Returns what the ledger and the logs say of webhooks.
fn trace(dir: &Path, numbers: &[String]) -> BTreeMap<String, Vec<String>> {
    let mut traces = BTreeMap::<String, Vec<String>>::new();
    if numbers.is_empty() {
        return traces;
    }
    let mut by_delivery = BTreeMap::new();
    for line in lines(&dir.join("ledger.tsv")) {
        let Some(number) = numbers.iter().find(|number| line.starts_with(number.as_str())) else { continue };
        if let Some(delivery) = line.rsplit('\t').next().filter(|id| !id.is_empty()) {
            by_delivery.insert(delivery.to_owned(), number.clone());
        }
        traces.entry(number.clone()).or_default().push(format!("ledger: {line}"));
    }
    for path in logs(dir) {
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        for line in lines(&path) {
            let Some(delivery) = delivery_of(&line) else { continue };
            if let Some(number) = by_delivery.get(delivery) {
                traces.entry(number.clone()).or_default().push(format!("{name}: {line}"));
            }
        }
    }
    traces
}

fn delivery_of(line: &str) -> Option<&str> {
    line.split_once("\"delivery_id\":\"")?.1.get(..36)
}

/// Classifies the duplicate events.
pub fn duplicates(book: &Book, dir: &Path) -> Duplicates {
    book.flush();
    let twice: HashSet<usize> = book
        .entries()
        .iter()
        .filter(|entry| entry.copies.iter().any(|copies| *copies > 1))
        .map(|entry| entry.number.sequence())
        .collect();
    let mut copies = HashMap::<usize, Vec<Copy>>::new();
    for line in lines(&dir.join("seen.tsv")) {
        let fields: Vec<_> = line.split('\t').collect();
        let [at, sequence, position, delivery, hash] = fields.as_slice() else { continue };
        let sequence = sequence.parse().unwrap();
        if twice.contains(&sequence) {
            let (at, position) = (at.parse().unwrap(), position.parse().unwrap());
            let (delivery, hash) = ((*delivery).to_owned(), (*hash).to_owned());
            copies.entry(sequence).or_default().push(Copy { at, position, delivery, hash });
        }
    }
    let wanted = copies.values().flatten().map(|copy| copy.delivery.as_str()).collect();
    let (done, mut troubles) = read_logs(dir, &wanted);
    troubles.extend(book.troubles());
    let mut found = Duplicates::default();
    for (sequence, copies) in &copies {
        judge(book, *sequence, copies, &done, &troubles, &mut found);
    }
    found
}

/// Returns the done deliveries of the webhooks wanted, and the times of infrastructure errors in the workers'
/// logs.
fn read_logs(dir: &Path, wanted: &HashSet<&str>) -> (HashMap<String, Vec<Done>>, Vec<Trouble>) {
    #[derive(Deserialize)]
    struct Line {
        timestamp: Timestamp,
        level: String,
        #[serde(default)]
        message: String,
        delivery_id: Option<String>,
        disposition: Option<String>,
        #[serde(default)]
        took_ms: u64,
    }
    let (mut done, mut troubles) = (HashMap::<String, Vec<Done>>::new(), Vec::new());
    // The times of a worker with a wrong clock are meaningless.
    let is_witness = |path: &&PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        name.starts_with("worker") && !name.contains(OTHER_CLOCK)
    };
    for path in logs(dir).iter().filter(is_witness) {
        for line in lines(path) {
            let about_us = delivery_of(&line).is_none_or(|delivery| wanted.contains(delivery));
            let Some(line) = about_us.then(|| serde_json::from_str::<Line>(&line).ok()).flatten() else {
                continue;
            };
            let end = u64::try_from(line.timestamp.as_millisecond()).unwrap();
            match (line.delivery_id, line.disposition.as_deref()) {
                (Some(delivery), Some("done")) => {
                    // The log rounds times down.
                    let began = end.saturating_sub(line.took_ms);
                    done.entry(delivery).or_default().push(Done { began, end });
                }
                (None, _) if line.level == "WARN" && !line.message.starts_with("schema drift") => {
                    troubles.push(Trouble { from: end, to: end })
                }
                _ => {}
            }
        }
    }
    (done, troubles)
}

/// Returns whether the program could have known that it published a webhook a second time.
///
/// It could if one worker had logged it as done before another began with it, unless Redis lost data in
/// between. It also could if nothing explains the duplicate. To be conservative, any infrastructure error in
/// that time counts as an explanation.
fn judge(
    book: &Book,
    sequence: usize,
    copies: &[Copy],
    done: &HashMap<String, Vec<Done>>,
    troubles: &[Trouble],
    found: &mut Duplicates,
) {
    let deliveries: HashSet<_> = copies.iter().map(|copy| &copy.delivery).collect();
    let ends: Vec<_> = deliveries.iter().flat_map(|delivery| done.get(*delivery)).flatten().collect();
    let forgot = |from: u64, to: u64| book.redis_losses().iter().any(|at| (from..=to).contains(at));
    let known = ends.iter().any(|first| {
        let second = ends.iter().find(|second| second.began > first.end + 2);
        second.is_some_and(|second| !forgot(first.end.saturating_sub(5_000), second.end))
    });
    for position in 0..2 {
        let mut same: Vec<_> = copies.iter().filter(|copy| copy.position == position).collect();
        same.sort_by_key(|copy| copy.at);
        let ([first, .., last], extra) = (same.as_slice(), same.len().saturating_sub(1)) else { continue };
        let from = first.at.saturating_sub(u64::try_from(LEASE.as_millis()).unwrap());
        let excused = troubles.iter().any(|t| t.from <= last.at && t.to >= from) || forgot(from, last.at);
        if known || !excused {
            found.knowable += extra as u64;
            let why = if known { "it was known to be done" } else { "nothing explains it" };
            let ids: Vec<_> = same.iter().map(|copy| format!("{} at {}", copy.delivery, copy.at)).collect();
            book.complain(Wrong::KnowableDuplicate, format!("webhook {sequence}: {why}: {}", ids.join(", ")));
        } else {
            found.unknowable += extra as u64;
        }
        let differ = same.iter().any(|a| same.iter().any(|b| a.delivery == b.delivery && a.hash != b.hash));
        if differ {
            book.complain(Wrong::Corrupt, format!("webhook {sequence}: two events with the same id differ"));
        }
    }
}

fn percentile(values: &[u64], percent: usize) -> Option<u64> {
    let mut sorted = values.to_vec();
    sorted.sort_unstable();
    sorted.get((sorted.len() * percent / 100).min(sorted.len().saturating_sub(1))).copied()
}

/// Returns the report as JSON.
pub fn json(world: &World, seconds: u64, duplicates: &Duplicates) -> Value {
    let book = &world.book;
    let count = |n: &std::sync::atomic::AtomicU64| n.load(Ordering::Relaxed);
    let recoveries = world.recoveries.lock().unwrap();
    let rows: Vec<_> = rows::all()
        .filter_map(|row| {
            let known = recoveries.get(row.number)?;
            let spread = |values: &[u64]| {
                let [p50, p99, max] = [50, 99, 100].map(|percent| percentile(values, percent));
                json!({ "p50_ms": p50, "p99_ms": p99, "max_ms": max })
            };
            Some(json!({
                "row": row.number,
                "name": row.name,
                "injected": known.injected,
                "next_event": spread(&known.first),
                "through": spread(&known.through),
                "missing": known.missing,
            }))
        })
        .collect();
    let (crashes, surprises) = world.fleet.ends();
    let wrong: BTreeMap<_, _> = book
        .wrong()
        .into_iter()
        .map(|(kind, (count, kept))| (kind.as_str(), json!({"count": count, "first": kept})))
        .collect();
    json!({
        "seed": world.options.seed,
        "seconds": seconds,
        "rows": rows,
        "kills": {
            "worker": count(&world.tally.worker_kills),
            "worker_crash_points": crashes,
            "receiver": count(&world.tally.receiver_kills),
            "broker": count(&world.tally.broker_kills),
            "redis": count(&world.tally.redis_kills),
        },
        "surprising_ends": surprises,
        "webhooks": book.sent(),
        "accepted": count(&book.accepted),
        "answers_200": count(&book.answers),
        "refusals": count(&world.sender.refusals),
        "repeats_sent": count(&world.sender.repeats),
        "events": count(&book.events),
        "events_unrouted": count(&book.unrouted),
        "redelivered_to_the_consumer": count(&book.redelivered),
        "duplicates": { "knowable": duplicates.knowable, "unknowable": duplicates.unknowable },
        "dead": book.dead_by_reason(),
        "wrong": wrong,
    })
}

/// Returns the report as tables.
pub fn print(report: &Value) {
    println!(
        "\n{:<4} {:<52} {:>5} {:>24} {:>24}",
        "row", "fault", "times", "next event p50/p99/max", "through p50/p99/max"
    );
    for row in report["rows"].as_array().unwrap() {
        let spread = |of: &Value| {
            let ms =
                |name: &str| of[name].as_u64().map_or("-".to_owned(), |ms| format!("{:.2}", ms as f64 / 1e3));
            format!("{}/{}/{} s", ms("p50_ms"), ms("p99_ms"), ms("max_ms"))
        };
        println!(
            "{:<4} {:<52} {:>5} {:>24} {:>24} {}",
            row["row"].as_str().unwrap(),
            row["name"].as_str().unwrap(),
            row["injected"],
            spread(&row["next_event"]),
            spread(&row["through"]),
            row["missing"].as_str().map_or(String::new(), |path| format!("NOT RUN: {path} is missing")),
        );
    }
    println!();
    let totals = report.as_object().unwrap().iter();
    for (name, value) in totals.filter(|(name, _)| !matches!(name.as_str(), "rows" | "wrong")) {
        println!("{:<28} {value}", name.replace('_', " "));
    }
    for kind in
        [Wrong::Lost, Wrong::Corrupt, Wrong::Phantom, Wrong::Misrouted, Wrong::KnowableDuplicate, Wrong::Row]
    {
        println!("{:<28} {}", kind.as_str(), report["wrong"][kind.as_str()]["count"].as_u64().unwrap_or(0));
    }
}
