//! A publisher of messages that lapin can neither send nor receive. RabbitMQ takes them all.

use amq_protocol::{
    frame::{AMQPFrame, ProtocolVersion, WriteContext, gen_frame},
    protocol::{AMQPClass, basic, channel, confirm, connection},
    types::FieldTable,
};
use bytes::BytesMut;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use url::Url;

use super::frames;

/// A connection with one channel in confirm mode.
pub struct Hostile {
    stream: TcpStream,
    buffer: BytesMut,
}

impl Hostile {
    /// Connects to an address of the form `amqp://user:password@host:port/vhost`.
    pub async fn connect(url: &str) -> Self {
        let url = Url::parse(url).unwrap();
        let address = (url.host_str().unwrap(), url.port().unwrap());
        let stream = TcpStream::connect(address).await.unwrap();
        let mut hostile = Self { stream, buffer: BytesMut::new() };
        hostile.send(&AMQPFrame::ProtocolHeader(ProtocolVersion::amqp_0_9_1())).await;
        hostile.frame().await;
        let password = url.password().unwrap();
        let start = connection::StartOk {
            client_properties: FieldTable::default(),
            mechanism: "PLAIN".into(),
            response: format!("\0{}\0{password}", url.username()).as_str().into(),
            locale: "en_US".into(),
        };
        hostile.connection(connection::AMQPMethod::StartOk(start)).await;
        hostile.frame().await;
        let tune = connection::TuneOk { channel_max: 10, frame_max: 1 << 17, heartbeat: 0 };
        hostile.connection(connection::AMQPMethod::TuneOk(tune)).await;
        let vhost = url.path().trim_start_matches('/').replace("%2f", "/");
        let open = connection::Open { virtual_host: vhost.as_str().into() };
        hostile.connection(connection::AMQPMethod::Open(open)).await;
        hostile.frame().await;
        hostile.method(AMQPClass::Channel(channel::AMQPMethod::Open(channel::Open {}))).await;
        hostile.frame().await;
        let select = confirm::AMQPMethod::Select(confirm::Select { nowait: false });
        hostile.method(AMQPClass::Confirm(select)).await;
        hostile.frame().await;
        hostile
    }

    /// Publishes a message to a queue, and waits until it is confirmed. `properties` are its flags and
    /// properties, byte for byte.
    pub async fn publish(&mut self, queue: &str, properties: &[u8], body: &[u8]) {
        let publish = basic::Publish {
            exchange: "".into(),
            routing_key: queue.into(),
            mandatory: false,
            immediate: false,
        };
        self.method(AMQPClass::Basic(basic::AMQPMethod::Publish(publish))).await;
        let size = (body.len() as u64).to_be_bytes();
        let content = [&[0, 60, 0, 0][..], &size, properties].concat();
        let length = u32::try_from(content.len()).unwrap().to_be_bytes();
        self.write(&[&[2, 0, 1][..], &length, &content, &[0xCE]].concat()).await;
        self.send(&AMQPFrame::Body(1, body.to_vec())).await;
        let answer = self.frame().await;
        let is_ack = matches!(&answer, AMQPFrame::Method(1, AMQPClass::Basic(basic::AMQPMethod::Ack(_))));
        assert!(is_ack, "{answer:?}");
    }

    async fn connection(&mut self, method: connection::AMQPMethod) {
        self.send(&AMQPFrame::Method(0, AMQPClass::Connection(method))).await;
    }

    async fn method(&mut self, method: AMQPClass) {
        self.send(&AMQPFrame::Method(1, method)).await;
    }

    async fn send(&mut self, frame: &AMQPFrame) {
        let bytes = gen_frame(frame)(WriteContext::from(Vec::new())).unwrap().into_inner().0;
        self.write(&bytes).await;
    }

    async fn write(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).await.unwrap();
    }

    async fn frame(&mut self) -> AMQPFrame {
        loop {
            if let Some((_, frame)) = frames::next(&mut self.buffer) {
                return frame;
            }
            let read = self.stream.read_buf(&mut self.buffer).await.unwrap();
            assert!(read > 0, "the broker closed the connection");
        }
    }
}

/// Returns the properties of messages that lapin cannot receive, each with its name and a part of the cause
/// that hookswitch names.
pub fn poisons() -> Vec<(&'static str, Vec<u8>, &'static str)> {
    let text = |length: usize| {
        [&b"S"[..], &u32::try_from(length).unwrap().to_be_bytes(), &vec![b'x'; length]].concat()
    };
    let many: Vec<_> = (0..100).map(|n| (format!("header-{n}").into_bytes(), text(1_000))).collect();
    let many: Vec<_> = many.iter().map(|(name, value)| (&name[..], value.clone())).collect();
    let with = |name: &[u8], value: Vec<u8>| headers(&[(name, value)]);
    vec![
        ("one header of 70,000 bytes", with(b"h", text(70_000)), "amqp.frame_max"),
        ("one header of 130,000 bytes", with(b"h", text(130_000)), "amqp.frame_max"),
        ("headers of 100,000 bytes", headers(&many), "amqp.frame_max"),
        ("1,500 arrays", with(b"h", nested(b'A', 1_500)), "nests more than 32"),
        ("1,000 tables", with(b"h", nested(b'F', 1_000)), "nests more than 32"),
        ("10,000 arrays", with(b"h", nested(b'A', 10_000)), "nests more than 32"),
        ("a header name that is not UTF-8", with(b"h\xff", text(1)), "not UTF-8"),
        (
            "a name in a table that is not UTF-8",
            with(b"h", vec![b'F', 0, 0, 0, 3, 1, 0xFF, b'V']),
            "not UTF-8",
        ),
        ("a content type that is not UTF-8", vec![0x80, 0, 2, b'a', 0xFF], "not UTF-8"),
        ("a message id that is not UTF-8", vec![0, 0x80, 1, 0xFE], "not UTF-8"),
        ("a correlation id that is not UTF-8", vec![4, 0, 2, 0xC3, 0x28], "not UTF-8"),
    ]
}

/// Makes properties with these headers and nothing else. Each value begins with its type.
pub fn headers(headers: &[(&[u8], Vec<u8>)]) -> Vec<u8> {
    let entries: Vec<u8> = headers
        .iter()
        .flat_map(|(name, value)| [&[u8::try_from(name.len()).unwrap()], *name, value].concat())
        .collect();
    [&[0x20, 0][..], &u32::try_from(entries.len()).unwrap().to_be_bytes(), &entries].concat()
}

/// Nests arrays or tables.
fn nested(kind: u8, depth: usize) -> Vec<u8> {
    let name: &[u8] = if kind == b'F' { b"\x01n" } else { b"" };
    let mut lengths = Vec::new();
    let mut length = 1;
    for _ in 0..depth {
        length += name.len();
        lengths.push(u32::try_from(length).unwrap().to_be_bytes());
        length += 5;
    }
    let heads = lengths.iter().rev().flat_map(|length| [&[kind], &length[..], name].concat());
    heads.chain([b'V']).collect()
}
