//! A continuous load of webhooks, and the account of their outcomes.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use bytes::Bytes;
use futures_util::StreamExt;
use hookswitch::edge::http::Client;
use lapin::options::{BasicAckOptions, BasicConsumeOptions, BasicQosOptions};
use serde_json::Value;
use tokio::task::JoinHandle;

use crate::support::{PATIENCE, RunningReceiver, RunningWorker, World, call, calls, services::Broker, until};

/// Number of senders, each with one webhook at a time, and their pause after an accepted one.
const SENDERS: usize = 8;
const REST: Duration = Duration::from_millis(30);
/// A sender's pause after a refusal.
const REST_AFTER_REFUSAL: Duration = Duration::from_millis(200);

/// The longest interval between two occurrences of something.
#[derive(Debug)]
struct Gap {
    since: Instant,
    longest: Duration,
}

impl Gap {
    fn new() -> Self {
        Self { since: Instant::now(), longest: Duration::ZERO }
    }

    fn happened(&mut self) {
        self.longest = self.longest.max(self.since.elapsed());
        self.since = Instant::now();
    }
}

/// State shared by the senders.
#[derive(Debug)]
struct Senders {
    stop: AtomicBool,
    next: AtomicUsize,
    accepted: Mutex<BTreeSet<usize>>,
    refused: AtomicUsize,
    /// Between two answers of 200.
    gap: Mutex<Gap>,
}

/// A continuous load: each webhook is sent until it is answered 200.
pub struct Load {
    senders: Arc<Senders>,
    tasks: Vec<JoinHandle<()>>,
}

impl Load {
    /// Starts to send to these receivers; after a refusal to the next of them.
    pub fn start(receivers: &[RunningReceiver]) -> Self {
        let senders = Arc::new(Senders {
            stop: AtomicBool::new(false),
            next: AtomicUsize::new(0),
            accepted: Mutex::default(),
            refused: AtomicUsize::new(0),
            gap: Mutex::new(Gap::new()),
        });
        let urls: Vec<_> = receivers.iter().map(|r| format!("http://{}/in/salpre", r.address)).collect();
        let tasks = (0..SENDERS).map(|n| tokio::spawn(send(senders.clone(), urls.clone(), n))).collect();
        Self { senders, tasks }
    }

    /// Returns the number of webhooks answered 200.
    pub fn accepted(&self) -> usize {
        self.senders.accepted.lock().unwrap().len()
    }

    /// Returns the number of other answers, and of posts without an answer.
    pub fn refused(&self) -> usize {
        self.senders.refused.load(Ordering::Relaxed)
    }

    /// Waits until `more` further webhooks were answered 200.
    pub async fn accepts(&self, more: usize) {
        let wanted = self.accepted() + more;
        until(&format!("{more} more webhooks are accepted"), async || self.accepted() >= wanted).await;
    }

    /// Stops, once every webhook begun was accepted.
    async fn end(self) -> Arc<Senders> {
        self.senders.stop.store(true, Ordering::Relaxed);
        for task in self.tasks {
            tokio::time::timeout(PATIENCE, task).await.expect("the last webhooks are accepted").unwrap();
        }
        self.senders
    }
}

async fn send(senders: Arc<Senders>, urls: Vec<String>, mut receiver: usize) {
    let client = Client::new(PATIENCE);
    while !senders.stop.load(Ordering::Relaxed) {
        let n = senders.next.fetch_add(1, Ordering::Relaxed);
        loop {
            let url = &urls[receiver % urls.len()];
            let answer = client.post(url, &[], Bytes::from(call(n))).await;
            if answer.is_ok_and(|answer| answer.status == 200) {
                senders.accepted.lock().unwrap().insert(n);
                senders.gap.lock().unwrap().happened();
                break;
            }
            senders.refused.fetch_add(1, Ordering::Relaxed);
            receiver += 1;
            tokio::time::sleep(REST_AFTER_REFUSAL).await;
        }
        tokio::time::sleep(REST).await;
    }
}

/// A watch over the workers' longest interval without an event.
pub struct Watch {
    gap: Arc<Mutex<Gap>>,
    task: JoinHandle<()>,
}

impl Watch {
    /// Starts to watch the counters of these workers.
    pub fn start(workers: &Arc<Vec<RunningWorker>>) -> Self {
        let gap = Arc::new(Mutex::new(Gap::new()));
        let (workers, shared) = (workers.clone(), gap.clone());
        let task = tokio::spawn(async move {
            let mut before = 0.0;
            loop {
                let now: f64 = workers.iter().map(|w| w.metric("hookswitch_events_total")).sum();
                if now > before {
                    shared.lock().unwrap().happened();
                    before = now;
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        });
        Self { gap, task }
    }
}

/// The place where messages are counted: a node of the broker, and the test's vhost on it.
#[derive(Clone, Copy)]
pub struct Office<'a> {
    pub broker: &'a Broker,
    pub vhost: usize,
}

impl Office<'_> {
    /// Returns these columns of every queue; none if no node can tell.
    fn list(&self, columns: &[&str]) -> String {
        let vhost = format!("t{}", self.vhost);
        let arguments =
            [&["--silent", "--vhost", &vhost, "list_queues", "--no-table-headers"], columns].concat();
        self.broker.ask(&arguments).unwrap_or_default()
    }

    /// Waits until the queues selected by `counts` are empty, unacked messages included.
    async fn empty(&self, what: &str, counts: impl Fn(&str) -> bool) {
        let began = Instant::now();
        loop {
            let listed = tokio::task::block_in_place(|| self.list(&["name", "messages"]));
            let mut queues = listed.lines().filter_map(|line| line.split_once('\t'));
            if !listed.is_empty() && queues.all(|(name, messages)| messages == "0" || !counts(name)) {
                return;
            }
            if began.elapsed() > PATIENCE {
                let columns =
                    ["name", "messages_ready", "messages_unacknowledged", "consumers", "leader", "online"];
                panic!("{what}: not within {PATIENCE:?}\n{}", self.list(&columns));
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }
}

/// Stops the load, waits until every webhook has come through, accounts for all of them, and prints a summary
/// in one line. Returns the number of duplicates.
///
/// Checks the invariants of every fault: nothing lost, dead, unrouted, left over or unknown, and duplicates
/// under the same id only.
pub async fn account(
    test: &str,
    faults: usize,
    world: &World,
    office: Office<'_>,
    load: Load,
    watch: Watch,
) -> usize {
    let senders = load.end().await;
    let accepted = senders.accepted.lock().unwrap().clone();
    office
        .empty("the raw and delay queues are empty", |queue| {
            queue.starts_with("raw.") || queue.starts_with("retry.")
        })
        .await;
    watch.task.abort();
    let ids = consume(world, &accepted).await;
    let lost: Vec<_> = accepted.iter().filter(|n| !ids.contains_key(n)).collect();
    let duplicates = ids.values().map(Vec::len).sum::<usize>() - ids.len();
    let longest = |gap: &Mutex<Gap>| gap.lock().unwrap().longest.as_secs_f64();
    println!(
        "{test}: {} webhooks, {faults} faults, {} lost, {duplicates} duplicates, {} refusals, \
         at most {:.1} s without a 200 and {:.1} s without an event",
        accepted.len(),
        lost.len(),
        senders.refused.load(Ordering::Relaxed),
        longest(&senders.gap),
        longest(&watch.gap),
    );
    assert!(lost.is_empty(), "lost: {lost:?}");
    assert!(
        ids.keys().all(|n| *n < senders.next.load(Ordering::Relaxed)),
        "there is an event of a webhook that was never sent"
    );
    for (n, ids) in &ids {
        assert!(ids.iter().all(|id| *id == ids[0]), "call {n} has events with different ids: {ids:?}");
    }
    office.empty("every queue is empty: no dead letter, no unrouted event", |_| true).await;
    duplicates
}

/// Consumes the events, and waits for those of `wanted` that are missing. Returns the ids by call.
async fn consume(world: &World, wanted: &BTreeSet<usize>) -> BTreeMap<usize, Vec<String>> {
    let connection = world.client().await;
    let channel = connection.create_channel().await.unwrap();
    channel.basic_qos(500, BasicQosOptions::default()).await.unwrap();
    let options = BasicConsumeOptions::default();
    let mut consumer =
        channel.basic_consume("events.all".into(), "".into(), options, Default::default()).await.unwrap();
    let mut ids: BTreeMap<usize, Vec<String>> = BTreeMap::new();
    let began = Instant::now();
    loop {
        match tokio::time::timeout(Duration::from_millis(1_500), consumer.next()).await {
            Ok(delivery) => {
                let delivery = delivery.expect("the consumer continues").unwrap();
                let event: Value = serde_json::from_slice(&delivery.data).unwrap();
                let id = event["id"].as_str().unwrap().to_owned();
                ids.entry(calls(&[event])[0]).or_default().push(id);
                delivery.ack(BasicAckOptions::default()).await.unwrap();
            }
            Err(_) if wanted.iter().all(|n| ids.contains_key(n)) || began.elapsed() > PATIENCE => break,
            Err(_) => {}
        }
    }
    connection.close(200, "".into()).await.unwrap();
    ids
}
