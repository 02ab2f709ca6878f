//! `hookswitch receiver|worker|all`

use std::{sync::Arc, time::Duration};

use anyhow::Context;
use axum::{Router, http::StatusCode, response::IntoResponse, routing::get};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::exit::{FAILED, OK};
use crate::{
    app::{
        ledger::Books,
        receiver::{Receiver, sink::RawExchangeSink},
        shards::Shards,
        worker::{Worker, gate::Gate},
    },
    config::Config,
    core::providers,
    edge::{
        amqp::publish::Publisher,
        http::{self, Limits},
        metrics::{self, LinkMetrics, WorkerMetrics, receiver::ReceiverMetrics},
        panics,
        redis::Store,
        telemetry,
        trouble::Trouble,
    },
};

/// What one process does.
#[derive(Clone, Copy)]
pub(super) struct Roles {
    pub(super) receiver: bool,
    pub(super) worker: bool,
}

pub(super) fn run(config: &Config, roles: Roles) -> anyhow::Result<u8> {
    let logging = telemetry::start(&config.log);
    panics::install_hook();
    // All steps are short and wait for each other: handing them from thread to thread costs more than another thread
    // brings. Each connection to the broker has a thread of its own already; more receivers and workers are more processes.
    let mut runtime = match roles {
        Roles { worker: true, receiver: true } => tokio::runtime::Builder::new_multi_thread(),
        Roles { .. } => tokio::runtime::Builder::new_current_thread(),
    };
    let runtime = runtime.enable_all().build()?;
    let code = runtime.block_on(serve(config, roles, logging.flusher()))?;
    // Whatever still runs has had its grace.
    runtime.shutdown_timeout(Duration::from_millis(100));
    Ok(code)
}

/// Binds first, spawns second, drains last.
async fn serve(config: &Config, roles: Roles, flush_log: impl Fn() + Send + 'static) -> anyhow::Result<u8> {
    if config.sources.is_empty() {
        anyhow::bail!("no source is configured: add a [sources.<name>] section");
    }
    let admin = bind(config.admin.listen, "admin.listen").await?;
    let listener = match roles.receiver {
        true => Some(bind(config.receiver.listen, "receiver.listen").await?),
        false => None,
    };
    let stop = stop_on_signals(flush_log)?;
    let mut registry = metrics::registry();
    let [broker, store_link] = LinkMetrics::register(&mut registry, ["broker", "redis"]);
    let publisher = Publisher::start(config.amqp.clone(), "publisher", broker);

    let books = Arc::new(Books::new(config.sources.keys()));
    let mut receiving = None;
    if let Some(listener) = listener {
        let receiver_metrics = Arc::new(ReceiverMetrics::default());
        receiver_metrics.register(&mut registry);
        let spread = Shards::new(&config.sources);
        let sink =
            RawExchangeSink::new(publisher.clone(), books.clone(), spread, config.receiver.confirm_timeout);
        let router =
            Receiver::new(config.receiver.clone(), config.sources.clone(), sink, receiver_metrics).router();
        tracing::info!(address = %config.receiver.listen, "receiving webhooks");
        receiving =
            Some(tokio::spawn(http::serve(listener, router, limits(config), stop.clone().cancelled_owned())));
    }
    let mut pool = None;
    let mut working = None;
    if roles.worker {
        let worker_metrics = WorkerMetrics::register(&mut registry);
        let store = Store::start(&config.redis, store_link)?;
        let watched = Gate::watch(&publisher, &store, worker_metrics.clone());
        let worker = Worker::new(
            config.clone(),
            publisher.clone(),
            store,
            watched,
            worker_metrics,
            providers::normalize,
        );
        pool = Some(worker.clone());
        working = Some(tokio::spawn(worker.run(stop.clone())));
    }

    let registry = Arc::new(registry);
    let telling = tokio::spawn({
        let (books, publisher) = (books.clone(), publisher.clone());
        async move { books.keep_telling(&publisher).await }
    });
    let ledger_publisher = publisher.clone();
    let trouble = move || pool.as_ref().map_or_else(|| publisher.trouble(), |pool| pool.trouble());
    let admin_stop = CancellationToken::new();
    let admin = tokio::spawn(http::serve(
        admin,
        admin_router(registry, trouble),
        limits(config),
        admin_stop.clone().cancelled_owned(),
    ));

    let code = match working {
        Some(working) => finish_working(working, &stop, config.worker.grace).await?,
        None => OK,
    };
    if let Some(receiving) = receiving {
        receiving.await.context("the receiver failed")?;
    }
    telling.abort();
    books.close(&ledger_publisher).await;
    admin_stop.cancel();
    admin.await.context("the admin listener failed")?;
    tracing::info!("stopped");
    Ok(code)
}

/// Waits for the pool to end by itself, or for its grace to run out after `stop`.
async fn finish_working(
    mut working: tokio::task::JoinHandle<Result<(), crate::edge::amqp::topology::TopologyError>>,
    stop: &CancellationToken,
    grace: Duration,
) -> anyhow::Result<u8> {
    let ended = tokio::select! {
        ended = &mut working => ended,
        () = async { stop.cancelled().await; tokio::time::sleep(grace).await } => {
            working.abort();
            tracing::warn!(?grace, "the grace time is over: what is in flight is given back to the broker");
            return Ok(OK);
        }
    };
    stop.cancel();
    match ended.context("the worker pool failed")? {
        Ok(()) => Ok(OK),
        Err(differs) => {
            tracing::error!("{differs}");
            Ok(FAILED)
        }
    }
}

fn limits(config: &Config) -> Limits {
    Limits {
        header_timeout: config.receiver.read_timeout,
        connections_max: config.receiver.connections_max,
        drain_max: config.worker.grace,
    }
}

async fn bind(address: std::net::SocketAddr, key: &str) -> anyhow::Result<TcpListener> {
    http::bind(address)
        .await
        .with_context(|| format!("is something else there? Set {key} to another address"))
}

fn admin_router(
    registry: Arc<prometheus_client::registry::Registry>,
    trouble: impl Fn() -> Option<Trouble> + Clone + Send + Sync + 'static,
) -> Router {
    let text = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    let ready = move || {
        let answer = match trouble() {
            None => "ready\n".into_response(),
            Some(trouble) => {
                (StatusCode::SERVICE_UNAVAILABLE, format!("not ready: {trouble}\n")).into_response()
            }
        };
        async { answer }
    };
    Router::new()
        .route("/livez", get(async || "alive\n"))
        .route("/readyz", get(ready))
        .route("/metrics", get(move || async move { ([("content-type", text)], metrics::encode(&registry)) }))
}

/// The first SIGTERM or SIGINT asks to stop; the second ends the process at once.
fn stop_on_signals(flush_log: impl Fn() + Send + 'static) -> anyhow::Result<CancellationToken> {
    use tokio::signal::unix::{SignalKind, signal};
    let (mut term, mut int) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let stop = CancellationToken::new();
    let asked = stop.clone();
    tokio::spawn(async move {
        loop {
            tokio::select! {
                _ = term.recv() => {}
                _ = int.recv() => {}
            }
            if asked.is_cancelled() {
                tracing::warn!("asked again: ending at once");
                flush_log();
                // What is in flight goes back to the broker by itself.
                std::process::exit(i32::from(FAILED));
            }
            tracing::info!("asked to stop: finishing what is in flight");
            asked.cancel();
        }
    });
    Ok(stop)
}
