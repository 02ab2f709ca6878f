//! The signals that stop a process in good order.

use std::{future::poll_fn, io, process::exit, task::Poll};

use tokio::{
    signal::unix::{SignalKind, signal},
    sync::mpsc,
};
use tokio_util::sync::CancellationToken;

/// The meaning of SIGHUP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Hangup {
    /// The terminal is gone: it stops the process, unless `nohup` lets it outlive the terminal.
    IsStop,
    /// It is something else: see [`hangups`].
    IsNoStop,
}

/// Returns a message for each SIGHUP. Those that come before the last one is taken count as one.
///
/// # Errors
/// The error of the system.
pub(super) fn hangups() -> io::Result<mpsc::Receiver<()>> {
    let (mut hangups, (sender, messages)) = (signal(SignalKind::hangup())?, mpsc::channel(1));
    tokio::spawn(async move { while hangups.recv().await.is_some() && sender.send(()).await.is_ok() {} });
    Ok(messages)
}

/// Returns a token that the first Ctrl-C, SIGTERM or, if it is a stop, SIGHUP cancels, after `first`. A
/// second one ends the process at once, with the exit code that `second` returns.
///
/// # Errors
/// The error of the system.
pub(super) fn stop_on_signals(
    hangup: Hangup,
    first: impl Fn() + Send + 'static,
    second: impl Fn() -> u8 + Send + 'static,
) -> io::Result<CancellationToken> {
    let mut signals = vec![signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?];
    if hangup == Hangup::IsStop && !is_ignored(SignalKind::hangup()) {
        signals.push(signal(SignalKind::hangup())?);
    }
    let stop = CancellationToken::new();
    let stopping = stop.clone();
    tokio::spawn(async move {
        loop {
            poll_fn(|context| {
                let came = signals.iter_mut().any(|signal| signal.poll_recv(context).is_ready());
                if came { Poll::Ready(()) } else { Poll::Pending }
            })
            .await;
            if stopping.is_cancelled() {
                exit(second().into());
            }
            first();
            stopping.cancel();
        }
    });
    Ok(stop)
}

/// Returns true if the process was started with this signal ignored.
fn is_ignored(signal: SignalKind) -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0);
    mask >> (signal.as_raw_value() - 1) & 1 == 1
}
