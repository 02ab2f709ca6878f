//! TLS to the broker, to Redis, and from clients: with certificates that are good, and with every kind of
//! those that are not.

use std::{sync::Arc, time::Duration};

use axum::{Router, routing::get};
use hookswitch::{
    config::{Authorities, Identity, Receiver},
    edge::{
        amqp,
        http::{self, Client, Limits, Server},
        metrics::LinkMetrics,
        redis::Store,
        tls::{self, Presented, Trust},
        trouble::Trouble,
    },
};
use jiff::civil::date;
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    sync::watch,
};
use tokio_rustls::TlsConnector;

use super::{
    certificates::{Authority, Issued},
    support::{
        PATIENCE, World, call, calls,
        program::{Program, Said},
        redis_cluster,
        services::{Broker, Redis, Sentinel, free_port},
        until,
    },
};

/// The names of the certificates of services.
const NAMES: [&str; 2] = ["localhost", "127.0.0.1"];

/// A folder of certificates: `ca.crt` is trusted, `server.crt` belongs to the services, `client.crt` to the
/// program. Those of `other.crt` are from a CA that nobody trusts.
struct Pki {
    dir: TempDir,
    authority: Authority,
    other: Authority,
}

impl Pki {
    fn new() -> Self {
        let pki = Self {
            dir: TempDir::new().unwrap(),
            authority: Authority::new("the CA"),
            other: Authority::new("another CA"),
        };
        std::fs::write(pki.path("ca.crt"), pki.authority.pem()).unwrap();
        std::fs::write(pki.path("other-ca.crt"), pki.other.pem()).unwrap();
        pki.authority.issue(&NAMES).write(pki.dir.path(), "server");
        pki.authority.issue(&["hookswitch"]).write(pki.dir.path(), "client");
        pki.authority.issue_until(&["hookswitch"], date(2000, 1, 1)).write(pki.dir.path(), "expired");
        pki.other.issue(&["hookswitch"]).write(pki.dir.path(), "other");
        pki
    }

    fn path(&self, name: &str) -> String {
        self.dir.path().join(name).display().to_string()
    }

    /// Gives the services another certificate.
    fn serve(&self, issued: &Issued) {
        issued.write(self.dir.path(), "server");
    }

    /// Returns the keys of a section that trusts `ca` and presents `own`.
    fn keys(&self, ca: &str, own: &str) -> String {
        let mut keys = String::new();
        if !ca.is_empty() {
            keys.push_str(&format!("tls_ca_file = \"{}\"\n", self.path(&format!("{ca}.crt"))));
        }
        if !own.is_empty() {
            keys.push_str(&self.identity(own));
        }
        keys
    }

    fn trust(&self) -> Authorities {
        Authorities::parse("ca.crt", self.authority.pem()).unwrap()
    }

    /// Returns the keys that present `own`.
    fn identity(&self, own: &str) -> String {
        let [certificate, key] = ["crt", "key"].map(|ending| self.path(&format!("{own}.{ending}")));
        format!("tls_certificate_file = \"{certificate}\"\ntls_key_file = \"{key}\"\n")
    }

    fn broker(&self, port: u16) -> Broker {
        let lines = [
            format!("listeners.ssl.default = 127.0.0.1:{port}"),
            format!("ssl_options.cacertfile = {}", self.path("ca.crt")),
            format!("ssl_options.certfile = {}", self.path("server.crt")),
            format!("ssl_options.keyfile = {}", self.path("server.key")),
            "ssl_options.verify = verify_peer".to_owned(),
            "ssl_options.fail_if_no_peer_cert = true".to_owned(),
        ];
        let broker = Broker::prepare(1, free_port(), vec![("HOOKSWITCH_RABBITMQ_CONF", lines.join("\n"))]);
        broker.start_again();
        broker
    }

    fn redis(&self, port: u16) -> Redis {
        self.redis_with(port, &[])
    }

    fn redis_with(&self, port: u16, more: &[&str]) -> Redis {
        let options = [
            ("--tls-port", port.to_string()),
            ("--tls-ca-cert-file", self.path("ca.crt")),
            ("--tls-cert-file", self.path("server.crt")),
            ("--tls-key-file", self.path("server.key")),
        ];
        let options = options.into_iter().flat_map(|(name, value)| [name.to_owned(), value]);
        Redis::with(options.chain(more.iter().map(ToString::to_string)).collect())
    }
}

/// Services with TLS.
struct Secure {
    pki: Pki,
    broker: Broker,
    redis: Redis,
    amqps: String,
    rediss: String,
}

impl Secure {
    async fn start() -> Self {
        tokio::task::spawn_blocking(|| {
            let (pki, amqps, rediss) = (Pki::new(), free_port(), free_port());
            let (broker, redis) = (pki.broker(amqps), pki.redis(rediss));
            let amqps = format!("amqps://guest:guest@127.0.0.1:{amqps}/t1");
            let rediss = format!("rediss://127.0.0.1:{rediss}/0");
            Self { pki, broker, redis, amqps, rediss }
        })
        .await
        .unwrap()
    }

    /// Returns a world whose links trust and present these.
    fn world(&self, ca: &str, own: &str) -> World {
        let world = World::configured(&self.amqps, &self.rediss, "");
        let keys = self.pki.keys(ca, own);
        let toml = ["[amqp]\n", "[redis]\n"]
            .into_iter()
            .fold(world.toml, |toml, section| toml.replace(section, &format!("{section}{keys}")));
        World::of_toml(toml)
    }

    /// Gives the services another certificate, and has them use it for the next connection.
    async fn serve(&self, issued: &Issued) {
        self.pki.serve(issued);
        tokio::task::block_in_place(|| {
            self.broker.ctl(&["eval", "ssl:clear_pem_cache()."]);
        });
        let client = redis::Client::open(self.redis.url(0)).unwrap();
        let mut connection = client.get_multiplexed_async_connection().await.unwrap();
        let set = [
            "SET",
            "tls-cert-file",
            &self.pki.path("server.crt"),
            "tls-key-file",
            &self.pki.path("server.key"),
        ];
        redis::cmd("CONFIG").arg(&set).exec_async(&mut connection).await.unwrap();
    }

    /// Cuts every connection to the services.
    async fn cut(&self) {
        tokio::task::block_in_place(|| {
            self.broker.ctl(&["close_all_connections", "--global", "a test cuts them"]);
        });
        let client = redis::Client::open(self.redis.url(0)).unwrap();
        let mut connection = client.get_multiplexed_async_connection().await.unwrap();
        redis::cmd("CLIENT").arg(&["KILL", "TYPE", "NORMAL"]).exec_async(&mut connection).await.unwrap();
    }
}

/// Returns why a world cannot use its broker.
async fn broker_fault(world: &World) -> (Trouble, String) {
    let error = amqp::connect(&world.config.amqp, "test").await.expect_err("it cannot connect");
    (error.trouble(), error.to_string())
}

/// Returns why a world cannot use its Redis.
async fn store_fault(world: &World) -> (Trouble, String) {
    let store = Store::start(&world.config.redis, LinkMetrics::unexported()).unwrap();
    let mut link = store.watch();
    let known = link
        .wait_for(|link| link.as_ref().err().is_none_or(|e| !e.to_string().contains("not connected yet")));
    let link = tokio::time::timeout(PATIENCE, known).await.unwrap().unwrap();
    let error = link.as_ref().err().expect("it cannot be used");
    (error.trouble(), error.to_string())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn links_with_tls_work_and_what_is_wrong_with_a_certificate_is_named_until_it_is_mended() {
    let services = Secure::start().await;
    let world = services.world("ca", "client");
    // Consumes events over the plain ports.
    let consumer = World::configured(&services.broker.url(1), &services.redis.url(0), "");
    world.apply().await;
    let (receiver, worker) = (world.receiver().await, world.worker());
    receiver.ready().await;
    assert_eq!(receiver.post("salpre", Box::leak(call(1).into_boxed_slice())).await, 200);
    assert_eq!(calls(&consumer.events(1).await), [1]);

    for (ca, own, advice) in [
        ("", "client", "tls_ca_file"),
        ("other-ca", "client", "tls_ca_file"),
        ("ca", "", "tls_certificate_file"),
        ("ca", "other", "tls_certificate_file"),
        ("ca", "expired", "tls_certificate_file"),
    ] {
        let wrong = services.world(ca, own);
        for (section, (trouble, text), expected) in [
            ("amqp", broker_fault(&wrong).await, Trouble::BrokerTls),
            ("redis", store_fault(&wrong).await, Trouble::StoreTls),
        ] {
            eprintln!("{ca}/{own}: {text}");
            assert_eq!(trouble, expected, "{ca}/{own}: {text}");
            assert!(text.contains(&format!("{section}.{advice}")), "{ca}/{own}: {text}");
        }
    }

    let good = services.pki.authority.issue(&NAMES);
    for (bad, advice) in [
        (services.pki.authority.issue(&["rabbit.example"]), ["amqp.url", "redis.url"]),
        (services.pki.authority.issue_until(&NAMES, date(2000, 1, 1)), ["has expired", "has expired"]),
        (services.pki.other.issue(&NAMES), ["amqp.tls_ca_file", "redis.tls_ca_file"]),
    ] {
        services.serve(&bad).await;
        services.cut().await;
        until("the receiver knows", async || receiver.trouble() == Some(Trouble::BrokerTls)).await;
        until("the worker knows", async || worker.trouble() == Some(Trouble::BrokerTls)).await;
        for ((_, text), advice) in
            [broker_fault(&world).await, store_fault(&world).await].into_iter().zip(advice)
        {
            eprintln!("{text}");
            assert!(text.contains(advice), "{text}");
        }
        services.serve(&good).await;
        receiver.ready().await;
        worker.ready().await;
    }
    assert_eq!(receiver.post("salpre", Box::leak(call(2).into_boxed_slice())).await, 200);
    assert_eq!(calls(&consumer.events(1).await), [2]);
    worker.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_port_that_speaks_the_other_protocol_is_named() {
    let services = Secure::start().await;
    let world = World::configured(&services.broker.url(1), &services.redis.url(0), "");
    let plain = [world.config.amqp.urls[0].reveal(), world.config.redis.urls[0].reveal()];
    let port = |url: &str| url.rsplit([':', '/']).nth(1).unwrap().to_owned();
    let swapped = |url: &str, other: &str| url.replace(&port(url), &port(other));
    let crossed =
        World::configured(&swapped(plain[0], &services.amqps), &swapped(plain[1], &services.rediss), "");
    // A port with TLS cuts a connection on which none is spoken, as any broken one would.
    let (trouble, text) = broker_fault(&crossed).await;
    assert!(trouble == Trouble::BrokerDown && text.contains("with amqps:// if it expects TLS"), "{text}");
    let (trouble, text) = store_fault(&crossed).await;
    assert!(trouble == Trouble::StoreDown && text.contains("write rediss:// then"), "{text}");
    let crossed =
        World::configured(&swapped(&services.amqps, plain[0]), &swapped(&services.rediss, plain[1]), "");
    let (trouble, text) = broker_fault(&crossed).await;
    assert!(
        trouble == Trouble::BrokerTls && text.contains("check the port and the scheme in amqp.url"),
        "{text}"
    );
    // A Redis without TLS waits for the rest of what it takes for a command.
    let (trouble, text) = store_fault(&crossed).await;
    assert!(
        trouble == Trouble::StoreDown && text.contains("does it speak TLS? rediss:// needs it"),
        "{text}"
    );
}

const TOKEN: &str = "0123456789abcdef0123456789abcdef";

/// A world whose receiver and admin listener speak HTTPS, and their ports.
async fn https(pki: &Pki) -> (World, u16, u16) {
    let [receiver, admin] = [free_port(), free_port()];
    std::fs::write(pki.dir.path().join("token"), format!("{TOKEN}\n")).unwrap();
    let (keys, token) = (pki.identity("server"), pki.path("token"));
    let world = World::new().await;
    let toml = world.toml.replace(
        "[receiver]\nlisten = \"127.0.0.1:0\"\n",
        &format!("[receiver]\nlisten = \"127.0.0.1:{receiver}\"\n{keys}"),
    );
    let toml = toml.replace(
        "[admin]\nlisten = \"127.0.0.1:0\"\n",
        &format!("[admin]\nlisten = \"127.0.0.1:{admin}\"\n{keys}token_file = \"{token}\"\n"),
    );
    (World::of_toml(toml), receiver, admin)
}

/// Gets a page over TLS with these headers. Returns all of the answer.
async fn get_with(pki: &Pki, port: u16, path: &str, headers: &str) -> String {
    let config = tls::client(Trust::Authorities(&pki.trust()), None);
    let socket = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    let name = "localhost".try_into().unwrap();
    let mut stream = TlsConnector::from(Arc::new(config)).connect(name, socket).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n{headers}\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_listeners_speak_https_and_the_metrics_ask_for_the_token() {
    let pki = Pki::new();
    let (world, receiver, admin) = https(&pki).await;
    let program = Program::of(&world);
    let running = program.start("all");
    // Without a URL a command accepts the certificate that the configuration names, and no other.
    until("it is ready", async || program.run("health").await.code == Some(0)).await;
    program.ok("health --live").await;
    let Said { out, .. } = program.ok("send-samples --provider salpre").await;
    assert!(out.contains(" 200") && out.contains(" 0 not"), "{out}");
    let posted = world.drain("events.all", 1).await;
    assert!(!posted.is_empty());

    for (ca, port, fine) in
        [("ca", admin, true), ("ca", receiver, true), ("other-ca", admin, false), ("", receiver, false)]
    {
        let trusting = if ca.is_empty() {
            String::new()
        } else {
            format!("--ca-file {}", pki.path(&format!("{ca}.crt")))
        };
        let said = program.run(&format!("health --url https://localhost:{port}/livez {trusting}")).await;
        assert_eq!(said.code == Some(0), fine, "{ca}: {said:?}");
        assert!(fine || said.err.contains("UnknownIssuer") && said.err.contains("--ca-file"), "{said:?}");
    }
    let said = program.run(&format!("health --url http://127.0.0.1:{admin}/livez")).await;
    assert!(said.code != Some(0), "{said:?}");

    for (path, headers, status) in [
        ("/livez", String::new(), "200"),
        ("/readyz", String::new(), "200"),
        ("/schemas/asyncapi.json", String::new(), "200"),
        ("/metrics", String::new(), "401"),
        ("/metrics", format!("authorization: Bearer {}\r\n", TOKEN.replace('f', "e")), "401"),
        ("/metrics", format!("authorization: Bearer {TOKEN}\r\n"), "200"),
    ] {
        let answer = get_with(&pki, admin, path, &headers).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{path} {headers}: {answer}");
        for key in ["receiver", "admin"] {
            // 2000 years and more after 1970.
            let line = format!("{{certificate=\"{key}.tls_certificate_file\"}} 67");
            assert!(path != "/metrics" || status == "401" || answer.contains(&line), "{answer}");
        }
    }
    running.signal("TERM");
    let said = running.end().await;
    assert_eq!(said.code, Some(0), "{said:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_does_not_finish_a_handshake_is_cut_and_holds_up_nobody() {
    let pki = Pki::new();
    let (world, ..) = https(&pki).await;
    // Two slots: the silent clients take both.
    let world = world.changed("[receiver]\n", "[receiver]\nconnections_max = 2\n").await;
    let receiver = world.receiver().await;
    receiver.ready().await;
    let address = world.config.receiver.listen;
    let silent = [(); 2].map(|()| TcpStream::connect(address));
    let mut silent = futures_util::future::try_join_all(silent).await.unwrap();
    silent[0].write_all(b"\x16\x03\x01").await.unwrap();
    let client = Client::with_tls(PATIENCE, tls::client(Trust::Authorities(&pki.trust()), None));
    let url = format!("https://{address}/in/salpre");
    assert_eq!(client.post(&url, &[], call(1).into()).await.unwrap().status, 200);
    let refused = |refusal: &str| {
        receiver.metric(&format!("hookswitch_refused_total{{source=\"(unknown)\",refusal=\"{refusal}\""))
    };
    for client in &mut silent {
        assert!(matches!(client.read(&mut [0; 1]).await, Ok(0) | Err(_)));
    }
    until("both are counted", async || refused("slow_tls_handshake") == 2.0).await;
    let mut plain = TcpStream::connect(address).await.unwrap();
    plain.write_all(b"GET /livez HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    until("it is counted", async || refused("tls_handshake") == 1.0).await;
    receiver.finish().await;
}

/// Returns an identity that `pki` issues.
fn identity(pki: &Pki) -> Identity {
    pki.serve(&pki.authority.issue(&NAMES));
    let world = World::of_toml(format!("[receiver]\n{}", pki.identity("server")));
    let Receiver { tls_identity, .. } = world.config.receiver;
    tls_identity.unwrap()
}

#[tokio::test]
async fn a_listener_presents_the_newest_certificate() {
    let pki = Pki::new();
    let [old, new] = [identity(&pki), identity(&pki)];
    let presented = Presented::new(&old);
    let limits = Limits {
        connections_max: 10,
        read_timeout: PATIENCE,
        idle_timeout: PATIENCE,
        write_timeout: PATIENCE,
        connection_age_max: PATIENCE,
        drain_max: Duration::from_secs(1),
    };
    let (router, limits) = (Router::new().route("/", get(async || "yes")), watch::Sender::new(limits));
    let server = Server::new(router, limits.subscribe()).with_tls(Some(&presented));
    let listener = http::bind(([127, 0, 0, 1], 0).into()).await.unwrap();
    let url = format!("https://{}/", listener.local_addr().unwrap());
    let serving = tokio::spawn(server.serve(listener, std::future::pending()));
    let [of_old, of_new] =
        [&old, &new].map(|identity| Client::with_tls(PATIENCE, tls::client(Trust::Exactly(identity), None)));
    assert!(of_old.get(&url).await.is_ok() && of_new.get(&url).await.is_err());
    presented.replace(&new);
    assert!(of_new.get(&url).await.is_ok());
    // The open connection stays, and a new one is refused.
    assert!(of_old.get(&url).await.is_ok());
    let of_old = Client::with_tls(PATIENCE, tls::client(Trust::Exactly(&old), None));
    assert!(of_old.get(&url).await.is_err());
    serving.abort();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_servers_that_sentinels_and_a_redis_cluster_name_are_reached_with_the_same_certificates() {
    let (pki, one, clustered) = (Pki::new(), free_port(), free_port());
    let bus = free_port().to_string();
    let (pki, _redis, sentinel, cluster) = tokio::task::spawn_blocking(move || {
        let redis = pki.redis(one);
        let options = ["--cluster-enabled", "yes", "--cluster-port", &bus, "--tls-cluster", "yes"];
        let cluster = pki.redis_with(clustered, &options);
        (pki, redis, Sentinel::of(one), cluster)
    })
    .await
    .unwrap();
    let mut node = redis_cluster::connect(&cluster).await;
    redis_cluster::ask::<()>(&mut node, "CLUSTER ADDSLOTSRANGE 0 16383").await;
    let world = |url: &str, more: String| {
        let world = World::configured("amqp://127.0.0.1", url, "");
        let keys = pki.keys("ca", "client");
        World::of_toml(world.toml.replacen("[redis]\n", &format!("[redis]\n{keys}{more}\n"), 1))
    };
    let watched = world("rediss://mymaster/0", format!("sentinels = [\"{}\"]", sentinel.url()));
    let clustered = world(&format!("rediss://127.0.0.1:{clustered}"), "cluster = true".to_owned());
    for world in [watched, clustered] {
        // It has tried every command in every bucket.
        world.store().await;
    }
}
