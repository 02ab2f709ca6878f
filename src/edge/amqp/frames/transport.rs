//! The stream over which lapin talks to the broker: a socket, with or without TLS, and the filter before it.

use std::{
    io::{self, IoSlice, Read, Write},
    net::SocketAddr,
    pin::Pin,
    task::{Context, Poll, ready},
    time::{Duration, Instant},
};

use async_rs::{Runtime, Tokio, traits::Reactor, util::RuntimeParts};
use futures_util::{
    Stream,
    io::{AsyncRead, AsyncWrite},
};
use lapin::{AsyncTcpStream, ConnectionProperties, tcp::RustlsConnector, uri::AMQPUri};
use rustls::ClientConfig;

use super::filter::Filter;

pub(in crate::edge::amqp) type Socket = AsyncTcpStream<<Tokio as Reactor>::TcpStream>;

/// Connects to the broker at `uri`, over which frames of at most `frame_max` bytes arrive; with TLS if there
/// are settings for it.
pub(in crate::edge::amqp) async fn open(
    uri: AMQPUri,
    properties: ConnectionProperties,
    frame_max: u32,
    tls: Option<ClientConfig>,
) -> lapin::Result<lapin::Connection> {
    let filtered = FilteredReactor { reactor: Tokio::current(), frame_max };
    let runtime = Runtime::new(RuntimeParts::new(Tokio::current(), filtered));
    // lapin connects on a thread of its own, which has no current runtime.
    let plain = Runtime::tokio_current();
    let connect = async move |uri: AMQPUri, _: Runtime<_>| {
        let socket = socket(&plain, &uri, tls.clone()).await?;
        Ok(AsyncTcpStream::Plain(Filtered { socket, filter: Filter::new(frame_max) }))
    };
    lapin::Connection::connector(uri, runtime, connect, properties).await
}

/// Opens a socket to the broker at `uri`, on which nothing was said yet.
pub(in crate::edge::amqp) async fn socket(
    runtime: &Runtime<Tokio>,
    uri: &AMQPUri,
    tls: Option<ClientConfig>,
) -> io::Result<Socket> {
    let host = &uri.authority.host;
    let addresses = runtime.to_socket_addrs((host.clone(), uri.authority.port));
    let socket = AsyncTcpStream::connect(runtime, addresses).await?;
    match tls {
        Some(tls) => socket.into_rustls(&RustlsConnector::from(tls), host).await,
        None => Ok(socket),
    }
}

/// A socket, and the filter of what comes out of it.
struct Filtered {
    socket: Socket,
    filter: Filter,
}

impl AsyncRead for Filtered {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let Self { socket, filter } = &mut *self;
        while filter.ready().is_empty() {
            match ready!(Pin::new(&mut *socket).poll_read(context, filter.room()))? {
                0 => return Poll::Ready(Ok(0)),
                count => filter.received(count),
            }
        }
        let ready = filter.ready();
        let count = ready.len().min(buffer.len());
        buffer[..count].copy_from_slice(&ready[..count]);
        filter.given(count);
        Poll::Ready(Ok(count))
    }
}

impl AsyncWrite for Filtered {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.socket).poll_write(context, buffer)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffers: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.socket).poll_write_vectored(context, buffers)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(context)
    }

    fn poll_close(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_close(context)
    }
}

/// Names the type of the stream to lapin, which takes it from its reactor. Time is tokio's.
#[derive(Clone, Debug)]
struct FilteredReactor {
    reactor: Tokio,
    frame_max: u32,
}

impl Reactor for FilteredReactor {
    type TcpStream = Filtered;
    type Sleep = <Tokio as Reactor>::Sleep;

    /// Fails: lapin registers no sockets.
    fn register<H: Read + Write + Send + 'static>(
        &self,
        _: H,
    ) -> io::Result<impl AsyncRead + AsyncWrite + Send + Unpin + 'static> {
        Err::<Filtered, _>(io::ErrorKind::Unsupported.into())
    }

    fn sleep(&self, duration: Duration) -> Self::Sleep {
        self.reactor.sleep(duration)
    }

    fn interval(&self, duration: Duration) -> impl Stream<Item = Instant> + Send + 'static {
        self.reactor.interval(duration)
    }

    fn tcp_connect_addr(
        &self,
        address: SocketAddr,
    ) -> impl Future<Output = io::Result<Self::TcpStream>> + Send + 'static {
        let (connecting, filter) = (self.reactor.tcp_connect_addr(address), Filter::new(self.frame_max));
        async move { Ok(Filtered { socket: AsyncTcpStream::Plain(connecting.await?), filter }) }
    }
}
