//! A broker that sends exactly what a test tells it to, frame by frame.
//!
//! Handshake, channels and declarations are answered as a real broker would. The test receives the rest and
//! answers as it likes, within the protocol.

use std::{collections::HashMap, time::Duration};

use amq_protocol::{
    frame::{AMQPContentHeader, AMQPFrame, WriteContext, gen_frame},
    protocol::{AMQPClass, BasicProperties, basic, channel, confirm, connection, exchange, queue},
};
use bytes::BytesMut;
use hookswitch::edge::amqp::names;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

use super::frames;

/// Time after which a test fails that waits for something.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Waits, and fails the test after [`PATIENCE`].
pub async fn soon<T>(what: &str, it: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, it).await.unwrap_or_else(|_| panic!("not within {PATIENCE:?}: {what}"))
}

/// Listens for clients.
pub struct Peer {
    listener: TcpListener,
    /// The heartbeat interval that it asks for, in seconds; it sends none.
    pub heartbeat: u16,
}

/// One client's connection.
pub struct Link {
    stream: TcpStream,
    buffer: BytesMut,
    /// The last delivery tag of each channel.
    tags: HashMap<u16, u64>,
    /// Publishes whose content is still to come, by channel.
    incoming: HashMap<u16, (Published, u64)>,
}

/// A method of a client that the test answers.
#[derive(Clone, Debug, PartialEq)]
pub enum Heard {
    Published(Box<Published>),
    Consuming { channel: u16, queue: String, consumer: String },
    Acked { channel: u16, tag: u64, multiple: bool },
    Nacked { channel: u16, tag: u64 },
}

/// A message that a client has published.
#[derive(Clone, Debug, PartialEq)]
pub struct Published {
    pub channel: u16,
    /// Its delivery tag, as confirms name it.
    pub tag: u64,
    pub exchange: String,
    pub routing_key: String,
    pub properties: BasicProperties,
    pub body: Vec<u8>,
}

impl Published {
    /// Tells whether this is no message: the client asks for a permission with an expiration that every
    /// broker refuses.
    fn asks_for_permission(&self) -> bool {
        self.properties.expiration().as_ref().is_some_and(|text| text.as_str().parse::<u64>().is_err())
    }

    pub fn id(&self) -> &str {
        self.properties.message_id().as_ref().unwrap().as_str()
    }
}

impl Peer {
    pub async fn listen() -> Self {
        Self { listener: TcpListener::bind("127.0.0.1:0").await.unwrap(), heartbeat: 60 }
    }

    pub fn url(&self) -> String {
        format!("amqp://guest:guest@{}/%2f", self.listener.local_addr().unwrap())
    }

    /// Accepts the next client, which only reads the greeting.
    pub async fn greet(&self) {
        assert!(self.accept().await.frame().await.is_none());
    }

    /// Accepts the next client and completes the handshake.
    pub async fn meet(&self) -> Link {
        let mut link = self.accept().await;
        link.frame().await;
        let heartbeat = self.heartbeat;
        let tune = connection::Tune { channel_max: 100, frame_max: 1 << 17, heartbeat };
        link.connection(connection::AMQPMethod::Tune(tune)).await;
        // The client's `tune-ok` and `open`.
        link.frame().await;
        link.frame().await;
        link.connection(connection::AMQPMethod::OpenOk(connection::OpenOk {})).await;
        link
    }

    /// Accepts the next client and greets it.
    async fn accept(&self) -> Link {
        let (stream, _) = soon("a client connects", self.listener.accept()).await.unwrap();
        stream.set_nodelay(true).unwrap();
        let mut link =
            Link { stream, buffer: BytesMut::new(), tags: HashMap::new(), incoming: HashMap::new() };
        assert!(matches!(link.frame().await, Some(AMQPFrame::ProtocolHeader(_))));
        link.connection(connection::AMQPMethod::Start(connection::Start {
            version_major: 0,
            version_minor: 9,
            server_properties: Default::default(),
            mechanisms: "PLAIN".into(),
            locales: "en_US".into(),
        }))
        .await;
        link
    }
}

impl Link {
    /// Waits for the next frame; none when the client has disconnected.
    async fn frame(&mut self) -> Option<AMQPFrame> {
        loop {
            if let Some((_, frame)) = frames::next(&mut self.buffer) {
                return Some(frame);
            }
            self.buffer.reserve(16 * 1024);
            match soon("a frame", self.stream.read_buf(&mut self.buffer)).await {
                Ok(0) | Err(_) => return None,
                Ok(_) => {}
            }
        }
    }

    async fn send(&mut self, frames: &[AMQPFrame]) {
        let mut bytes = Vec::new();
        for frame in frames {
            bytes = gen_frame(frame)(WriteContext::from(bytes)).unwrap().into_inner().0;
        }
        // A disconnect shows at the next read.
        drop(self.stream.write_all(&bytes).await);
    }

    /// Sends a method of the connection.
    pub async fn connection(&mut self, method: connection::AMQPMethod) {
        self.send(&[AMQPFrame::Method(0, AMQPClass::Connection(method))]).await;
    }

    /// Sends a method of the class basic.
    pub async fn basic(&mut self, channel: u16, method: basic::AMQPMethod) {
        self.send(&[AMQPFrame::Method(channel, AMQPClass::Basic(method))]).await;
    }

    pub async fn ack(&mut self, published: &Published, multiple: bool) {
        let ack = basic::Ack { delivery_tag: published.tag, multiple };
        self.basic(published.channel, basic::AMQPMethod::Ack(ack)).await;
    }

    pub async fn nack(&mut self, published: &Published, multiple: bool) {
        let nack = basic::Nack { delivery_tag: published.tag, multiple, requeue: false };
        self.basic(published.channel, basic::AMQPMethod::Nack(nack)).await;
    }

    /// Returns a message as unroutable; its confirm is still to come.
    pub async fn give_back(&mut self, published: &Published) {
        let method = basic::AMQPMethod::Return(basic::Return {
            reply_code: 312,
            reply_text: "NO_ROUTE".into(),
            exchange: published.exchange.as_str().into(),
            routing_key: published.routing_key.as_str().into(),
        });
        self.with_content(published.channel, method, &published.properties, &published.body).await;
    }

    /// Delivers a message to a consumer.
    pub async fn deliver(&mut self, to: &Heard, tag: u64, properties: &BasicProperties, body: &[u8]) {
        let Heard::Consuming { channel, queue, consumer } = to else { panic!("{to:?}") };
        let method = basic::AMQPMethod::Deliver(basic::Deliver {
            consumer_tag: consumer.as_str().into(),
            delivery_tag: tag,
            redelivered: false,
            exchange: "".into(),
            routing_key: queue.as_str().into(),
        });
        self.with_content(*channel, method, properties, body).await;
    }

    async fn with_content(
        &mut self,
        channel: u16,
        method: basic::AMQPMethod,
        properties: &BasicProperties,
        body: &[u8],
    ) {
        let (class_id, body_size) = (60, body.len() as u64);
        let header = AMQPContentHeader { class_id, body_size, properties: properties.clone() };
        self.send(&[
            AMQPFrame::Method(channel, AMQPClass::Basic(method)),
            AMQPFrame::Header(channel, header),
            AMQPFrame::Body(channel, body.to_vec()),
        ])
        .await;
    }

    /// Closes a channel, as after an error of the client.
    pub async fn close_channel(&mut self, channel: u16) {
        self.refuse(channel, 406, "PRECONDITION_FAILED").await;
    }

    /// Closes a channel with the given words.
    async fn refuse(&mut self, channel: u16, reply_code: u16, text: &str) {
        let close = channel::AMQPMethod::Close(channel::Close {
            reply_code,
            reply_text: text.into(),
            class_id: 60,
            method_id: 80,
        });
        self.send(&[AMQPFrame::Method(channel, AMQPClass::Channel(close))]).await;
    }

    /// Waits for the next method that the test answers; none when the client has disconnected.
    pub async fn hear(&mut self) -> Option<Heard> {
        loop {
            let heard = match self.frame().await? {
                AMQPFrame::Method(channel, method) => self.method(channel, method).await,
                AMQPFrame::Header(channel, header) => {
                    let (published, size) = self.incoming.get_mut(&channel).unwrap();
                    (published.properties, *size) = (header.properties, header.body_size);
                    self.published(channel)
                }
                AMQPFrame::Body(channel, part) => {
                    self.incoming.get_mut(&channel).unwrap().0.body.extend(part);
                    self.published(channel)
                }
                AMQPFrame::Heartbeat => None,
                other => panic!("{other:?}"),
            };
            if let Some(Heard::Published(question)) = &heard
                && question.asks_for_permission()
            {
                let text = question.properties.expiration().clone().unwrap_or_default();
                self.refuse(
                    question.channel,
                    406,
                    &format!("PRECONDITION_FAILED - invalid expiration '{text}'"),
                )
                .await;
                continue;
            }
            if heard.is_some() {
                return heard;
            }
        }
    }

    /// Returns the message of a channel if its content is complete.
    fn published(&mut self, channel: u16) -> Option<Heard> {
        let (_, (published, _)) = self
            .incoming
            .extract_if(|id, (p, size)| *id == channel && p.body.len() as u64 == *size)
            .next()?;
        Some(Heard::Published(Box::new(published)))
    }

    /// Takes a method that the test answers, or answers it as every broker would.
    async fn method(&mut self, channel: u16, method: AMQPClass) -> Option<Heard> {
        match method {
            AMQPClass::Basic(basic::AMQPMethod::Publish(publish)) => {
                let tag = self.tags.entry(channel).or_default();
                *tag += 1;
                let published = Published {
                    channel,
                    tag: *tag,
                    exchange: publish.exchange.to_string(),
                    routing_key: publish.routing_key.to_string(),
                    properties: BasicProperties::default(),
                    body: Vec::new(),
                };
                // The size of its body comes with its header.
                self.incoming.insert(channel, (published, u64::MAX));
                None
            }
            AMQPClass::Basic(basic::AMQPMethod::Ack(ack)) => {
                Some(Heard::Acked { channel, tag: ack.delivery_tag, multiple: ack.multiple })
            }
            AMQPClass::Basic(basic::AMQPMethod::Nack(nack)) => {
                Some(Heard::Nacked { channel, tag: nack.delivery_tag })
            }
            // This broker has no record of the topology.
            AMQPClass::Basic(basic::AMQPMethod::Consume(consume))
                if consume.queue.as_str() == names::TOPOLOGY_LOG =>
            {
                let text = format!("NOT_FOUND - no queue '{}' in vhost '/'", consume.queue);
                self.refuse(channel, 404, &text).await;
                None
            }
            AMQPClass::Basic(basic::AMQPMethod::Consume(consume)) => {
                let consumer = format!("consumer of {}", consume.queue);
                let consumer_tag = consumer.as_str().into();
                let answer = basic::AMQPMethod::ConsumeOk(basic::ConsumeOk { consumer_tag });
                self.basic(channel, answer).await;
                Some(Heard::Consuming { channel, queue: consume.queue.to_string(), consumer })
            }
            AMQPClass::Channel(channel::AMQPMethod::CloseOk(_)) => None,
            AMQPClass::Channel(channel::AMQPMethod::Open(open)) => {
                // Tags start over when a channel number is reused.
                self.tags.remove(&channel);
                self.answer(channel, AMQPClass::Channel(channel::AMQPMethod::Open(open))).await;
                None
            }
            other => {
                self.answer(channel, other).await;
                None
            }
        }
    }

    /// Answers a method as every broker would.
    async fn answer(&mut self, channel: u16, method: AMQPClass) {
        let answer = match method {
            AMQPClass::Basic(basic::AMQPMethod::Cancel(cancel)) => {
                let consumer_tag = cancel.consumer_tag;
                AMQPClass::Basic(basic::AMQPMethod::CancelOk(basic::CancelOk { consumer_tag }))
            }
            AMQPClass::Basic(basic::AMQPMethod::Qos(_)) => {
                AMQPClass::Basic(basic::AMQPMethod::QosOk(basic::QosOk {}))
            }
            AMQPClass::Channel(channel::AMQPMethod::Open(_)) => {
                AMQPClass::Channel(channel::AMQPMethod::OpenOk(channel::OpenOk {}))
            }
            AMQPClass::Channel(channel::AMQPMethod::Close(_)) => {
                AMQPClass::Channel(channel::AMQPMethod::CloseOk(channel::CloseOk {}))
            }
            AMQPClass::Confirm(confirm::AMQPMethod::Select(_)) => {
                AMQPClass::Confirm(confirm::AMQPMethod::SelectOk(confirm::SelectOk {}))
            }
            AMQPClass::Exchange(exchange::AMQPMethod::Declare(_)) => {
                AMQPClass::Exchange(exchange::AMQPMethod::DeclareOk(exchange::DeclareOk {}))
            }
            // No source has more than one raw queue.
            AMQPClass::Queue(queue::AMQPMethod::Declare(declare))
                if declare.queue.as_str().starts_with("raw.") && declare.queue.as_str().ends_with(".1") =>
            {
                AMQPClass::Channel(channel::AMQPMethod::Close(channel::Close {
                    reply_code: 404,
                    reply_text: format!("NOT_FOUND - no queue '{}' in vhost '/'", declare.queue).into(),
                    class_id: 50,
                    method_id: 10,
                }))
            }
            AMQPClass::Queue(queue::AMQPMethod::Declare(declare)) => {
                let queue = declare.queue;
                let answer = queue::DeclareOk { queue, message_count: 0, consumer_count: 0 };
                AMQPClass::Queue(queue::AMQPMethod::DeclareOk(answer))
            }
            AMQPClass::Basic(basic::AMQPMethod::Get(_)) => {
                AMQPClass::Basic(basic::AMQPMethod::GetEmpty(basic::GetEmpty {}))
            }
            AMQPClass::Connection(connection::AMQPMethod::Close(_)) => {
                AMQPClass::Connection(connection::AMQPMethod::CloseOk(connection::CloseOk {}))
            }
            other => panic!("{other:?}"),
        };
        self.send(&[AMQPFrame::Method(channel, answer)]).await;
    }

    /// Waits for the next message that the client publishes.
    pub async fn hear_publish(&mut self) -> Published {
        match self.hear().await {
            Some(Heard::Published(published)) => *published,
            other => panic!("{other:?}"),
        }
    }

    /// Waits until the client disconnects; fails the test if it sends anything first.
    pub async fn hear_nothing_more(&mut self) {
        assert_eq!(self.hear().await, None);
    }
}
