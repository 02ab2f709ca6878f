//! `bench stores`: what claims and done marks cost on one Redis, and on a Redis Cluster of three masters.

use std::{collections::BTreeMap, time::Duration};

use clap::Args;
use hookswitch::{
    config::Config,
    core::{
        events::{
            key::{BodyHash, IdempotencyKey},
            order::{ObjectKey, Place, Sequence},
        },
        ledger::{Entry, Run},
        webhook::SourceName,
    },
    edge::{
        metrics::LinkMetrics,
        redis::{Store, ToClaim, ToMark},
    },
};

use crate::{meter::cpu_seconds, redis_cluster::RedisCluster, report::Spread, services::Redis};

/// As in production, and as in the other benchmarks.
const EVERY_SECOND: [&str; 2] = ["--appendfsync", "everysec"];

/// Webhooks in a batch: alone, under load, and with a backlog.
const BATCHES: [usize; 4] = [1, 16, 64, 256];

#[derive(Args)]
pub struct Options {
    /// Measure each in turn so many times
    #[arg(long, default_value_t = 5)]
    pairs: usize,
    /// Claim and mark so many keys each time
    #[arg(long, default_value_t = 60_000)]
    keys: usize,
}

/// A Redis, or a cluster, with a store.
struct Side {
    name: &'static str,
    store: Store,
    servers: Vec<u32>,
}

/// CPU microseconds per webhook: the client's, and those of all servers.
#[derive(Clone, Copy)]
struct Cost {
    client: f64,
    servers: f64,
}

impl Side {
    async fn open(name: &'static str, urls: &str, cluster: bool, servers: Vec<u32>) -> Self {
        let urls: Vec<_> = urls.split(',').collect();
        let text = format!("[redis]\nurls = {urls:?}\ncluster = {cluster}\ntimeout = '1m'");
        let config = Config::parse(&text, "bench.toml".as_ref(), &BTreeMap::new()).unwrap();
        let store = Store::start(&config.redis, LinkMetrics::unexported()).unwrap();
        store.watch().wait_for(Result::is_ok).await.unwrap();
        Self { name, store, servers }
    }

    /// Claims keys and marks them done, in batches. `first` is the number of the first key.
    async fn measure(&self, first: usize, keys: usize, batch: usize) -> Cost {
        let used = || (cpu_seconds(std::process::id()), self.servers.iter().copied().map(cpu_seconds).sum());
        let source: SourceName = "bench".parse().unwrap();
        let began = u64::try_from(jiff::Timestamp::now().as_millisecond()).unwrap();
        let run = Run { began, nonce: rand::random() };
        let (client, servers): (f64, f64) = used();
        for start in (first..first + keys).step_by(batch) {
            let marks: Vec<_> = (start..start + batch).map(|n| mark(&source, run, first, n)).collect();
            let claims: Vec<_> = marks.iter().map(claim).collect();
            let claimed = self.store.claim(&source, &claims, Duration::from_secs(30)).await.unwrap();
            assert_eq!(claimed.len(), batch);
            self.store.mark_done(&source, &marks, Duration::from_hours(1)).await.unwrap();
        }
        let now = used();
        let each = |seconds: f64| seconds * 1e6 / keys as f64;
        Cost { client: each(now.0 - client), servers: each(now.1 - servers) }
    }
}

/// Returns the mark of webhook `n`: four of them are about one call.
fn mark(source: &SourceName, run: Run, first: usize, n: usize) -> ToMark {
    let number = (n - first + 1) as u64;
    ToMark {
        key: IdempotencyKey::from_parts(&[n.to_string()]).store_key(source),
        body: BodyHash::from(n as u64),
        entry: Some(Entry { run, number }),
        place: Some(Place {
            object: ObjectKey::of(&(n / 4).to_string()),
            sequence: Sequence::from(n as u64),
        }),
    }
}

fn claim(mark: &ToMark) -> ToClaim<'_> {
    let object = mark.place.map(|place| place.object);
    ToClaim { key: mark.key, owner: "o0123456789abcdef-0123456789", entry: mark.entry, object }
}

/// Measures both in turn, and prints the medians.
pub async fn run(options: &Options) {
    let one = tokio::task::spawn_blocking(|| Redis::with(EVERY_SECOND.map(str::to_owned).to_vec()));
    let one = one.await.unwrap();
    let cluster = RedisCluster::with(RedisCluster::MASTERS, &EVERY_SECOND).await;
    // Older than what its ledger counts.
    tokio::time::sleep(Duration::from_secs(3)).await;
    let masters = cluster.nodes.iter().map(Redis::pid).collect();
    let sides = [
        Side::open("one Redis", &one.url(0), false, vec![one.pid()]).await,
        Side::open("three masters", &cluster.urls(), true, masters).await,
    ];
    tokio::time::sleep(Duration::from_secs(3)).await;
    let mut first = 0;
    println!("{:<14} {:>6} {:>10} {:>10} {:>10}", "", "batch", "client µs", "Redis µs", "together");
    for batch in BATCHES {
        let mut costs = [Vec::new(), Vec::new()];
        for _ in 0..options.pairs {
            for (side, costs) in sides.iter().zip(&mut costs) {
                costs.push(side.measure(first, options.keys / batch * batch, batch).await);
            }
            first += options.keys;
        }
        let together = sides.iter().zip(&mut costs).map(|(side, costs)| {
            let median = |of: fn(&Cost) -> f64| Spread::of(costs.iter().map(of)).median;
            let (client, servers) = (median(|cost| cost.client), median(|cost| cost.servers));
            let together = median(|cost| cost.client + cost.servers);
            println!("{:<14} {batch:>6} {client:>10.1} {servers:>10.1} {together:>10.1}", side.name);
            together
        });
        let together: Vec<_> = together.collect();
        println!("{:<14} {batch:>6} {:>32.2}", "ratio", together[1] / together[0]);
    }
}
