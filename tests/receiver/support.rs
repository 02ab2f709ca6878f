//! A running receiver, a sink that behaves as the test demands, and a raw connection.

use std::{
    collections::BTreeMap,
    io::ErrorKind,
    net::SocketAddr,
    path::Path,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use bytes::Bytes;
pub(crate) use hookswitch::edge::http::Limits;
use hookswitch::{
    app::receiver::{
        Receiver,
        sink::{RawSink, SinkError},
    },
    config::Config,
    core::{trace::TraceParent, webhook::Webhook},
    edge::{
        http::{self, Drained},
        metrics::{ReceiverMetrics, Registry},
    },
};
use tokio::{
    io::AsyncWriteExt as _,
    net::TcpStream,
    sync::{oneshot, watch},
    task::JoinHandle,
    time::timeout,
};

/// The time after which a test counts as hanging; everything here takes less.
pub(crate) const HANGS: Duration = Duration::from_secs(20);

pub(crate) const CONFIG: &str = r#"
    [receiver]
    read_timeout = "1s"
    confirm_timeout = "300ms"
    retry_after = "7s"
    concurrency_shared = 8
    header_bytes_max = 100

    [sources.open]
    provider = "allo"
    auth = "none"
    body_bytes_max = 100
    capture_headers = ["x-extra", "X-Long"]

    [sources.cards]
    provider = "morph"
    auth = "none"
    answer_body = '{"cards": []}'
    answer_content_type = "application/json"

    [sources.token]
    provider = "salpre"
    auth = "header_token"
    auth_header = "X-Token"
    secret = "old"
    second_secret = "new"
    capture_headers = ["x-token", "x-extra"]

    [sources.signed]
    provider = "wavix"
    auth = "hmac"
    auth_header = "x-sig"
    secret = "Jefe"

    [sources.standard]
    provider = "allo"
    auth = "standard_webhooks"
    secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"

    [sources.delivered]
    provider = "varda"
    auth = "none"
"#;

/// A webhook that the sink stored, and its content type.
pub(crate) type Taken = (Webhook, Option<String>);

/// The behaviour of the sink.
#[derive(Clone, Copy)]
pub(crate) enum Does {
    Take,
    Fail(SinkError),
    Hang,
}

#[derive(Clone)]
pub(crate) struct FakeSink {
    pub(crate) does: Arc<Mutex<Does>>,
    pub(crate) ready: Arc<AtomicBool>,
    pub(crate) taken: Arc<Mutex<Vec<Taken>>>,
    /// Cloned once for each webhook that hangs.
    pub(crate) hanging: Arc<()>,
    /// The most webhooks that hung at a time.
    pub(crate) hung: Arc<AtomicUsize>,
}

impl RawSink for FakeSink {
    async fn accept(
        &self,
        webhook: Webhook,
        content_type: Option<String>,
        _: Option<TraceParent>,
    ) -> Result<(), SinkError> {
        let does = *self.does.lock().unwrap();
        match does {
            Does::Take => {
                // The body itself would keep its place in the budget of bytes.
                let body = Bytes::copy_from_slice(&webhook.body);
                self.taken.lock().unwrap().push((Webhook { body, ..webhook }, content_type));
                Ok(())
            }
            Does::Fail(error) => Err(error),
            Does::Hang => {
                let hanging = self.hanging.clone();
                // The receiver's sink and the test's hold one each.
                self.hung.fetch_max(Arc::strong_count(&hanging) - 2, Ordering::SeqCst);
                std::future::pending().await
            }
        }
    }

    fn ready(&self) -> bool {
        self.ready.load(Ordering::SeqCst)
    }
}

/// A running receiver.
pub(crate) struct Running {
    pub(crate) address: SocketAddr,
    pub(crate) sink: FakeSink,
    pub(crate) registry: Registry,
    pub(crate) stop: oneshot::Sender<()>,
    pub(crate) server: JoinHandle<Drained>,
}

pub(crate) async fn start_with(limits: Limits) -> Running {
    start_configured("", limits).await
}

/// Starts a receiver with more lines in the section `[receiver]`.
pub(crate) async fn start_configured(lines: &str, limits: Limits) -> Running {
    let own = ["read_timeout", "memory_max"].into_iter().filter(|key| lines.contains(key));
    let inherited = CONFIG.lines().filter(|line| !own.clone().any(|key| line.trim().starts_with(key)));
    let config = inherited.collect::<Vec<_>>().join("\n");
    let config = config.replace("[receiver]", &format!("[receiver]\n{lines}"));
    let config = Config::parse(&config, Path::new("test.toml"), &BTreeMap::new()).unwrap();
    let sink = FakeSink {
        does: Arc::new(Mutex::new(Does::Take)),
        ready: Arc::new(AtomicBool::new(true)),
        taken: Arc::default(),
        hanging: Arc::default(),
        hung: Arc::default(),
    };
    let mut registry = Registry::new();
    let metrics = ReceiverMetrics::register(&mut registry);
    let receiver = Receiver::new(config.receiver, config.sources, sink.clone(), metrics);
    let listener = http::bind(([127, 0, 0, 1], 0).into()).await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = oneshot::channel();
    let shutdown = async {
        let _ = stopped.await;
    };
    let newest = watch::Sender::new(Arc::new(receiver)).subscribe();
    let server = Receiver::server(newest, watch::Sender::new(limits).subscribe(), None);
    let server = tokio::spawn(server.serve(listener, shutdown));
    Running { address, sink, registry, stop, server }
}

pub(crate) async fn start() -> Running {
    start_with(LIMITS).await
}

pub(crate) const LIMITS: Limits = Limits {
    connections_max: 64,
    read_timeout: Duration::from_secs(1),
    idle_timeout: Duration::from_secs(4),
    write_timeout: Duration::from_secs(1),
    connection_age_max: HANGS,
    drain_max: Duration::from_secs(5),
};

/// A connection on which a test writes every byte itself.
pub(crate) struct Wire(TcpStream);

impl Wire {
    pub(crate) async fn write(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            self.0.writable().await.unwrap();
            match self.0.try_write(bytes) {
                Ok(count) => bytes = &bytes[count..],
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) => panic!("the receiver does not read: {error}"),
            }
        }
    }

    /// Writes all bytes. Returns false if the receiver ends the connection instead of reading them.
    pub(crate) async fn try_write(&mut self, bytes: &[u8]) -> bool {
        self.0.write_all(bytes).await.is_ok()
    }

    /// Reads until the receiver closes or `enough` bytes have arrived. A reset counts as a close: if it comes
    /// before the answer, the answer is missing.
    pub(crate) async fn read(&mut self, enough: usize) -> Vec<u8> {
        let mut read = Vec::new();
        let reading = async {
            while read.len() < enough {
                self.0.readable().await.unwrap();
                let mut buffer = [0; 4096];
                let room = (enough - read.len()).min(buffer.len());
                match self.0.try_read(&mut buffer[..room]) {
                    Ok(0) => break,
                    Ok(count) => read.extend_from_slice(&buffer[..count]),
                    Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                    Err(_) => break,
                }
            }
        };
        timeout(HANGS, reading).await.expect("the receiver hangs");
        read
    }

    /// Ends the sender's side of the connection.
    pub(crate) async fn finish(&mut self) {
        self.0.shutdown().await.unwrap();
    }

    /// Reads one answer without a body on a connection that stays open.
    pub(crate) async fn next_answer(&mut self) -> Answer {
        let mut read = Vec::new();
        while !read.ends_with(b"\r\n\r\n") {
            let byte = self.read(1).await;
            assert!(!byte.is_empty(), "closed without an answer: {}", String::from_utf8_lossy(&read));
            read.extend(byte);
        }
        Answer::parse(&String::from_utf8_lossy(&read))
    }

    pub(crate) async fn answer(&mut self) -> Answer {
        Answer::parse(&String::from_utf8_lossy(&self.read(usize::MAX).await))
    }
}

/// An answer as it was sent, with its head in lower case.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn parse(text: &str) -> Self {
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no answer: {text:?}"));
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        Self { status, head: head.to_ascii_lowercase(), body: body.to_owned() }
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
    }
}

impl Running {
    pub(crate) async fn connect(&self) -> Wire {
        Wire(TcpStream::connect(self.address).await.unwrap())
    }

    /// Sends bytes as they are and reads until the receiver closes.
    pub(crate) async fn raw(&self, request: &[u8]) -> Answer {
        let mut stream = self.connect().await;
        stream.write(request).await;
        stream.answer().await
    }

    pub(crate) async fn request(&self, method: &str, path: &str, headers: &str, body: &[u8]) -> Answer {
        let head = format!(
            "{method} {path} HTTP/1.1\r\nhost: h\r\nconnection: close\r\n{headers}content-length: {}\r\n\r\n",
            body.len()
        );
        self.raw(&[head.as_bytes(), body].concat()).await
    }

    pub(crate) async fn post(&self, source: &str, headers: &str, body: &[u8]) -> Answer {
        self.request("POST", &format!("/in/{source}"), headers, body).await
    }

    /// Returns the most webhooks that hung at a time.
    pub(crate) fn hung(&self) -> usize {
        self.sink.hung.load(Ordering::SeqCst)
    }

    pub(crate) fn taken(&self) -> Vec<Taken> {
        self.sink.taken.lock().unwrap().clone()
    }

    pub(crate) fn sink_does(&self, does: Does) {
        *self.sink.does.lock().unwrap() = does;
    }

    pub(crate) fn metrics_text(&self) -> String {
        self.registry.encode()
    }
}

pub(crate) async fn wait_for(condition: impl Fn() -> bool) {
    wait_for_async(|| std::future::ready(condition())).await;
}

pub(crate) async fn wait_for_async<F: Future<Output = bool>>(condition: impl Fn() -> F) {
    let until = Instant::now() + HANGS;
    while !condition().await {
        assert!(Instant::now() < until, "the condition is not met in time");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
