//! A connection's socket, with or without TLS, and with limits on the time that a client takes: for the head
//! of a request, between two requests, and for taking an answer.

use std::{
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU8, Ordering},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Instant, Sleep, sleep},
};

use super::{memory::Held, rejected::Rejected};

/// The most bytes that are read and dropped after the last answer on a connection.
const LINGER_BYTES: usize = 1024 * 1024;
/// The longest time for which they are read.
const LINGER_TIME: Duration = Duration::from_secs(2);

/// The part of an exchange that a connection is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Part {
    /// The head of a request is on its way. So it is from the start: a new connection is for a request.
    Head,
    /// A request is being handled. The handler limits the time and the memory of its body.
    Request,
    /// A request was answered, and no other one has begun.
    Idle,
}

/// The state of a connection, for its socket, its requests and its driver.
#[derive(Debug)]
pub(super) struct Exchange {
    part: AtomicU8,
    last: AtomicBool,
}

impl Exchange {
    pub(super) fn new() -> Self {
        Self { part: AtomicU8::new(Part::Head as u8), last: AtomicBool::new(false) }
    }

    pub(super) fn enter(&self, part: Part) {
        self.part.store(part as u8, Ordering::Relaxed);
    }

    fn is_in(&self, part: Part) -> bool {
        self.part.load(Ordering::Relaxed) == part as u8
    }

    /// Makes the next answer the last one.
    pub(super) fn end_with_next_answer(&self) {
        self.last.store(true, Ordering::Relaxed);
    }

    pub(super) fn ends_with_next_answer(&self) -> bool {
        self.last.load(Ordering::Relaxed)
    }
}

/// The time limits of a socket.
pub(super) trait Pace {
    /// Returns the longest time for the head of a request.
    fn head(&self) -> Duration;
    /// Returns the longest time between two requests.
    fn idle(&self) -> Duration;
    /// Returns the longest time for which a client may take nothing of an answer.
    fn write(&self) -> Duration;
    /// Is told of a client that was refused outside of a request.
    fn rejected(&self, rejected: Rejected);
}

/// See the module.
pub(super) struct Stream<S, P> {
    socket: S,
    exchange: Arc<Exchange>,
    pace: Arc<P>,
    /// The bytes of the head.
    head: Held,
    reading: Limit,
    writing: Limit,
    /// Set once the last answer is written: the bytes that are still to be dropped.
    lingering: Option<usize>,
}

impl<S: AsyncRead + AsyncWrite + Unpin, P: Pace> Stream<S, P> {
    pub(super) fn new(socket: S, exchange: Arc<Exchange>, pace: Arc<P>, head: Held) -> Self {
        let (reading, writing) = (Limit::default(), Limit::default());
        Self { socket, exchange, pace, head, reading, writing, lingering: None }
    }

    /// Accounts for `read` bytes that do not belong to a request yet.
    fn account(&mut self, cx: &mut Context<'_>, read: usize) -> io::Result<()> {
        if self.exchange.is_in(Part::Idle) {
            self.head.release();
            self.reading.stop();
            self.exchange.enter(Part::Head);
        }
        self.head.grow(read).map_err(|_| self.reject(cx, Rejected::NoMemory))
    }

    /// Waits for the head of a request, at most as long as the client may take.
    fn poll_patience(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.exchange.is_in(Part::Idle) && self.head.bytes() > 0 {
            // The time so far was for the head of the request that has been answered.
            self.head.release();
            self.reading.stop();
        }
        if self.exchange.is_in(Part::Idle) {
            ready!(self.reading.poll(cx, self.pace.idle()));
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        ready!(self.reading.poll(cx, self.pace.head()));
        let silent = self.head.bytes() == 0;
        Poll::Ready(Err(if silent {
            io::ErrorKind::TimedOut.into()
        } else {
            self.reject(cx, Rejected::SlowHead)
        }))
    }

    /// Answers as far as the socket takes it at once: no request is in progress, so nothing else is written.
    fn reject(&mut self, cx: &mut Context<'_>, rejected: Rejected) -> io::Error {
        if let Some(answer) = rejected.answer() {
            let _ = Pin::new(&mut self.socket).poll_write(cx, answer.as_bytes());
            let _ = Pin::new(&mut self.socket).poll_flush(cx);
        }
        self.pace.rejected(rejected);
        io::ErrorKind::TimedOut.into()
    }

    /// Returns the outcome of a write, or an error if the client has taken nothing for too long.
    fn in_time<T>(&mut self, cx: &mut Context<'_>, written: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.writing.stop();
            return written;
        }
        ready!(self.writing.poll(cx, self.pace.write()));
        self.pace.rejected(Rejected::SlowReader);
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin, P: Pace> AsyncRead for Stream<S, P> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buffer.filled().len();
        let polled = Pin::new(&mut this.socket).poll_read(cx, buffer);
        if this.exchange.is_in(Part::Request) {
            return polled;
        }
        match polled {
            Poll::Ready(Ok(())) => match buffer.filled().len() - before {
                0 => Poll::Ready(Ok(())),
                read => Poll::Ready(this.account(cx, read)),
            },
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Pending => this.poll_patience(cx),
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin, P: Pace> AsyncWrite for Stream<S, P> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = Pin::new(&mut this.socket).poll_write(cx, bytes);
        this.in_time(cx, written)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = Pin::new(&mut this.socket).poll_write_vectored(cx, slices);
        this.in_time(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().socket).poll_flush(cx)
    }

    /// Ends the writing, then reads and drops what still comes. If a socket is closed with bytes unread, the
    /// kernel resets the connection, and a client that is still writing would never see its answer.
    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.lingering.is_none() {
            // With TLS there is a last message to write.
            let ended = Pin::new(&mut this.socket).poll_shutdown(cx);
            ready!(this.in_time(cx, ended))?;
            this.lingering = Some(LINGER_BYTES);
            this.reading.stop();
        }
        let mut bytes = [0; 8 * 1024];
        loop {
            let mut buffer = ReadBuf::new(&mut bytes);
            match Pin::new(&mut this.socket).poll_read(cx, &mut buffer) {
                Poll::Ready(Ok(())) if !buffer.filled().is_empty() => {
                    let left = this.lingering.and_then(|left| left.checked_sub(buffer.filled().len()));
                    if left.is_none() {
                        return Poll::Ready(Ok(()));
                    }
                    this.lingering = left;
                }
                Poll::Ready(_) => return Poll::Ready(Ok(())),
                Poll::Pending => return this.reading.poll(cx, LINGER_TIME).map(Ok),
            }
        }
    }
}

/// A time limit that runs from the first poll until it is stopped.
#[derive(Default)]
struct Limit {
    sleep: Option<Pin<Box<Sleep>>>,
    running: bool,
}

impl Limit {
    /// Is ready once `limit` is over.
    fn poll(&mut self, cx: &mut Context<'_>, limit: Duration) -> Poll<()> {
        let sleep = self.sleep.get_or_insert_with(|| Box::pin(sleep(limit)));
        if !self.running {
            sleep.as_mut().reset(Instant::now() + limit);
            self.running = true;
        }
        sleep.as_mut().poll(cx)
    }

    fn stop(&mut self) {
        self.running = false;
    }
}
