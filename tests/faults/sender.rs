//! The provider: sends webhooks at a rate, repeats those not answered 200, and keeps a ledger.

use std::{
    fs::File,
    io::Write,
    path::Path,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
        mpsc,
    },
    time::{Duration, Instant},
};

use bytes::Bytes;
use hookswitch::core::webhook::Webhook;
use http_body_util::{BodyExt, Full};
use hyper::Request;
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use sha2::{Digest, Sha256};
use tokio::sync::{Semaphore, oneshot};
use tokio_util::sync::CancellationToken;

use super::{
    book::Book,
    traffic::{Class, Dice, Number},
};

/// Upper bound on webhooks not yet answered 200. More would only fill this machine's memory.
const OUTSTANDING_MAX: usize = 4_000;
/// Concurrent requests.
const REQUESTS_MAX: usize = 256;
/// Webhooks that are sent at the same time, so that several of a source share a message.
const BURST: u64 = 24;
/// Timeout of a request: that of the most impatient provider.
const ANSWER_MAX: Duration = Duration::from_secs(10);
/// Interval at which the ledger is synced to disk.
const COMMIT_EVERY: Duration = Duration::from_millis(50);

/// Shares of special webhooks, which rows raise for a while.
pub struct Mix {
    /// Poison webhooks per thousand.
    pub poison: AtomicU64,
    /// Deliberate repeats per thousand.
    pub repeats: AtomicU64,
    /// One big body in so many webhooks.
    pub big_every: AtomicU64,
    /// Longest delay of a late repeat.
    pub late_max: Duration,
}

pub struct Sender {
    book: Arc<Book>,
    client: Client<HttpConnector, Full<Bytes>>,
    addresses: Vec<String>,
    pub mix: Mix,
    rate: u64,
    ledger: Ledger,
    requests: Semaphore,
    outstanding: Arc<Semaphore>,
    pub repeats: AtomicU64,
    pub refusals: AtomicU64,
    /// Time after which unanswered webhooks are not repeated.
    give_up: CancellationToken,
    /// Held by every task, so that the sender can wait for all of them.
    alive: Arc<()>,
}

impl Sender {
    pub fn new(book: Arc<Book>, addresses: Vec<String>, rate: u64, mix: Mix, dir: &Path) -> Arc<Self> {
        Arc::new(Self {
            ledger: Ledger::start(&dir.join("ledger.tsv"), book.clone()),
            book,
            client: Client::builder(TokioExecutor::new()).build_http(),
            addresses,
            mix,
            rate,
            requests: Semaphore::new(REQUESTS_MAX),
            outstanding: Arc::new(Semaphore::new(OUTSTANDING_MAX)),
            repeats: AtomicU64::new(0),
            refusals: AtomicU64::new(0),
            give_up: CancellationToken::new(),
            alive: Arc::default(),
        })
    }

    /// Sends new webhooks until `stop`. Those delayed by an outage are sent after it.
    pub async fn run(self: Arc<Self>, mut dice: Dice, stop: CancellationToken) {
        let began = Instant::now();
        let mut sent = 0;
        while !stop.is_cancelled() {
            let due = u64::try_from(began.elapsed().as_micros()).unwrap() * self.rate / 1_000_000;
            let due = due / BURST * BURST;
            while sent < due && !stop.is_cancelled() {
                let place = self.outstanding.clone().acquire_owned();
                let Some(Ok(place)) = stop.run_until_cancelled(place).await else { return };
                sent += 1;
                let number = self.book.open(self.class(&mut dice));
                let sender = self.clone();
                let dice = Dice::new(dice.next());
                let alive = self.alive.clone();
                tokio::spawn(async move {
                    sender.deliver(number, dice).await;
                    drop((place, alive));
                });
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    fn class(&self, dice: &mut Dice) -> Class {
        if dice.below(self.mix.big_every.load(Ordering::Relaxed)) == 0 {
            Class::BIG_POISON[usize::try_from(dice.below(2)).unwrap()]
        } else if dice.below(1_000) < self.mix.poison.load(Ordering::Relaxed) {
            Class::SMALL_POISON[usize::try_from(dice.below(5)).unwrap()]
        } else {
            Class::Good
        }
    }

    /// Stops: waits until every webhook is answered 200, at most this long. Late repeats are dropped.
    pub async fn finish(&self, patience: Duration) {
        let deadline = Instant::now() + patience;
        while self.outstanding.available_permits() < OUTSTANDING_MAX && Instant::now() < deadline {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        self.give_up.cancel();
        while Arc::strong_count(&self.alive) > 1 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Sends one webhook until it is answered 200, then its deliberate repeats.
    async fn deliver(self: &Arc<Self>, number: Number, mut dice: Dice) {
        let webhook = Arc::new(self.book.traffic.webhook(number));
        let digest = hex::encode(Sha256::digest(&webhook.body));
        if dice.below(1_000) < self.mix.repeats.load(Ordering::Relaxed) {
            let late = u64::try_from(self.mix.late_max.as_millis()).unwrap();
            let (copies, delay) = match dice.below(3) {
                0 => (1, 0),
                1 => (4, 0),
                _ => (1, 1_000 + dice.below(late)),
            };
            for copy in 0..copies {
                let (sender, webhook) = (self.clone(), webhook.clone());
                let wait = tokio::time::sleep(Duration::from_millis(delay));
                let (digest, alive) = (digest.clone(), self.alive.clone());
                tokio::spawn(async move {
                    if sender.give_up.run_until_cancelled(wait).await.is_some() {
                        sender.repeats.fetch_add(1, Ordering::Relaxed);
                        let answer = sender.post(&webhook, number.sequence() + copy + 1).await;
                        if answer.status == 200 {
                            sender.ledger.record(number, &webhook, &digest, 1, answer).await;
                        }
                    }
                    drop(alive);
                });
            }
        }
        let mut attempts = 0;
        loop {
            let answer = self.post(&webhook, number.sequence() + attempts).await;
            attempts += 1;
            if answer.status == 200 || self.give_up.is_cancelled() {
                return self.ledger.record(number, &webhook, &digest, attempts, answer).await;
            }
            self.refusals.fetch_add(1, Ordering::Relaxed);
            let step = 200 * (1 << attempts.min(4)) as u64;
            let pause = tokio::time::sleep(Duration::from_millis(step / 2 + dice.below(step)));
            self.give_up.run_until_cancelled(pause).await;
        }
    }

    /// Posts once to one of the receivers.
    async fn post(&self, webhook: &Webhook, receiver: usize) -> Answer {
        let _place = self.requests.acquire().await.unwrap();
        let url = format!("{}/in/{}", self.addresses[receiver % self.addresses.len()], webhook.source);
        let mut request = Request::post(url).header("content-type", "application/json");
        for (name, value) in webhook.headers.iter() {
            request = request.header(name, value);
        }
        let request = request.body(Full::new(webhook.body.clone())).unwrap();
        let exchange = async {
            let reply = self.client.request(request).await.ok()?;
            let delivery = reply.headers().get("hookswitch-delivery").and_then(|id| id.to_str().ok());
            let answer = Answer { status: reply.status().as_u16(), delivery: delivery.map(str::to_owned) };
            // A body read to its end lets the connection be reused.
            drop(reply.into_body().collect().await);
            Some(answer)
        };
        tokio::time::timeout(ANSWER_MAX, exchange).await.ok().flatten().unwrap_or_default()
    }
}

/// A receiver's answer. The status is 0 if there was none, so that the webhook's outcome is unknown.
#[derive(Default)]
struct Answer {
    status: u16,
    /// Delivery id of the accepted webhook.
    delivery: Option<String>,
}

/// The ledger: a line for each finished webhook, synced to disk before a 200 counts.
struct Ledger(Mutex<mpsc::Sender<Line>>);

/// A webhook's number, whether it was accepted, its line, and the waiter for its sync to disk.
type Line = (Number, bool, String, oneshot::Sender<()>);

impl Ledger {
    fn start(path: &Path, book: Arc<Book>) -> Self {
        let mut file = File::create(path).unwrap();
        writeln!(file, "number\tsource\tsha256\tattempts\tstatus\tdelivery").unwrap();
        let (sender, lines) = mpsc::channel::<Line>();
        std::thread::spawn(move || {
            while let Ok(first) = lines.recv() {
                std::thread::sleep(COMMIT_EVERY);
                let batch: Vec<_> = std::iter::once(first).chain(lines.try_iter()).collect();
                let text: String = batch.iter().map(|(_, _, line, _)| line.as_str()).collect();
                file.write_all(text.as_bytes()).unwrap();
                file.sync_data().unwrap();
                for (number, accepted, _, done) in batch {
                    if accepted {
                        book.accept(number);
                    }
                    let _ = done.send(());
                }
            }
        });
        Self(Mutex::new(sender))
    }

    async fn record(&self, number: Number, webhook: &Webhook, digest: &str, attempts: usize, answer: Answer) {
        let (done, wait) = oneshot::channel();
        let Answer { status, delivery } = answer;
        let delivery = delivery.unwrap_or_default();
        let line = format!("{number}\t{}\t{digest}\t{attempts}\t{status}\t{delivery}\n", webhook.source);
        self.0.lock().unwrap().send((number, status == 200, line, done)).unwrap();
        wait.await.unwrap();
    }
}

/// Changes a share for a while.
pub fn for_a_while(share: &AtomicU64, value: u64, pause: Duration) {
    let before = share.swap(value, Ordering::Relaxed);
    std::thread::sleep(pause);
    share.store(before, Ordering::Relaxed);
}
