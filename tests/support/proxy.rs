//! A TCP proxy in front of a service, which cuts connections, stalls, slows down or refuses when a test tells
//! it to.
//!
//! It parses AMQP frames, so that it can cut a connection at an exact moment of a message's life. It forwards
//! the bytes unchanged.

use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::{Duration, SystemTime},
};

use amq_protocol::{
    frame::AMQPFrame,
    protocol::{AMQPClass, basic::AMQPMethod},
};
use bytes::BytesMut;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::{broadcast, watch},
};

use super::frames;

/// A moment in a message's life at which its connection can be cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Moment {
    /// A client publishes; the broker does not receive it.
    BeforePublish,
    /// The broker confirms a publish; the client does not receive the confirm.
    BeforeConfirm,
    /// The client has been sent a confirm.
    AfterConfirm,
    /// A client acks a delivery; the broker does not receive the ack.
    BeforeAck,
}

/// The way in which bytes are forwarded.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Mood {
    /// Everything.
    Open,
    /// Everything, each chunk with this delay.
    Slow(Duration),
    /// Nothing, not on new connections either; all stay open.
    Silent,
    /// Nothing: new connections are closed at once.
    Refusing,
}

/// The protocol of the connections.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Protocol {
    Amqp,
    Other,
}

/// A running proxy; ends with the test's runtime.
pub struct Proxy {
    address: SocketAddr,
    shared: Arc<Shared>,
}

struct Shared {
    to: SocketAddr,
    protocol: Protocol,
    mood: watch::Sender<Mood>,
    cut_all: broadcast::Sender<()>,
    notes: Mutex<Notes>,
}

#[derive(Default)]
struct Notes {
    /// The odds of a cut, as one in so many, and how many cuts are left.
    cuts: HashMap<Moment, (u32, u32)>,
    seen: HashMap<Moment, u32>,
    cut: HashMap<Moment, u32>,
    published: Vec<(String, SystemTime)>,
}

impl Proxy {
    /// Forwards to a broker.
    pub async fn amqp(port: u16) -> Self {
        Self::start(port, Protocol::Amqp).await
    }

    /// Forwards to a service of any kind; knows no [`Moment`].
    pub async fn plain(port: u16) -> Self {
        Self::start(port, Protocol::Other).await
    }

    async fn start(port: u16, protocol: Protocol) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            to: SocketAddr::from(([127, 0, 0, 1], port)),
            protocol,
            mood: watch::Sender::new(Mood::Open),
            cut_all: broadcast::Sender::new(1),
            notes: Mutex::default(),
        });
        let all = shared.clone();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(all.clone().carry(client));
            }
        });
        Self { address, shared }
    }

    /// Returns the port on which it listens.
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// Cuts the connection at this moment from now on: at random once in `one_in` times, and at most
    /// `at_most` times.
    pub fn cut_at(&self, moment: Moment, one_in: u32, at_most: u32) {
        self.shared.notes.lock().unwrap().cuts.insert(moment, (one_in, at_most));
    }

    /// Cuts every connection now.
    pub fn cut_all(&self) {
        // Without a connection there is no receiver.
        drop(self.shared.cut_all.send(()));
    }

    /// Keeps connections open, accepts new ones, and forwards nothing.
    pub fn blackhole(&self) {
        self.shared.mood.send_replace(Mood::Silent);
    }

    /// Forwards each chunk with a delay.
    pub fn slow(&self, delay: Duration) {
        self.shared.mood.send_replace(Mood::Slow(delay));
    }

    /// Cuts every connection, and closes new ones at once.
    pub fn refuse(&self) {
        self.shared.mood.send_replace(Mood::Refusing);
        self.cut_all();
    }

    /// Forwards normally again, including what a blackhole has held back.
    pub fn restore(&self) {
        self.shared.mood.send_replace(Mood::Open);
    }

    /// Returns how often this moment occurred, cut or not.
    pub fn seen(&self, moment: Moment) -> u32 {
        self.shared.notes.lock().unwrap().seen.get(&moment).copied().unwrap_or(0)
    }

    /// Returns how often a connection was cut at this moment.
    pub fn cuts(&self, moment: Moment) -> u32 {
        self.shared.notes.lock().unwrap().cut.get(&moment).copied().unwrap_or(0)
    }

    /// Returns the message id and the time of every publish that was forwarded.
    pub fn published(&self) -> Vec<(String, SystemTime)> {
        self.shared.notes.lock().unwrap().published.clone()
    }
}

/// The end that sends.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Sender {
    Client,
    Service,
}

impl Shared {
    /// Forwards one connection until it ends.
    async fn carry(self: Arc<Self>, client: TcpStream) {
        let mut mood = self.mood.subscribe();
        let now = *mood.wait_for(|mood| *mood != Mood::Silent).await.unwrap();
        if now == Mood::Refusing {
            return;
        }
        let mut cut_all = self.cut_all.subscribe();
        let Ok(service) = TcpStream::connect(self.to).await else { return };
        for stream in [&client, &service] {
            stream.set_nodelay(true).unwrap();
        }
        let (mut from_client, mut to_client) = client.into_split();
        let (mut from_service, mut to_service) = service.into_split();
        tokio::select! {
            () = self.pump(Sender::Client, &mut from_client, &mut to_service) => {}
            () = self.pump(Sender::Service, &mut from_service, &mut to_client) => {}
            _ = cut_all.recv() => {}
        }
        drop((from_service, to_service));
        // Closed in order: a reset could overtake a confirm that the client has yet to read.
        drop(to_client.shutdown().await);
        let mut nowhere = tokio::io::sink();
        let rest = tokio::io::copy(&mut from_client, &mut nowhere);
        drop(tokio::time::timeout(Duration::from_secs(5), rest).await);
    }

    /// Forwards one direction until the stream ends or is cut.
    async fn pump(&self, sender: Sender, from: &mut OwnedReadHalf, to: &mut OwnedWriteHalf) {
        let mut mood = self.mood.subscribe();
        let mut stream = BytesMut::new();
        let mut go_on = true;
        while go_on {
            stream.reserve(16 * 1024);
            if !from.read_buf(&mut stream).await.is_ok_and(|read| read > 0) {
                return;
            }
            let now = *mood.wait_for(|mood| *mood != Mood::Silent).await.unwrap();
            if let Mood::Slow(delay) = now {
                tokio::time::sleep(delay).await;
            }
            let ready;
            (ready, go_on) = self.ready(sender, &mut stream);
            go_on &= to.write_all(&ready).await.is_ok();
        }
    }

    /// Takes what can be forwarded now, and tells whether more may follow.
    fn ready(&self, sender: Sender, stream: &mut BytesMut) -> (BytesMut, bool) {
        if self.protocol == Protocol::Other {
            return (stream.split(), true);
        }
        let mut ready = BytesMut::new();
        while let Some(bytes) = frames::next_unparsed(stream) {
            // Messages may be such that this parser does not survive them.
            if sender == Sender::Service && bytes[0] == CONTENT_HEADER {
                ready.extend_from_slice(&bytes);
                continue;
            }
            let frame = frames::parse(&bytes);
            let (before, after) = moments(sender, &frame);
            if before.is_some_and(|moment| self.is_cut_at(moment)) {
                return (ready, false);
            }
            ready.extend_from_slice(&bytes);
            if let (Sender::Client, AMQPFrame::Header(_, header)) = (sender, frame) {
                let id = header.properties.message_id().as_ref().map(ToString::to_string);
                let mut notes = self.notes.lock().unwrap();
                notes.published.push((id.unwrap_or_default(), SystemTime::now()));
            }
            if after.is_some_and(|moment| self.is_cut_at(moment)) {
                return (ready, false);
            }
        }
        (ready, true)
    }

    fn is_cut_at(&self, moment: Moment) -> bool {
        let notes = &mut *self.notes.lock().unwrap();
        *notes.seen.entry(moment).or_default() += 1;
        let Some((one_in, at_most)) = notes.cuts.get_mut(&moment) else { return false };
        let cut = *at_most > 0 && rand::random_range(0..*one_in) == 0;
        if cut {
            *at_most -= 1;
            *notes.cut.entry(moment).or_default() += 1;
        }
        cut
    }
}

/// The type of frames that hold the properties of messages.
const CONTENT_HEADER: u8 = 2;

/// Returns the moments just before and just after a frame.
fn moments(sender: Sender, frame: &AMQPFrame) -> (Option<Moment>, Option<Moment>) {
    let AMQPFrame::Method(_, AMQPClass::Basic(method)) = frame else { return (None, None) };
    if sender == Sender::Client {
        let is_publish = matches!(method, AMQPMethod::Publish(_)).then_some(Moment::BeforePublish);
        let is_ack = matches!(method, AMQPMethod::Ack(_)).then_some(Moment::BeforeAck);
        (is_publish.or(is_ack), None)
    } else if matches!(method, AMQPMethod::Ack(_) | AMQPMethod::Nack(_)) {
        (Some(Moment::BeforeConfirm), Some(Moment::AfterConfirm))
    } else {
        (None, None)
    }
}
