//! `hookswitch receiver|worker|all`

use std::{io, time::Duration};

use sd_notify::NotifyState;
use tokio_util::sync::CancellationToken;

use super::{
    exit::{FAILED, OK},
    signals::{self, Hangup},
};
pub(super) use crate::app::parts::Roles;
use crate::{
    app::{
        process::{Process, ProcessError},
        reload,
    },
    config::{Config, ConfigProblems},
    core::providers,
    edge::{panics, telemetry},
};

/// Runs the process until it is asked to stop, with `config` and then with what `load` reads. Returns the
/// exit code.
pub(super) fn run(
    config: Config,
    load: impl Fn() -> Result<Config, ConfigProblems> + Clone + Send + 'static,
    roles: Roles,
) -> anyhow::Result<u8> {
    let logging = telemetry::start(&config.log);
    panics::install_hook();
    // All steps are short and wait for each other: handing them from thread to thread costs more than another
    // thread brings. Each connection to the broker has a thread of its own already; more receivers and
    // workers are more processes.
    let mut runtime = match roles {
        Roles { worker: true, receiver: true } => tokio::runtime::Builder::new_multi_thread(),
        Roles { .. } => tokio::runtime::Builder::new_current_thread(),
    };
    let runtime = runtime.enable_all().build()?;
    let code = runtime.block_on(serve(config, load, roles, logging.flusher()))?;
    // Tasks that still run have had their grace time.
    runtime.shutdown_timeout(Duration::from_millis(100));
    Ok(code)
}

async fn serve(
    config: Config,
    load: impl Fn() -> Result<Config, ConfigProblems> + Clone + Send + 'static,
    roles: Roles,
    flush_log: impl Fn() + Send + 'static,
) -> anyhow::Result<u8> {
    let process = Process::build(config.clone(), roles, providers::normalize).await?;
    let stop = stop_on_signals(flush_log)?;
    tokio::spawn(reload::follow(process.parts(), config, load, signals::hangups()?));
    // Its ports are open. It starts without RabbitMQ too, so that a receiver can answer 503.
    tell_systemd(NotifyState::Ready);
    match process.run(stop).await {
        Ok(()) => Ok(OK),
        // The process has logged it.
        Err(ProcessError::Topology(_)) => Ok(FAILED),
        Err(error) => Err(error.into()),
    }
}

/// Returns a token that a signal cancels. The broker redelivers what is in flight at a second one.
fn stop_on_signals(flush_log: impl Fn() + Send + 'static) -> io::Result<CancellationToken> {
    let first = || {
        tracing::info!("stopping: finishing what is in flight, a second signal exits at once");
        tell_systemd(NotifyState::Stopping);
    };
    let second = move || {
        tracing::warn!("second signal: exiting at once");
        flush_log();
        FAILED
    };
    signals::stop_on_signals(Hangup::IsNoStop, first, second)
}

/// Tells the service manager how the process is doing, if one has asked for it.
fn tell_systemd(state: NotifyState<'_>) {
    if let Err(error) = sd_notify::notify(&[state]) {
        tracing::warn!(%error, "cannot notify systemd; check NOTIFY_SOCKET");
    }
}
