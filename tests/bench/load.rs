//! HTTP load over keep-alive connections.

use std::{
    sync::Mutex,
    time::{Duration, Instant},
};

use bytes::Bytes;
use futures_util::future::join_all;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::{Semaphore, mpsc},
};

/// Longest idle time of a connection that is used again.
const IDLE_MAX: Duration = Duration::from_secs(2);

/// One keep-alive connection.
pub struct Client {
    stream: TcpStream,
    request: Vec<u8>,
    answer: Vec<u8>,
}

impl Client {
    pub async fn connect(address: &str) -> Self {
        Self::try_connect(address).await.expect("the receiver listens")
    }

    async fn try_connect(address: &str) -> Option<Self> {
        let stream = TcpStream::connect(address).await.ok()?;
        stream.set_nodelay(true).ok()?;
        Some(Self { stream, request: Vec::new(), answer: vec![0; 4096] })
    }

    /// Posts `body` to a source. Returns the status of the answer.
    pub async fn post(&mut self, source: &str, body: &[u8]) -> u16 {
        self.try_post(source, "", body).await.expect("the receiver answers")
    }

    /// Posts like [`Client::post`], with more header lines; returns none if the connection ends without an
    /// answer.
    pub async fn try_post(&mut self, source: &str, headers: &str, body: &[u8]) -> Option<u16> {
        self.request.clear();
        let head = format!(
            "POST /in/{source} HTTP/1.1\r\nhost: bench\r\ncontent-type: application/json\r\n\
             content-length: {}\r\n{headers}\r\n",
            body.len()
        );
        self.request.extend_from_slice(head.as_bytes());
        self.request.extend_from_slice(body);
        self.stream.write_all(&self.request).await.ok()?;
        let mut read = 0;
        loop {
            match self.stream.read(&mut self.answer[read..]).await {
                Ok(0) | Err(_) => return None,
                Ok(more) => read += more,
            }
            // An answer of 200 has no body, and the body of a refusal is not needed.
            if self.answer[..read].windows(4).any(|end| end == b"\r\n\r\n") {
                return std::str::from_utf8(&self.answer[9..12]).ok()?.parse().ok();
            }
        }
    }
}

/// Posts over `connections` connections as fast as they are answered, for this long. Returns the number of
/// answers of 200. Any other answer is an error of the measurement.
pub async fn closed_loop(
    address: &str,
    source: &str,
    connections: usize,
    lasting: Duration,
    body: impl Fn() -> Bytes,
) -> u64 {
    let until = Instant::now() + lasting;
    let clients = (0..connections).map(async |_| {
        let mut client = Client::connect(address).await;
        let mut answered = 0;
        while Instant::now() < until {
            assert_eq!(client.post(source, &body()).await, 200);
            answered += 1;
        }
        answered
    });
    join_all(clients).await.into_iter().sum()
}

/// A pool of connections, which grows to the number of concurrent posts.
pub struct Pool {
    address: String,
    idle: Mutex<Vec<(Client, Instant)>>,
    room: Semaphore,
}

impl Pool {
    pub fn new(address: &str, connections_max: usize) -> Self {
        Self { address: address.to_owned(), idle: Mutex::default(), room: Semaphore::new(connections_max) }
    }

    /// Posts like [`Client::try_post`], over a connection of the pool.
    pub async fn post(&self, source: &str, headers: &str, body: &[u8]) -> Option<u16> {
        let _room = self.room.acquire().await.unwrap();
        // The connection used last comes first. If it is too old all are, and the receiver may be about to
        // close them.
        let last = self.idle.lock().unwrap().pop().filter(|(_, since)| since.elapsed() < IDLE_MAX);
        let mut client = match last {
            Some((client, _)) => client,
            None => Client::try_connect(&self.address).await?,
        };
        let status = client.try_post(source, headers, body).await?;
        self.idle.lock().unwrap().push((client, Instant::now()));
        Some(status)
    }
}

/// Sends the times at which something is due, `rate` per second for this long. They come from a thread of its
/// own, because the runtime's timers have a resolution of milliseconds.
pub fn moments(rate: f64, lasting: Duration) -> mpsc::UnboundedReceiver<Instant> {
    let (sender, receiver) = mpsc::unbounded_channel();
    std::thread::spawn(move || {
        let began = Instant::now();
        for n in 0..(rate * lasting.as_secs_f64()) as u64 {
            let due = began + Duration::from_secs_f64(n as f64 / rate);
            std::thread::sleep(due.saturating_duration_since(Instant::now()));
            if sender.send(due).is_err() {
                return;
            }
        }
    });
    receiver
}
