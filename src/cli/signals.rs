//! The signals that stop a process in good order.

use std::{future::poll_fn, io, process::exit, task::Poll};

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// Returns a token that the first Ctrl-C, SIGTERM or SIGHUP cancels, after `first`. A second one ends the
/// process at once, with the exit code that `second` returns. `nohup` lets the process outlive its terminal.
///
/// # Errors
/// The error of the system.
pub(super) fn stop_on_signals(
    first: impl Fn() + Send + 'static,
    second: impl Fn() -> u8 + Send + 'static,
) -> io::Result<CancellationToken> {
    let mut signals = vec![signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?];
    if !is_ignored(SignalKind::hangup()) {
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
