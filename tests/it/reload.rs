//! Changing the configuration of running processes: nothing is lost, and nothing is refused that should not
//! be.

use std::{
    collections::BTreeMap,
    fs,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use hookswitch::{
    config::Identity,
    edge::{
        http::Client,
        tls::{self, Trust},
    },
};
use jiff::civil::date;
use tokio::{sync::RwLock, task::JoinHandle};
use tokio_util::sync::CancellationToken;

use super::{
    certificates::Authority,
    processes::Process,
    support::{PATIENCE, World, call, calls, depth, services::Broker, shared, until},
};

const APPLIED: &str = "hookswitch_config_reloads_total{result=\"applied\"}";
const REFUSED: &str = "hookswitch_config_reloads_total{result=\"refused\"}";

/// A source that is added and removed.
const LATE: &str = "\n[sources.late]\nprovider = \"salpre\"\nauth = \"none\"\n";

/// Replaces a file in one step, as deployments do.
fn replace(path: &Path, text: &str) {
    let new = path.with_extension("new");
    fs::write(&new, text).unwrap();
    fs::rename(new, path).unwrap();
}

/// Gives a process another configuration, and returns once it is read.
async fn reload(process: &Process, toml: &str) {
    let before = process.metric("hookswitch_config_reloads_total").await;
    replace(&process.config(), toml);
    process.signal("HUP");
    until("it is read", async || process.metric("hookswitch_config_reloads_total").await > before).await;
}

/// A number that each sender sends as its secret. Nobody sends while it changes.
pub type Token = Arc<RwLock<usize>>;

/// What senders have sent.
#[derive(Default)]
pub struct Sent {
    /// The calls that were answered with 200.
    pub accepted: Vec<usize>,
    /// How many were answered otherwise, by the status.
    pub others: BTreeMap<u16, usize>,
}

impl Sent {
    fn add(&mut self, other: Self) {
        self.accepted.extend(other.accepted);
        for (status, count) in other.others {
            *self.others.entry(status).or_default() += count;
        }
    }
}

/// Senders of calls to one source, each call once.
pub struct Senders {
    tasks: Vec<JoinHandle<Sent>>,
    stop: CancellationToken,
}

impl Senders {
    pub fn start(url: String, token: &Token, next: &Arc<AtomicUsize>, count: usize) -> Self {
        let stop = CancellationToken::new();
        let send = |_| {
            let (url, token, next, stop) = (url.clone(), token.clone(), next.clone(), stop.clone());
            tokio::spawn(async move {
                let (client, mut sent) = (Client::new(PATIENCE), Sent::default());
                while !stop.is_cancelled() {
                    let token = token.read().await;
                    let (n, secret) = (next.fetch_add(1, Ordering::Relaxed), format!("token-{token}"));
                    let headers = [("x-token", secret.as_str())];
                    let reply = client.post(&url, &headers, Bytes::from(call(n))).await.unwrap();
                    drop(token);
                    match reply.status {
                        200 => sent.accepted.push(n),
                        other => {
                            *sent.others.entry(other).or_default() += 1;
                            tokio::time::sleep(Duration::from_millis(20)).await;
                        }
                    }
                }
                sent
            })
        };
        Self { tasks: (0..count).map(send).collect(), stop }
    }

    pub async fn stop(self) -> Sent {
        self.stop.cancel();
        let mut all = Sent::default();
        for task in self.tasks {
            all.add(tokio::time::timeout(PATIENCE, task).await.unwrap().unwrap());
        }
        all
    }
}

/// Checks that exactly these calls have become events, each once.
pub async fn each_is_an_event(world: &World, mut accepted: Vec<usize>) {
    accepted.sort_unstable();
    assert_eq!(calls(&world.events(accepted.len()).await), accepted);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_reloads_under_load_lose_nothing_and_refuse_nothing() {
    const RELOADS: usize = 1_000;
    let world = World::with(LATE).await;
    let secrets = tempfile::tempdir().unwrap();
    let file = |name: &str| secrets.path().join(name);
    let accept = |token: usize| {
        replace(&file("first"), &format!("token-{token}\n"));
        replace(&file("second"), &format!("token-{}", token + 1));
    };
    accept(0);
    let auth = format!(
        "auth = \"header_token\"\nauth_header = \"x-token\"\nsecret_file = {:?}\nsecond_secret_file = {:?}",
        file("first"),
        file("second")
    );
    let all =
        world.toml.replacen("auth = \"none\"", &auth, 1).replace("heartbeat = \"2s\"", "heartbeat = \"10s\"");
    let toml = |n: usize| {
        let limits =
            [("[worker]\nprefetch = 64\nconcurrency = 32", 9), ("[worker]\nprefetch = 300", 5)][n % 2];
        let source = if (n / 10).is_multiple_of(2) { all.clone() } else { all.replace(LATE, "") };
        source
            .replace("[retry]", &format!("{}\n[retry]", limits.0))
            .replace("read_timeout = \"2s\"", &format!("read_timeout = \"{}s\"", limits.1))
    };
    let world = World::of_toml(toml(0));
    let (receiver, worker) = (Process::start(&world, "receiver"), Process::start(&world, "worker"));
    tokio::join!(receiver.ready(), worker.ready());
    let (token, next) = (Token::default(), Arc::<AtomicUsize>::default());
    let salpre = Senders::start(receiver.url("salpre"), &token, &next, 3);
    let late = Senders::start(receiver.url("late"), &token, &next, 1);
    for n in 1..=RELOADS {
        // The senders take the next secret once it is accepted beside the one before.
        *token.write().await = n;
        accept(n);
        let toml = toml(n);
        tokio::join!(reload(&receiver, &toml), reload(&worker, &toml));
    }
    let (salpre, late) = (salpre.stop().await, late.stop().await);
    for process in [&receiver, &worker] {
        assert_eq!(process.metric(APPLIED).await as usize, RELOADS, "{}", process.log());
        assert_eq!(process.metric(REFUSED).await, 0.0);
    }
    println!("{} and {} accepted, {:?}", salpre.accepted.len(), late.accepted.len(), late.others);
    assert!(salpre.others.is_empty(), "{:?}", salpre.others);
    assert!(late.others.keys().all(|status| *status == 404), "{:?}", late.others);
    assert!(salpre.accepted.len() > RELOADS && !late.accepted.is_empty() && !late.others.is_empty());
    each_is_an_event(&world, [salpre.accepted, late.accepted].concat()).await;
    for source in ["salpre", "late"] {
        assert_eq!(world.dead(source, 0).await.len(), 0);
    }
}

#[tokio::test]
async fn a_source_that_is_added_waits_for_its_queue_and_one_that_is_removed_is_drained() {
    let world = World::new().await;
    let process = Process::start(&world, "all");
    process.ready().await;
    let (client, next) = (Client::new(PATIENCE), Arc::<AtomicUsize>::default());
    let post =
        async |n: usize| client.post(&process.url("late"), &[], Bytes::from(call(n))).await.unwrap().status;
    let senders = Senders::start(process.url("salpre"), &Token::default(), &next, 2);
    assert_eq!(post(1_000_000).await, 404);

    let added = format!("{}{LATE}", world.toml);
    reload(&process, &added).await;
    assert_eq!(post(1_000_000).await, 503, "it has no queue yet");
    let waits = async || process.metric("hookswitch_config_waits_for_topology").await;
    assert_eq!(waits().await, 1.0);
    let ready = process.get("/readyz").await.unwrap();
    let note = "ready\nnote: the worker keeps the previous configuration: run `hookswitch topology apply`\n";
    assert_eq!((ready.status, ready.body.as_ref()), (200, note.as_bytes()));
    until("the log says so", async || process.log().contains("queue raw.late: missing")).await;

    let with_late = World::of_toml(added);
    with_late.apply().await;
    assert_eq!(post(1_000_000).await, 200);
    until("the worker takes it", async || waits().await == 0.0).await;
    until("its event", async || process.metric("hookswitch_deliveries_total{source=\"late\"").await > 0.0)
        .await;

    let late = Senders::start(process.url("late"), &Token::default(), &next, 2);
    tokio::time::sleep(Duration::from_secs(1)).await;
    reload(&process, &world.toml).await;
    tokio::time::sleep(Duration::from_millis(200)).await;
    let (late, salpre) = (late.stop().await, senders.stop().await);
    assert!(salpre.others.is_empty(), "{:?}", salpre.others);
    assert!(late.others.keys().eq([&404]), "{:?}", late.others);
    // What came too late for its lane is drained once the removal is applied.
    world.apply().await;
    each_is_an_event(&world, [salpre.accepted, late.accepted, vec![1_000_000]].concat()).await;
    assert_eq!(with_late.dead("late", 0).await.len(), 0);
    world.wait_for_depth("raw.late", 0).await;
}

#[tokio::test]
async fn a_file_with_problems_is_refused_and_the_next_good_one_is_taken_without_being_asked() {
    let world = World::new().await;
    let process = Process::start(&world, "all");
    process.ready().await;
    let client = Client::new(PATIENCE);
    let post =
        async |body: Vec<u8>| client.post(&process.url("salpre"), &[], body.into()).await.unwrap().status;
    let failed = async || process.metric("hookswitch_config_reload_failed").await;
    for (text, said) in [
        (
            world.toml.replace("lease = \"5s\"", "lease = \"5\"\ndone_ttl = \"1\""),
            vec!["dedup.lease", "dedup.done_ttl"],
        ),
        ("[sources".to_owned(), vec!["line 1, column"]),
        (String::new(), vec!["no source is configured"]),
    ] {
        reload(&process, &text).await;
        assert_eq!(failed().await, 1.0);
        let log = process.log();
        assert!(
            said.iter().all(|said| log.contains(&format!("has a problem: {said}")) || log.contains(said)),
            "{log}"
        );
        assert_eq!(post(call(1)).await, 200, "the one before is in force");
        let ready = process.get("/readyz").await.unwrap();
        let note =
            "ready\nnote: the changed configuration is refused, and a restart would fail: see the log\n";
        assert_eq!((ready.status, ready.body.as_ref()), (200, note.as_bytes()));
    }
    assert_eq!((process.metric(APPLIED).await, process.metric(REFUSED).await), (0.0, 3.0));

    // Nobody signals: the file is looked at.
    let loaded = process.metric("hookswitch_config_loaded_timestamp_seconds").await;
    let small = world.toml.replace("auth = \"none\"", "auth = \"none\"\nbody_bytes_max = 20");
    replace(&process.config(), &small);
    until("it is taken", async || failed().await == 0.0).await;
    assert_eq!(post(call(2)).await, 413);
    assert_eq!(post(call(2)[..20].to_vec()).await, 200);
    assert!(process.metric("hookswitch_config_loaded_timestamp_seconds").await > loaded);

    // A key that takes a restart keeps its value, and says so.
    reload(&process, &world.toml.replace("[admin]", "[log]\nfilter = \"off\"\n[admin]")).await;
    assert_eq!(process.metric("hookswitch_config_restart_needed").await, 1.0);
    let ready = process.get("/readyz").await.unwrap();
    assert_eq!(ready.body.as_ref(), b"ready\nnote: log.filter has changed, which takes a restart\n");
    assert!(process.log().contains("log.filter has changed"), "{}", process.log());
    reload(&process, &world.toml).await;
    assert_eq!(process.metric("hookswitch_config_restart_needed").await, 0.0);
    assert_eq!(post(call(3)).await, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_secret_that_kubernetes_replaces_is_taken_and_so_is_a_password_of_the_broker() {
    let broker = tokio::task::spawn_blocking(|| Broker::start(1)).await.unwrap();
    let world = World::at(&broker.url(1), &shared_redis().await, "").await;
    let dir = tempfile::tempdir().unwrap();
    // As the kubelet mounts a volume: the name that is mounted leads to a folder that is replaced.
    let mount = |version: &str, token: &str, password: &str| {
        let folder = dir.path().join(version);
        fs::create_dir(&folder).unwrap();
        fs::write(folder.join("token"), token).unwrap();
        let url = world.config.amqp.urls[0].reveal().replace("guest:guest@", &format!("guest:{password}@"));
        fs::write(folder.join("amqp"), url).unwrap();
        let link = dir.path().join("new");
        std::os::unix::fs::symlink(&folder, &link).unwrap();
        fs::rename(link, dir.path().join("data")).unwrap();
    };
    mount("v1", "token-1", "guest");
    let path = |name: &str| dir.path().join("data").join(name);
    let auth =
        format!("auth = \"header_token\"\nauth_header = \"x-token\"\nsecret_file = {:?}", path("token"));
    let toml = world.toml.replacen("auth = \"none\"", &auth, 1);
    let url = format!("url = \"{}\"", world.config.amqp.urls[0].reveal());
    let toml = toml.replace(&url, &format!("url_file = {:?}", path("amqp")));
    let process = Process::start(&World::of_toml(toml), "all");
    process.ready().await;
    let client = Client::new(PATIENCE);
    let post = async |n: usize, token: &str| {
        client.post(&process.url("salpre"), &[("x-token", token)], Bytes::from(call(n))).await.unwrap().status
    };
    assert_eq!([post(1, "token-1").await, post(1, "token-2").await], [200, 401]);

    mount("v2", "token-2", "new%40%2F1");
    until("it is taken", async || post(2, "token-2").await == 200).await;
    assert_eq!(post(3, "token-1").await, 401);

    // The connections stay, until the broker ends them.
    assert_eq!(process.metric("hookswitch_reconnects_total").await, 0.0);
    tokio::task::block_in_place(|| {
        broker.ctl(&["change_password", "guest", "new@/1"]);
        broker.ctl(&["close_all_connections", "--vhost", &world.vhost(), "rotated"]);
    });
    until("they are lost", async || process.metric("hookswitch_reconnects_total").await > 0.0).await;
    until("it stores again", async || post(4, "token-2").await == 200).await;
    process.ready().await;
    until("all are events", async || process.metric("hookswitch_events_total").await >= 3.0).await;
}

async fn shared_redis() -> String {
    tokio::task::spawn_blocking(|| shared().redis.url(900)).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_prefetch_that_changes_is_the_one_that_the_broker_uses() {
    let world = World::new().await;
    let worker = Process::start(&world, "worker");
    worker.ready().await;
    let prefetch = || {
        let listed = tokio::task::block_in_place(|| {
            shared().broker.ctl(&[
                "-q",
                "-p",
                &world.vhost(),
                "list_consumers",
                "queue_name",
                "prefetch_count",
            ])
        });
        let line = listed.lines().find_map(|line| line.strip_prefix("raw.salpre"));
        line.map(|count| count.trim().to_owned())
    };
    // It asks for messages, which may hold 16 webhooks each, and for four at least.
    assert_eq!(prefetch().as_deref(), Some("32"));
    reload(&worker, &world.toml.replace("[retry]", "[worker]\nprefetch = 7\nconcurrency = 7\n[retry]")).await;
    until("fewer are asked for", async || prefetch().as_deref() == Some("4")).await;
    world.accept("salpre", (0..50).map(call)).await;
    assert_eq!(calls(&world.events(50).await), (0..50).collect::<Vec<_>>());
    reload(&worker, &world.toml.replace("[retry]", "[worker]\nsources = [\"other\"]\n[retry]")).await;
    until("it is another worker's", async || prefetch().is_none()).await;
    world.accept("salpre", [call(50)]).await;
    assert_eq!(depth(&world.connect().await, "raw.salpre").await, 1);
    reload(&worker, &world.toml).await;
    assert_eq!(calls(&world.events(1).await), [50]);
}

#[tokio::test]
async fn a_certificate_that_changes_is_presented_at_the_next_handshake_and_https_takes_a_restart() {
    let (dir, authority) = (tempfile::tempdir().unwrap(), Authority::new("the CA"));
    let [certificate, key] = ["crt", "key"].map(|ending| dir.path().join(format!("own.{ending}")));
    let world = World::new().await;
    let keys = format!("[receiver]\ntls_certificate_file = {certificate:?}\ntls_key_file = {key:?}");
    let toml = world.toml.replace("[receiver]", &keys);
    let issue = |year| {
        authority.issue_until(&["127.0.0.1"], date(year, 1, 1)).write(dir.path(), "own");
        World::of_toml(toml.clone()).config.receiver.tls_identity.unwrap()
    };
    // A client that accepts this certificate and no other, and has no connection yet.
    let client =
        |identity: &Identity| Client::with_tls(PATIENCE, tls::client(Trust::Exactly(identity), None));
    let old = issue(2200);
    let process = Process::start(&World::of_toml(toml.clone()), "receiver");
    process.ready().await;
    let url = process.url("salpre").replace("http://", "https://");
    let stores = async |client: &Client, n: usize| {
        client.post(&url, &[], Bytes::from(call(n))).await.is_ok_and(|reply| reply.status == 200)
    };
    let expiry = async || process.metric("hookswitch_certificate_expiry_timestamp_seconds").await;
    let (connected, before) = (client(&old), expiry().await);
    assert!(stores(&connected, 1).await);

    let new = issue(2300);
    assert!(!stores(&client(&new), 2).await, "it is not read yet");
    reload(&process, &toml).await;
    assert!(stores(&client(&new), 2).await && expiry().await > before);
    assert!(stores(&connected, 3).await, "the open connection stays");
    assert!(!stores(&client(&old), 4).await);

    reload(&process, &world.toml).await;
    assert_eq!(process.metric("hookswitch_config_restart_needed").await, 1.0);
    let ready = process.get("/readyz").await.unwrap();
    let note = "ready\nnote: receiver.tls_certificate_file has changed, which takes a restart\n";
    assert_eq!(ready.body.as_ref(), note.as_bytes());
    assert!(stores(&client(&new), 4).await);
}
