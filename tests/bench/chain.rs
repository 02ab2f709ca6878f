//! The whole chain: from the time at which a webhook is due to its event at a consumer.

use std::{
    cell::Cell,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use futures_util::{StreamExt, future::join_all};
use lapin::{
    Channel, Connection, ConnectionProperties,
    options::{BasicConsumeOptions, BasicQosOptions},
    types::FieldTable,
};
use tokio::{sync::Semaphore, task::JoinHandle};

use super::{
    load::{self, Pool},
    webhook,
};

/// Limit on connections, high enough that the load generator hardly ever waits for answers, and lower than
/// `receiver.connections_max`: those beyond that would wait in the kernel until others end.
const CONNECTIONS_MAX: usize = 1_000;
/// Time to wait for the last events after the last webhook was due.
const PATIENCE: Duration = Duration::from_secs(20);
/// First number of the chain's webhooks, so that no other webhook has their numbers.
const FIRST: u64 = 1 << 40;

/// The times of one webhook.
#[derive(Clone, Copy)]
pub struct Trip {
    /// Time at which it was due to be posted.
    pub due: Instant,
    /// Time at which it was posted. A delay of the load generator counts as latency all the same.
    pub posted: Instant,
    /// Time and status of the answer.
    pub answered: Option<(Instant, u16)>,
    /// Time at which the consumer received its event.
    pub arrived: Option<Instant>,
}

impl Trip {
    /// Returns the time from due to 200.
    pub fn accepted_after(&self) -> Option<Duration> {
        let (at, status) = self.answered?;
        (status == 200).then(|| at - self.due)
    }

    /// Returns true if no more is expected of it.
    fn is_over(&self) -> bool {
        self.answered.is_some_and(|(_, status)| status != 200 || self.arrived.is_some())
    }

    /// Returns the time from due to the event.
    pub fn arrived_after(&self) -> Option<Duration> {
        Some(self.arrived? - self.due)
    }
}

/// The webhooks in flight.
struct Book {
    first: u64,
    trips: Vec<Trip>,
    /// Events received of all webhooks.
    events: u64,
    /// Receives a permit for each event.
    slots: Arc<Semaphore>,
}

impl Book {
    fn trip(&mut self, n: u64) -> Option<&mut Trip> {
        self.trips.get_mut(usize::try_from(n.checked_sub(self.first)?).ok()?)
    }

    fn begin(&mut self, due: Instant) -> u64 {
        self.trips.push(Trip { due, posted: Instant::now(), answered: None, arrived: None });
        self.first + self.trips.len() as u64 - 1
    }

    fn arrived(&mut self, event: &[u8]) {
        self.events += 1;
        self.slots.add_permits(1);
        let trip = webhook::number(event).and_then(|n| self.trip(n));
        if let Some(trip) = trip {
            trip.arrived.get_or_insert_with(Instant::now);
        }
    }

    fn is_complete(&self) -> bool {
        self.trips.iter().all(Trip::is_over)
    }

    fn close(&mut self) -> Vec<Trip> {
        let trips = std::mem::take(&mut self.trips);
        self.first += trips.len() as u64;
        trips
    }
}

/// Posts webhooks and consumes their events. The consumer has a queue of its own (a quorum queue, as in a
/// deployment), which gets all events. It acks nothing, since that is no cost of hookswitch.
pub struct Chain {
    pool: Arc<Pool>,
    book: Arc<Mutex<Book>>,
    consumer: JoinHandle<()>,
    /// Returns the header lines that go with a body.
    headers: fn(&[u8]) -> String,
}

impl Drop for Chain {
    fn drop(&mut self) {
        self.consumer.abort();
    }
}

impl Chain {
    /// Creates a chain that posts to the receiver at `address` and consumes `queue` of a broker.
    pub async fn start(address: &str, amqp: &str, queue: &'static str) -> Self {
        let book = Book { first: FIRST, trips: Vec::new(), events: 0, slots: Arc::new(Semaphore::new(0)) };
        let book = Arc::new(Mutex::new(book));
        let connection = Connection::connect(amqp, ConnectionProperties::default()).await.unwrap();
        let channel = connection.create_channel().await.unwrap();
        let consumer = tokio::spawn(consume(connection, channel, queue, Arc::clone(&book)));
        let pool = Arc::new(Pool::new(address, CONNECTIONS_MAX));
        Self { pool, book, consumer, headers: |_| String::new() }
    }

    /// Signs all webhooks, and numbers them from `first`, so that no earlier chain has had them.
    pub fn signed_from(mut self, first: u64) -> Self {
        self.headers = webhook::signature;
        self.book.lock().unwrap().first = first;
        self
    }

    /// Waits until a webhook is accepted and its event has arrived, which shows that the chain is complete.
    pub async fn is_up(&self, source: &str) {
        let began = Instant::now();
        while self.post(source, Instant::now()).await != 200 {
            assert!(began.elapsed() < PATIENCE, "the receiver did not accept a webhook in time");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        self.finish().await;
        assert_eq!(self.events(), 1, "the events of one accepted webhook");
    }

    /// Measures events per second while `in_flight` webhooks are always between HTTP and the consumer: the
    /// capacity of the chain without a growing backlog. The first fifth of the time is not counted.
    pub async fn capacity(&self, source: &str, in_flight: usize, lasting: Duration) -> f64 {
        let slots = Arc::new(Semaphore::new(in_flight));
        self.book.lock().unwrap().slots = Arc::clone(&slots);
        let (began, warm) = (Instant::now(), lasting / 5);
        let mut from = None;
        while began.elapsed() < lasting {
            slots.acquire().await.unwrap().forget();
            if from.is_none() && began.elapsed() > warm {
                from = Some((Instant::now(), self.events()));
            }
            tokio::spawn(self.post(source, Instant::now()));
        }
        let (at, events) = from.unwrap();
        let rate = (self.events() - events) as f64 / at.elapsed().as_secs_f64();
        self.finish().await;
        rate
    }

    /// Posts at a fixed rate, to the sources in turn, regardless of earlier answers.
    pub async fn open_loop(&self, sources: &[String], rate: f64, lasting: Duration) -> Vec<Trip> {
        let mut moments = load::moments(rate, lasting);
        let mut sources = sources.iter().cycle();
        while let Some(due) = moments.recv().await {
            tokio::spawn(self.post(sources.next().unwrap(), due));
        }
        self.finish().await
    }

    /// Posts `count` webhooks over this many connections, on each as fast as they are answered.
    pub async fn closed_loop(&self, source: &str, connections: usize, count: u64) -> Vec<Trip> {
        let left = Cell::new(count);
        let posting = (0..connections).map(async |_| {
            while let Some(rest) = left.get().checked_sub(1) {
                left.set(rest);
                self.post(source, Instant::now()).await;
            }
        });
        join_all(posting).await;
        self.finish().await
    }

    /// Returns the number of events received so far.
    pub fn events(&self) -> u64 {
        self.book.lock().unwrap().events
    }

    /// Posts a webhook. Returns the status of the answer; 0 if there is none.
    fn post(&self, source: &str, due: Instant) -> impl Future<Output = u16> + use<> {
        let n = self.book.lock().unwrap().begin(due);
        let (pool, book, source) = (Arc::clone(&self.pool), Arc::clone(&self.book), source.to_owned());
        let headers = self.headers;
        async move {
            let body = webhook::body(n, webhook::TYPICAL);
            let status = pool.post(&source, &headers(&body), &body).await.unwrap_or_default();
            if let Some(trip) = book.lock().unwrap().trip(n) {
                trip.answered = Some((Instant::now(), status));
            }
            status
        }
    }

    /// Waits for the webhooks in flight.
    async fn finish(&self) -> Vec<Trip> {
        let began = Instant::now();
        while began.elapsed() < PATIENCE && !self.book.lock().unwrap().is_complete() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        self.book.lock().unwrap().close()
    }
}

async fn consume(_connection: Connection, channel: Channel, queue: &'static str, book: Arc<Mutex<Book>>) {
    channel.basic_qos(1_000, BasicQosOptions::default()).await.unwrap();
    let options = BasicConsumeOptions { no_ack: true, ..BasicConsumeOptions::default() };
    let consuming = channel.basic_consume(queue.into(), "".into(), options, FieldTable::default());
    let mut events = consuming.await.unwrap();
    while let Some(event) = events.next().await {
        book.lock().unwrap().arrived(&event.unwrap().data);
    }
}
