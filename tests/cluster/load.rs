//! Webhooks that keep coming, and the account of what became of them.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use bytes::Bytes;
use futures_util::StreamExt;
use hookswitch::edge::{amqp::names, http::Client};
use lapin::options::{BasicAckOptions, BasicConsumeOptions, BasicQosOptions};
use serde_json::Value;
use tokio::task::JoinHandle;

use crate::support::{PATIENCE, RunningProcess, World, call, calls, services::Broker, until};

/// How many webhooks are on their way at a time, and how long each sender rests after one that was accepted.
const SENDERS: usize = 8;
const REST: Duration = Duration::from_millis(30);
/// How long a sender rests after one that was not.
const REST_AFTER_REFUSAL: Duration = Duration::from_millis(200);

/// How long the longest time was in which something did not happen.
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

/// What the senders know together.
#[derive(Debug)]
struct Senders {
    stop: AtomicBool,
    next: AtomicUsize,
    accepted: Mutex<BTreeSet<usize>>,
    refused: AtomicUsize,
    /// Between one 200 and the next.
    gap: Mutex<Gap>,
}

/// Webhooks that keep coming: each is sent, again and again, until it is answered 200.
pub struct Load {
    senders: Arc<Senders>,
    tasks: Vec<JoinHandle<()>>,
}

impl Load {
    /// Sends to the receivers at these addresses, and after a refusal to the next of them.
    pub fn start<'a>(receivers: impl IntoIterator<Item = &'a str>) -> Self {
        let senders = Arc::new(Senders {
            stop: AtomicBool::new(false),
            next: AtomicUsize::new(0),
            accepted: Mutex::default(),
            refused: AtomicUsize::new(0),
            gap: Mutex::new(Gap::new()),
        });
        let urls: Vec<_> =
            receivers.into_iter().map(|address| format!("http://{address}/in/salpre")).collect();
        let tasks = (0..SENDERS).map(|n| tokio::spawn(send(senders.clone(), urls.clone(), n))).collect();
        Self { senders, tasks }
    }

    /// How many were answered 200.
    pub fn accepted(&self) -> usize {
        self.senders.accepted.lock().unwrap().len()
    }

    /// How often another answer came, or none.
    pub fn refused(&self) -> usize {
        self.senders.refused.load(Ordering::Relaxed)
    }

    /// Waits until so many more were answered 200.
    pub async fn accepts(&self, more: usize) {
        let wanted = self.accepted() + more;
        until(&format!("{more} more webhooks are accepted"), async || self.accepted() >= wanted).await;
    }

    /// Ends with the last webhook accepted.
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

/// How long the workers published nothing.
pub struct Watch {
    gap: Arc<Mutex<Gap>>,
    task: JoinHandle<()>,
}

impl Watch {
    /// Watches what these workers count.
    pub fn start(workers: &Arc<Vec<RunningProcess>>) -> Self {
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

/// Where messages are counted: a node of the broker, and the test's vhost there.
#[derive(Clone, Copy)]
pub struct Office<'a> {
    pub broker: &'a Broker,
    pub vhost: usize,
}

impl Office<'_> {
    /// These columns of every queue; empty if no node answers.
    fn list(&self, columns: &[&str]) -> String {
        let vhost = format!("t{}", self.vhost);
        let arguments =
            [&["--silent", "--vhost", &vhost, "list_queues", "--no-table-headers"], columns].concat();
        self.broker.ask(&arguments).unwrap_or_default()
    }

    /// Waits until those of these queues are empty that `counts`, consumers' hands included.
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
                panic!("not within {PATIENCE:?}: {what}\n{}", self.list(&columns));
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }
}

/// Ends the load, and says in one line what became of it. Returns the number of duplicates.
pub async fn account(
    test: &str,
    faults: usize,
    world: &World,
    office: Office<'_>,
    load: Load,
    watch: Watch,
) -> usize {
    let count = count(&[(world, office)], load).await;
    // A task that is aborted keeps its workers until it has ended.
    watch.task.abort();
    let ended = watch.task.await;
    assert!(ended.is_err_and(|e| e.is_cancelled()), "the watch panicked");
    let longest = watch.gap.lock().unwrap().longest.as_secs_f64();
    println!("{test}: {faults} faults, {count} and {longest:.1} s without an event");
    count.duplicates
}

/// What became of a load.
pub struct Count {
    accepted: usize,
    pub duplicates: usize,
    refused: usize,
    longest: Duration,
}

impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { accepted, duplicates, refused, longest } = self;
        let longest = longest.as_secs_f64();
        write!(
            f,
            "{accepted} webhooks, 0 lost, {duplicates} duplicates, {refused} refusals, at most \
             {longest:.1} s without a 200"
        )
    }
}

/// Ends the load, waits until everything has come through, and counts what became of it.
///
/// What holds after every fault is checked here, of all brokers together: nothing lost, nothing dead, nothing
/// unrouted, nothing left over, no event that was not sent, and duplicates under the same id only.
pub async fn count(places: &[(&World, Office<'_>)], load: Load) -> Count {
    let senders = load.end().await;
    let accepted = senders.accepted.lock().unwrap().clone();
    let is_work = |queue: &str| queue.starts_with("raw.") || queue.starts_with("retry.");
    for (_, office) in places {
        office.empty("all work is done", is_work).await;
    }
    let ids = consume(places.iter().map(|(world, _)| *world), &accepted).await;
    let lost: Vec<_> = accepted.iter().filter(|n| !ids.contains_key(n)).collect();
    assert!(lost.is_empty(), "lost, of {}: {lost:?}", accepted.len());
    assert!(
        ids.keys().all(|n| *n < senders.next.load(Ordering::Relaxed)),
        "an event of a webhook that was never sent"
    );
    for (n, ids) in &ids {
        assert!(ids.iter().all(|id| *id == ids[0]), "call {n} came under several ids: {ids:?}");
    }
    // The one holds the record of what was applied, and canaries come and go in the other.
    let counts = |name: &str| ![names::TOPOLOGY_LOG, names::CANARY_QUEUE].contains(&name);
    for (_, office) in places {
        office.empty("no dead letter, nothing unrouted, nothing left over", counts).await;
    }
    let longest = senders.gap.lock().unwrap().longest;
    Count {
        accepted: accepted.len(),
        duplicates: ids.values().map(Vec::len).sum::<usize>() - ids.len(),
        refused: senders.refused.load(Ordering::Relaxed),
        longest,
    }
}

/// Takes what there is of events, and waits for those of `wanted` that are not there: the ids by call.
async fn consume<'a>(
    worlds: impl Iterator<Item = &'a World> + Clone,
    wanted: &BTreeSet<usize>,
) -> BTreeMap<usize, Vec<String>> {
    let mut ids = BTreeMap::new();
    let began = Instant::now();
    loop {
        for world in worlds.clone() {
            take(world, &mut ids).await;
        }
        if wanted.iter().all(|n| ids.contains_key(n)) || began.elapsed() > PATIENCE {
            return ids;
        }
    }
}

/// Takes events until none has come for a while.
async fn take(world: &World, ids: &mut BTreeMap<usize, Vec<String>>) {
    let connection = world.client().await;
    let channel = connection.create_channel().await.unwrap();
    channel.basic_qos(500, BasicQosOptions::default()).await.unwrap();
    let options = BasicConsumeOptions::default();
    let mut consumer =
        channel.basic_consume("events.all".into(), "".into(), options, Default::default()).await.unwrap();
    while let Ok(delivery) = tokio::time::timeout(Duration::from_millis(1_500), consumer.next()).await {
        let delivery = delivery.expect("the consumer goes on").unwrap();
        let event: Value = serde_json::from_slice(&delivery.data).unwrap();
        let id = event["id"].as_str().unwrap().to_owned();
        ids.entry(calls(&[event])[0]).or_default().push(id);
        delivery.ack(BasicAckOptions::default()).await.unwrap();
    }
    connection.close(200, "".into()).await.unwrap();
}
