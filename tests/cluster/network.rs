//! A network between the nodes of a cluster that can be cut.
//!
//! An Erlang node asks a port mapper (epmd) for the port of another node. Here each node has a port mapper of
//! its own, which returns the port of a link instead. So all traffic between the nodes passes through these
//! links, and a cut behaves like one in a real network: silence, on connections that stay open until a
//! timeout. Clients and `rabbitmqctl` reach every node all the time.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering},
    },
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    runtime::Runtime,
    sync::watch,
};

/// Message types of the port mapper protocol.
const ALIVE2_REQ: u8 = 120;
const ALIVE2_X_RESP: u8 = 118;
const PORT_PLEASE2_REQ: u8 = 122;
const PORT2_RESP: u8 = 119;
const NAMES_REQ: u8 = 110;

/// The port mappers of several nodes, and the links between them.
pub struct Network {
    /// The nodes that are cut off.
    cut: watch::Sender<Vec<bool>>,
    mappers: Vec<u16>,
    /// None only while it is dropped.
    runtime: Option<Runtime>,
}

impl Drop for Network {
    /// Ends without waiting, since it may be dropped where nothing may block.
    fn drop(&mut self) {
        self.runtime.take().into_iter().for_each(Runtime::shutdown_background);
    }
}

/// The ports on which the nodes listen, by name.
#[derive(Default)]
struct Registry {
    ports: Mutex<HashMap<String, u16>>,
    creations: AtomicU32,
}

/// The port mapper of one node.
struct Mapper {
    registry: Arc<Registry>,
    /// Ports of the links to the other nodes, by name.
    links: HashMap<String, u16>,
}

impl Network {
    /// Creates a network of nodes with these names (the part before the `@`).
    pub fn between(names: &[String]) -> Self {
        Self::new(names, true)
    }

    /// Creates a network without links: it costs no time, and cannot be cut.
    #[allow(dead_code, reason = "the benchmarks use it")]
    pub fn direct(names: &[String]) -> Self {
        Self::new(names, false)
    }

    fn new(names: &[String], has_links: bool) -> Self {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let cut = watch::Sender::new(vec![false; names.len()]);
        let registry = Arc::new(Registry::default());
        let mappers = runtime.block_on(async {
            let mut mappers = Vec::new();
            for from in 0..names.len() {
                let mut links = HashMap::new();
                for to in (0..names.len()).filter(|to| has_links && *to != from) {
                    let way = Way { ends: [from, to], cut: cut.subscribe() };
                    links.insert(names[to].clone(), link(registry.clone(), names[to].clone(), way).await);
                }
                mappers.push(mapper(Mapper { registry: registry.clone(), links }).await);
            }
            mappers
        });
        Self { cut, mappers, runtime: Some(runtime) }
    }

    /// Returns the port of a node's port mapper.
    pub fn mapper(&self, node: usize) -> u16 {
        self.mappers[node]
    }

    /// Cuts a node off from all others.
    pub fn cut(&self, node: usize) {
        self.cut.send_modify(|cut| cut[node] = true);
    }

    /// Connects a node to the others again.
    pub fn heal(&self, node: usize) {
        self.cut.send_modify(|cut| cut[node] = false);
    }
}

async fn listen() -> (TcpListener, u16) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    (listener, port)
}

/// Opens a port that leads to the node `to`.
async fn link(registry: Arc<Registry>, to: String, way: Way) -> u16 {
    let (listener, port) = listen().await;
    tokio::spawn(async move {
        while let Ok((near, _)) = listener.accept().await {
            let (registry, to, mut way) = (registry.clone(), to.clone(), way.clone());
            tokio::spawn(async move {
                way.open().await;
                let port = registry.ports.lock().unwrap().get(&to).copied();
                let Some(port) = port else { return };
                let Ok(far) = TcpStream::connect(("127.0.0.1", port)).await else { return };
                let ((near_in, near_out), (far_in, far_out)) = (near.into_split(), far.into_split());
                tokio::join!(carry(near_in, far_out, way.clone()), carry(far_in, near_out, way));
            });
        }
    });
    port
}

/// The link from one node to another.
#[derive(Clone)]
struct Way {
    ends: [usize; 2],
    cut: watch::Receiver<Vec<bool>>,
}

impl Way {
    /// Waits until neither end is cut off.
    async fn open(&mut self) {
        let Self { ends, cut } = self;
        drop(cut.wait_for(|cut| ends.iter().all(|end| !cut[*end])).await);
    }
}

/// Carries bytes, and finally the end of the stream. Bytes under way during a cut arrive after it, as TCP
/// would send them again.
async fn carry(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, mut way: Way) {
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let count = from.read(&mut buffer).await.unwrap_or(0);
        way.open().await;
        if count == 0 || to.write_all(&buffer[..count]).await.is_err() {
            return;
        }
    }
}

async fn mapper(mapper: Mapper) -> u16 {
    let (listener, port) = listen().await;
    let mapper = Arc::new(mapper);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let mapper = mapper.clone();
            tokio::spawn(async move { drop(mapper.answer(stream, port).await) });
        }
    });
    port
}

impl Mapper {
    async fn answer(&self, mut stream: TcpStream, own_port: u16) -> std::io::Result<()> {
        let mut request = vec![0; stream.read_u16().await?.into()];
        stream.read_exact(&mut request).await?;
        let ports = &self.registry.ports;
        match request.split_first() {
            // Port, type, protocol, versions (two numbers), name.
            Some((&ALIVE2_REQ, rest)) if rest.len() > 10 => {
                let port = u16::from_be_bytes([rest[0], rest[1]]);
                let length = usize::from(u16::from_be_bytes([rest[8], rest[9]]));
                let name = String::from_utf8_lossy(&rest[10..][..length]).into_owned();
                ports.lock().unwrap().insert(name.clone(), port);
                // Distinguishes this run of the node from earlier ones.
                let creation = 4 + self.registry.creations.fetch_add(1, Ordering::Relaxed);
                stream.write_all(&[ALIVE2_X_RESP, 0]).await?;
                stream.write_u32(creation).await?;
                // The node is registered as long as it holds the connection.
                let _ = stream.read_u8().await;
                let mut ports = ports.lock().unwrap();
                if ports.get(&name) == Some(&port) {
                    ports.remove(&name);
                }
            }
            Some((&PORT_PLEASE2_REQ, name)) => {
                let name = String::from_utf8_lossy(name).into_owned();
                let real = ports.lock().unwrap().get(&name).copied();
                match self.links.get(&name).copied().or(real) {
                    None => stream.write_all(&[PORT2_RESP, 1]).await?,
                    Some(port) => {
                        let length = u16::try_from(name.len()).unwrap();
                        // Found; its port; a normal node over TCP, versions 6 to 5; its name; no extra data.
                        let mut answer = vec![PORT2_RESP, 0];
                        answer.extend(port.to_be_bytes());
                        answer.extend([77, 0, 0, 6, 0, 5]);
                        answer.extend(length.to_be_bytes());
                        answer.extend(name.bytes());
                        answer.extend([0, 0]);
                        stream.write_all(&answer).await?;
                    }
                }
            }
            Some((&NAMES_REQ, _)) => {
                let mut answer = u32::from(own_port).to_be_bytes().to_vec();
                for (name, port) in ports.lock().unwrap().iter() {
                    answer.extend(format!("name {name} at port {port}\n").bytes());
                }
                stream.write_all(&answer).await?;
            }
            Some(_) | None => {}
        }
        Ok(())
    }
}
