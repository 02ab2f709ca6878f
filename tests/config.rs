//! The configuration: defaults, overrides, documents, and every mistake reported at once.
//!
//! `HOOKSWITCH_BLESS=1 cargo test --test config` rewrites the documents that are made of the declarations of
//! keys.
#![allow(clippy::unwrap_used, clippy::expect_used, unreachable_pub, reason = "a test fails by panicking")]

#[path = "support/certificates.rs"]
mod certificates;

use std::{
    collections::BTreeMap,
    fs,
    io::{Read as _, Write as _},
    path::Path,
    process::Command,
    sync::LazyLock,
    time::Duration,
};

use certificates::Authority;
use hookswitch::{
    config::{self, Config},
    core::{auth::Auth, providers::Provider, shard::ShardBy},
};
use jiff::Timestamp;
use toml::{Table, Value};

type Env = BTreeMap<String, String>;

fn env<const N: usize>(pairs: [(&str, &str); N]) -> Env {
    pairs.into_iter().map(|(k, v)| (k.to_owned(), v.to_owned())).collect()
}

fn parse(text: &str, env: &Env) -> Result<Config, String> {
    Config::parse(text, Path::new("test.toml"), env).map_err(|problems| problems.to_string())
}

/// The problems of a configuration, which must have some.
fn problems(text: &str, env: &Env) -> String {
    parse(text, env).expect_err("a configuration with a mistake must be refused")
}

fn assert_problem(text: &str, expected: &[&str]) {
    let found = problems(text, &Env::new());
    for part in expected {
        assert!(found.contains(part), "{text}\nlacks: {part}\nfound: {found}");
    }
}

/// The example with every setting uncommented that can be set beside the others, those without a space, and
/// that names no file.
static EXAMPLE_ENABLED: LazyLock<Table> = LazyLock::new(|| {
    let enable = |line: &str| {
        let setting =
            line.strip_prefix('#').filter(|l| l.starts_with(|c: char| c.is_ascii_lowercase() || c == '['));
        setting.filter(|setting| !setting.contains("_file = ")).unwrap_or(line).to_owned()
    };
    let enabled = config::example().lines().map(enable).collect::<Vec<_>>().join("\n");
    // Of what a subscription can be, the example shows one.
    let more = "[subscriptions.history]\npatterns = ['#']\nkind = 'stream'\nretention = '7d'\n\
                [subscriptions.either]\npatterns = ['#']\nbytes_max = '10GiB'\n";
    format!("{enabled}\n{more}").parse().unwrap()
});

/// The variables that the example's sources name.
fn example_env() -> Env {
    let env = ["VARDA_EU_SECRET", "VARDA_EU_SECRET_NEXT", "SALPRE_TOKEN", "WAVIX_PASSWORD", "MORPH_KEY"];
    env.iter().map(|name| ((*name).to_owned(), "aHVudGVyMg==".to_owned())).collect()
}

/// Compares a document with what is generated, or rewrites it.
fn assert_generated(path: &str, generated: &str) {
    if std::env::var_os("HOOKSWITCH_BLESS").is_some() {
        fs::write(path, generated).unwrap();
    }
    let shipped = fs::read_to_string(path).unwrap();
    assert!(
        shipped == generated,
        "{path} is out of date: HOOKSWITCH_BLESS=1 cargo test --test config rewrites it"
    );
    for line in generated.lines() {
        assert!(line.chars().count() <= 110, "too long: {line}");
    }
}

#[test]
fn the_shipped_example_and_the_reference_are_generated() {
    assert_generated("deploy/hookswitch.example.toml", &config::example());
    assert_generated("docs/configuration.md", &config::reference());
}

#[test]
fn config_example_prints_the_example_whatever_is_configured() {
    let program = env!("CARGO_BIN_EXE_hookswitch");
    let run = Command::new(program).args(["--config", "/not/there", "config", "example"]).output().unwrap();
    assert!(run.status.success());
    assert_eq!(String::from_utf8(run.stdout).unwrap(), config::example());
}

#[test]
fn the_example_says_the_defaults() {
    let example = parse(&config::example(), &Env::new()).unwrap();
    let defaults = Config::load(None, &Env::new()).unwrap();
    assert_eq!(example.to_string(), defaults.to_string());
    assert_eq!(format!("{example:?}"), format!("{defaults:?}"));
}

#[test]
fn the_example_loads_with_everything_in_it_set() {
    let config = parse(&EXAMPLE_ENABLED.to_string(), &example_env()).unwrap();
    assert_eq!(config.sources.len(), 4);
    assert_eq!(config.subscriptions["crm.calls"].length_max, Some(1_000_000));
    assert!(!config.to_string().contains("aHVudGVyMg") && !format!("{config:?}").contains("aHVudGVyMg"));
}

#[test]
fn the_documents_name_every_key() {
    let (example, reference) = (config::example(), config::reference());
    let keys = config::keys();
    assert!(keys.len() > 60, "{keys:?}");
    for key in keys {
        let (_, name) = key.rsplit_once('.').unwrap();
        let shown = |line: &str| line.trim_start_matches(['#', ' ']).starts_with(&format!("{name} = "));
        assert!(example.lines().any(shown), "the example lacks {key}");
        assert!(reference.contains(&format!("\n### `{key}`\n")), "the reference lacks {key}");
    }
}

/// The tables of `config` that `key` belongs to, with their paths: a source's key belongs to every source.
fn tables_of<'c>(config: &'c mut Table, key: &str) -> Vec<(String, &'c mut Table)> {
    let (path, _) = key.rsplit_once('.').unwrap();
    let mut tables = vec![(String::new(), config)];
    for part in path.split('.') {
        let below = |(path, table): (String, &'c mut Table)| {
            let named = part.starts_with('<');
            if !named {
                table.entry(part).or_insert(Value::Table(Table::new()));
            }
            let tables = table.iter_mut().filter(move |(name, _)| named || *name == part);
            let tables = tables.map(move |(name, value)| {
                let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                (path, value.as_table_mut().unwrap())
            });
            tables.collect::<Vec<_>>()
        };
        tables = tables.into_iter().flat_map(below).collect();
    }
    tables
}

/// Keys that are ways to set the same value, and the name under which it is shown.
const ALTERNATIVES: [(&str, &[&str]); 6] = [
    ("urls", &["url", "urls", "url_file"]),
    ("sentinels", &["sentinels", "sentinels_file"]),
    ("secret", &["secret_env", "secret_file", "secret"]),
    ("second_secret", &["second_secret_env", "second_secret_file", "second_secret"]),
    ("redaction_key", &["redaction_key", "redaction_key_file"]),
    ("token", &["token", "token_file"]),
];

/// A folder with a CA, and two certificates with their keys.
static CERTIFICATES: LazyLock<tempfile::TempDir> = LazyLock::new(|| {
    let (dir, authority) = (tempfile::tempdir().unwrap(), Authority::new("the CA"));
    fs::write(dir.path().join("ca.crt"), authority.pem()).unwrap();
    ["one", "two"].iter().for_each(|name| authority.issue(&["localhost"]).write(dir.path(), name));
    dir
});

fn certificate(name: &str) -> String {
    CERTIFICATES.path().join(name).display().to_string()
}

/// Keys without which `key` cannot be set, with their values.
fn needed_by(key: &str) -> Vec<(&'static str, String)> {
    let Some((section, name)) = key.split_once(".tls_") else { return Vec::new() };
    let mut needed = match section {
        "amqp" => vec![("url", "amqps://h".to_owned())],
        "redis" => vec![("url", "rediss://h".to_owned())],
        _ => Vec::new(),
    };
    match name {
        "certificate_file" => needed.push(("tls_key_file", certificate("one.key"))),
        "key_file" => needed.push(("tls_certificate_file", certificate("one.crt"))),
        _ => {}
    }
    needed
}

const REDACTION_KEY: &str = "0123456789abcdef0123456789abcdef";

/// The example with `key` set to `value`, once per table that the key belongs to, with the table's path.
fn with(key: &str, value: &Value) -> Vec<(String, Table)> {
    let (_, name) = key.rsplit_once('.').unwrap();
    let count = tables_of(&mut EXAMPLE_ENABLED.clone(), key).len();
    let change = |n| {
        let mut config = EXAMPLE_ENABLED.clone();
        let (path, table) = tables_of(&mut config, key).swap_remove(n);
        let others = ALTERNATIVES.iter().filter(|(_, keys)| keys.contains(&name)).flat_map(|(_, keys)| *keys);
        others.for_each(|other| drop(table.remove(*other)));
        needed_by(key).into_iter().for_each(|(key, value)| drop(table.insert(key.to_owned(), value.into())));
        table.insert(name.to_owned(), value.clone());
        (path, config)
    };
    (0..count).map(change).collect()
}

/// The lines of one table in what is shown.
fn shown_table(shown: &str, path: &str) -> String {
    let mut tables = format!("\n{shown}").split("\n[").map(str::to_owned).collect::<Vec<_>>().into_iter();
    let is_it =
        |table: &String| table.split_once("]\n").is_some_and(|(head, _)| head.replace('"', "") == path);
    tables.find(is_it).unwrap_or_default()
}

#[test]
fn every_key_that_is_changed_is_shown() {
    // Of every kind of value two: one of them is accepted, and is not what the example says already.
    let mut candidates: Vec<Value> = [2, 3, 300].map(Value::from).into();
    candidates.extend([Value::from(true), Value::from(0.5)]);
    let texts = [
        "11s",
        "3m",
        "25s",
        "2d",
        "41KiB",
        "65KiB",
        "65MiB",
        "1GiB",
        "json",
        "sha1",
        "base64",
        "pass_on",
        "apart",
        "outbound",
        "stream",
        "drop_oldest",
        "mask",
        "keep",
        "FR",
        "allo",
        "standard_webhooks",
    ];
    let more = [
        "[::1]:7",
        "amqp://other",
        "redis://other",
        "https://other/schemas",
        "http://other",
        "warn",
        "text/html",
        "/other",
        "VARDA_EU_SECRET",
        REDACTION_KEY,
    ];
    candidates.extend(texts.into_iter().chain(more).map(Value::from));
    let lists = ["redis://other", "amqp://other", "salpre", "7s", "x-other", "other.#", "other=1"];
    candidates.extend(lists.map(|item| Value::from(vec![item])));
    let files = ["redis://other", "amqp://other", REDACTION_KEY].map(|text| {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        writeln!(file, "{text}").unwrap();
        file
    });
    candidates.extend(files.iter().map(|file| Value::from(file.path().to_str().unwrap())));
    candidates.extend(["ca.crt", "one.crt", "one.key"].map(|name| Value::from(certificate(name))));
    let before = parse(&EXAMPLE_ENABLED.to_string(), &example_env()).unwrap().to_string();
    for key in config::keys() {
        let (_, name) = key.rsplit_once('.').unwrap();
        let found = ALTERNATIVES.iter().find(|(_, keys)| keys.contains(&name));
        let line = format!("\n{} = ", found.map_or(name, |(shown, _)| shown));
        let is_shown = |(path, config): (String, Table)| {
            let Ok(config) = parse(&config.to_string(), &example_env()) else { return false };
            let (was, is) = (shown_table(&before, &path), shown_table(&config.to_string(), &path));
            let hidden = ["secret", "redaction_key", "token"].iter().any(|word| line.contains(word));
            is.contains(&line) && (is != was || hidden)
        };
        let shown = candidates.iter().any(|value| with(&key, value).into_iter().any(is_shown));
        assert!(shown, "{key} is not shown, or no candidate of this test is another value for it");
    }
}

#[test]
fn every_declared_key_is_read() {
    for key in config::keys() {
        let (_, name) = key.rsplit_once('.').unwrap();
        let is_read = |(path, config): (String, Table)| {
            let found = problems(&config.to_string(), &example_env());
            let is_it = |line: &str| line.trim_start().starts_with(&format!("{path}.{name} = "));
            found.lines().any(|line| is_it(line) && !line.contains("not to be set"))
        };
        assert!(with(&key, &Value::from(-0.5)).into_iter().any(is_read), "{key} is not read");
        if !key.contains('<') {
            let variable = format!("HOOKSWITCH_{}", key.replace('.', "_").to_uppercase());
            let found = problems("", &env([(&variable, "=")]));
            assert!(found.contains(&format!("{variable} = ")), "{variable} is not read: {found}");
        }
    }
}

#[test]
fn a_key_that_is_not_declared_is_refused_in_every_table() {
    for key in config::keys() {
        let (path, _) = key.rsplit_once('.').unwrap();
        for (path, config) in with(&format!("{path}.undeclared"), &Value::from(1)) {
            let found = problems(&config.to_string(), &example_env());
            assert!(found.contains(&format!("{path}.undeclared = …: expected a known key")), "{found}");
        }
    }
}

#[test]
fn errors_and_documents_name_the_providers_that_there_are() {
    let names: Vec<_> = Provider::ALL.iter().map(|provider| format!("\"{}\"", provider.as_str())).collect();
    let expected = format!("ne of {}", names.join(", "));
    assert_problem("[sources.s]\nprovider = 'x'", &[&expected]);
    assert_problem("[sources.s]", &[&expected, "auth = \"none\" explicitly"]);
    assert!(
        config::example().contains(&expected) && config::reference().replace('`', "").contains(&expected)
    );
}

#[test]
fn the_local_configuration_serves_all_five_providers() {
    let config = Config::load(Some(Path::new("deploy/local/hookswitch.toml")), &Env::new()).unwrap();
    assert_eq!(config.sources.len(), 5);
    assert!(config.sources.values().all(|source| matches!(source.auth, Auth::None)));
    let morph = &config.sources[&"morph".parse().unwrap()];
    assert_eq!(morph.answer_body, r#"{"cards": []}"#);
    assert_eq!(config.subscriptions["events.all"].patterns, ["#"]);
}

#[test]
fn what_is_shipped_authenticates_every_source_and_bounds_every_queue() {
    let secret = tempfile::NamedTempFile::new().unwrap();
    fs::write(secret.path(), "aHVudGVyMg==").unwrap();
    let secret = format!("secret_file = \"{}\"", secret.path().display());
    let kubernetes = ["base", "overlays/dev", "overlays/production"]
        .map(|folder| format!("deploy/kubernetes/{folder}/hookswitch.toml"));
    for file in kubernetes.iter().map(String::as_str).chain(["deploy/docker/hookswitch.toml"]) {
        let here =
            |line: &str| if line.starts_with("secret_file = ") { secret.clone() } else { line.to_owned() };
        let text = fs::read_to_string(file).unwrap().lines().map(here).collect::<Vec<_>>().join("\n");
        let config = parse(&text, &Env::new()).unwrap();
        assert!(!config.sources.is_empty(), "{file}");
        for (name, source) in &config.sources {
            assert!(!matches!(source.auth, Auth::None), "{file}: {name} authenticates nobody");
        }
        for (queue, subscription) in &config.subscriptions {
            assert!(subscription.length_max.is_some(), "{file}: {queue} has no limit");
        }
    }
    let demo = fs::read_to_string("deploy/local/hookswitch.toml").unwrap();
    assert!(demo.starts_with("# A demo") && demo.contains("length_max = "));
}

#[test]
fn what_is_shown_loads_again_as_the_same() {
    let text = "[worker]\nprefetch = 7\nconcurrency = 3\nconcurrency_shared = 2\nsources = ['a']\n\
                [amqp]\nheartbeat = '90s'\n\
                [receiver]\nconcurrency_shared = 5\n\
                [sources.a]\nprovider = 'allo'\nauth = 'none'\nshards = 4\nshard_by = '/a~1b/~0/0'\n\
                [sources.b]\nprovider = 'allo'\nauth = 'none'\nshards = 64\nshard_by = 'header:X-Call-Id'\n\
                [subscriptions.'x.y']\npatterns = ['call.*']\n";
    let shown = parse(text, &Env::new()).unwrap().to_string().replace("[redacted]", "guest");
    let again = parse(&shown, &Env::new()).unwrap().to_string().replace("[redacted]", "guest");
    assert_eq!(shown, again);
    for part in ["shards = 4\nshard_by = \"/a~1b/~0/0\"", "shards = 64\nshard_by = \"header:x-call-id\""] {
        assert!(shown.contains(part), "{part}: {shown}");
    }
}

#[test]
fn every_problem_is_reported_at_once() {
    let text = "
        [amqp]
        heartbeat = 'often'
        [worker]
        prefetch = 0
        prefech = 5
        [log]
        format = 'xml'
        [sources.Bad]
        provider = 'twilio'
        [surces.x]
    ";
    let found = problems(text, &Env::new());
    for part in [
        "amqp.heartbeat = \"often\": expected a duration from \"1s\"",
        "worker.prefetch = 0: expected an integer from 1 to 65535",
        "worker.prefech = …: expected a known key; did you mean worker.prefetch?",
        "log.format = \"xml\": expected one of \"pretty\", \"json\"",
        "sources.Bad = (name): expected another name",
        "sources.Bad.provider = \"twilio\": expected one of \"morph\"",
        "sources.Bad.auth = (missing): expected one of \"none\"",
        "surces = …: expected a known key; did you mean sources?",
    ] {
        assert!(found.contains(part), "lacks: {part}\nfound: {found}");
    }
    assert!(found.starts_with("the configuration has 8 problems:"), "{found}");
}

#[test]
fn a_syntax_error_names_line_and_column_and_quotes_nothing() {
    let found = problems("[amqp]\nurl = \"amqp://u:hunter2@h\" oops\n", &Env::new());
    assert!(found.contains("test.toml: line 2, column"), "{found}");
    assert!(!found.contains("hunter2"), "{found}");
}

#[test]
fn a_file_that_is_not_there_is_a_problem() {
    let found = Config::load(Some(Path::new("/does/not/exist.toml")), &Env::new()).unwrap_err().to_string();
    assert!(found.contains("/does/not/exist.toml: cannot be read"), "{found}");
}

#[test]
fn contradictions_are_found() {
    assert_problem(
        "[dedup]\nlease = '20s'",
        &["dedup.lease = 20s: expected more than twice amqp.confirm_timeout"],
    );
    assert_problem(
        "[worker]\nconcurrency = 3000",
        &["worker.concurrency = 3000: expected at most worker.prefetch"],
    );
    assert_problem("[admin]\nlisten = '127.0.0.1:8080'", &["admin.listen", "receiver.listen"]);
    assert_problem("[worker]\nsources = ['a']", &["worker.sources = a: expected a configured source"]);
    assert_problem(
        "[amqp]\nurl = 'amqp://h'\nurls = ['amqp://h']",
        &["amqp.urls = [redacted]: expected not to"],
    );
    assert_problem("[retry]\ntiers = ['5s', '5000ms']", &["retry.tiers", "different durations"]);
    assert_problem("[retry]\ntiers = []", &["retry.tiers = []"]);
    let tests =
        "[events]\ntest_routing = 'apart'\n[subscriptions.s]\ntest = true\npatterns = ['call.#', 'x.test']";
    assert_problem(
        tests,
        &["subscriptions.s.patterns = [\"call.#\", \"x.test\"]: expected a pattern that begins with test"],
    );
    for right in ["'#'", "'*.call.#'", "'test.call.#', 'call.#'"] {
        let found = parse(&tests.replace("'call.#', 'x.test'", right), &Env::new()).err().unwrap_or_default();
        assert!(!found.contains("subscriptions.s"), "{found}");
    }
}

#[test]
fn what_does_not_fit_sentinels_or_a_redis_cluster_is_named() {
    let cluster = |more: &str| format!("[redis]\ncluster = true\n{more}");
    for (text, key, expected) in [
        (cluster("sentinels = ['redis://s']"), "redis.sentinels", "a Redis Cluster fails over by itself"),
        (cluster("namespace = '{a}'"), "redis.namespace", "no braces"),
        (cluster("url = 'redis://u:p@h:1/2'"), "redis://u:[redacted]@h:1/2", "database 0"),
        (
            "[redis]\nurls = ['redis://a', 'redis://b']\nsentinels = ['redis://s']".to_owned(),
            "redis.url = 2 addresses",
            "its host is the name of the master",
        ),
        ("[redis]\nsentinels = ['redis://:p@s/1']".to_owned(), "redis://:[redacted]@s/1", "no path"),
        (
            "[redis]\nsentinels = ['http://s']".to_owned(),
            "redis.sentinels",
            "redis://user:password@host:port,",
        ),
    ] {
        assert_problem(&text, &[key, expected]);
    }
    let text = "[redis]\nurl = 'redis://:p@Main/3'\nsentinels = ['redis://:q@s', 'rediss://t:7']";
    let config = parse(text, &Env::new()).unwrap();
    let sentinels: Vec<_> = config.redis.sentinels.iter().map(|url| url.reveal()).collect();
    assert_eq!(sentinels, ["redis://:q@s:26379", "rediss://t:7"]);
    assert!(config.to_string().contains("sentinels = [\"redis://:[redacted]@s:26379\", \"rediss://t:7\"]"));
    let nodes = "[redis]\nurls = ['redis://a/0', 'redis://b/', 'redis://c']\ncluster = true";
    assert!(parse(nodes, &Env::new()).unwrap().redis.cluster);
}

#[test]
fn what_is_wrong_with_files_of_tls_is_named_with_what_to_do() {
    let file = |name: &str| certificate(name);
    let keys = |section: &str, keys: [(&str, String); 2]| {
        let lines = keys.map(|(key, path)| if path.is_empty() { path } else { format!("{key} = '{path}'") });
        format!("[{section}]\n{}", lines.join("\n"))
    };
    let identity = |certificate: String, key: String| {
        keys("receiver", [("tls_certificate_file", certificate), ("tls_key_file", key)])
    };
    let empty = certificate("empty");
    fs::write(&empty, "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n").unwrap();
    for (text, expected) in [
        (identity(file("one.crt"), String::new()), "receiver.tls_key_file = (missing): expected the path"),
        (identity(String::new(), file("one.key")), "receiver.tls_certificate_file = (missing)"),
        (
            identity(file("one.crt"), file("two.key")),
            "expected the key of the certificate in receiver.tls_cert",
        ),
        (
            identity(file("one.key"), file("one.key")),
            "PEM, followed by those of the CAs between it and the root: it",
        ),
        (identity(file("one.crt"), file("one.crt")), "a private key in PEM, not encrypted: it has none"),
        (identity(empty, file("one.key")), "receiver.tls_certificate_file = "),
        (identity(file("none"), file("one.key")), "expected a file that can be read: No such file"),
        (
            keys("amqp", [("url", "amqps://h".to_owned()), ("tls_ca_file", file("one.key"))]),
            "amqp.tls_ca_file = ",
        ),
        (
            keys("amqp", [("url", "amqp://h".to_owned()), ("tls_ca_file", file("ca.crt"))]),
            "expected amqps:// in every address of amqp.url",
        ),
        (
            format!(
                "{}\ntls_key_file = '{}'",
                keys("redis", [("url", String::new()), ("tls_certificate_file", file("one.crt"))]),
                file("one.key")
            ),
            "expected rediss:// in every address of redis.url",
        ),
    ] {
        assert_problem(&text, &[expected]);
        let found = problems(&text, &Env::new());
        assert!(found.starts_with("the configuration has a problem:"), "{found}");
    }
    let config = parse(&identity(file("one.crt"), file("one.key")), &Env::new()).unwrap();
    let key = fs::read_to_string(file("one.key")).unwrap();
    let line = key.lines().nth(1).unwrap();
    assert!(!config.to_string().contains(line) && !format!("{config:?}").contains(line));
    let expiries = config.certificates();
    assert!(
        matches!(expiries.as_slice(), [("receiver.tls_certificate_file", 67_090_000_000..)]),
        "{expiries:?}"
    );
}

#[test]
fn a_redaction_profile_that_cannot_be_kept_is_refused() {
    let subscription = |keys: &str| format!("[subscriptions.s]\npatterns = ['call.#']\n{keys}");
    assert_problem(
        &subscription("redact_names = 'keep'"),
        &[
            "subscriptions.s.redact = (missing): expected \"mask\", \"hash\" or \"drop\"",
            "redact_names has no effect",
        ],
    );
    for hashing in ["redact = 'hash'", "redact = 'mask'\nredact_emails = 'hash'"] {
        let missing = ["events.redaction_key = (missing): expected a secret of 32", "openssl rand -hex 32"];
        assert_problem(&subscription(hashing), &missing);
        let env = env([("HOOKSWITCH_EVENTS_REDACTION_KEY", REDACTION_KEY)]);
        assert!(parse(&subscription(hashing), &env).is_ok());
    }
    for (key, part) in
        [("short", "redaction_key = [redacted]"), (" of more than 32 characters, with a blank", "[redacted]")]
    {
        let text = format!("[events]\nredaction_key = '{key}'\n{}", subscription("redact = 'hash'"));
        assert_problem(&text, &[part]);
        assert!(!problems(&text, &Env::new()).contains(key));
    }
    assert_problem(&subscription("redact = 'keep'"), &["subscriptions.s.redact = \"keep\": expected one of"]);
    assert_problem(&subscription("redact = 'drop'\nredact_texts = 'mask'"), &["s.redact_texts = \"mask\""]);
}

#[test]
fn a_value_of_the_wrong_type_is_a_problem() {
    for (text, key) in [
        ("[worker]\nprefetch = '5'", "worker.prefetch = \"5\""),
        ("[worker]\ngrace = 30", "worker.grace = 30"),
        ("worker = 5", "worker = …: expected a table"),
        ("[receiver]\nlisten = ':8080'", "receiver.listen"),
        ("[receiver]\nheader_bytes_max = '1MB'", "receiver.header_bytes_max"),
        ("[log]\nfilter = 'a=b=c'", "log.filter"),
    ] {
        assert_problem(text, &[key]);
    }
}

#[test]
fn a_subscription_may_not_take_a_queue_of_ours() {
    for queue in ["raw.x", "dead.x", "retry.5s", "events.unrouted", "amq.gen", "a b"] {
        let text = format!("[subscriptions.'{queue}']\npatterns = ['#']");
        assert_problem(&text, &[&format!("subscriptions.{queue} = (name): expected a queue name")]);
    }
    for pattern in ["call*", "a..b", "", "#x"] {
        let text = format!("[subscriptions.x]\npatterns = ['{pattern}']");
        assert_problem(&text, &["subscriptions.x.patterns"]);
    }
    assert_problem("[subscriptions.x]", &["subscriptions.x.patterns = (missing)"]);
    for (keys, problem) in [
        ("test = 'no'", "test = \"no\": expected `true` or `false`"),
        ("direction = 'up'", "direction = \"up\": expected one of \"inbound\", \"outbound\""),
        ("tenant = ''", "tenant = \"\": expected a string that is not empty"),
        ("retention = '7d'", "retention = 7d: expected not to be set for a queue"),
        (
            "overflow = 'drop_oldest'",
            "overflow = \"drop_oldest\": expected length_max or bytes_max beside it",
        ),
        ("kind = 'stream'", "retention = (missing): expected a duration"),
        ("kind = 'stream'\nretention = '7d'\nlength_max = 5", "length_max = 5: expected not to be set"),
        (
            "kind = 'stream'\nretention = '7d'\noverflow = 'drop_oldest'",
            "overflow = \"drop_oldest\": expected not to be set for a stream",
        ),
    ] {
        let text = format!("[subscriptions.x]\npatterns = ['#']\n{keys}");
        assert_problem(&text, &[&format!("subscriptions.x.{problem}")]);
    }
    assert_problem(
        "[subscriptions.x]\npatterns = ['#']\nlength_max = 0",
        &["subscriptions.x.length_max = 0"],
    );
}

#[test]
fn the_environment_overrides_the_file() {
    let text =
        "[amqp]\nurls = ['amqp://a']\n[worker]\nprefetch = 5\nconcurrency = 5\n[log]\nformat = 'pretty'";
    let env = env([
        ("HOOKSWITCH_AMQP_URL", "amqp://u:p@one, amqps://two/%2f"),
        ("HOOKSWITCH_REDIS_URL", ""),
        ("HOOKSWITCH_RECEIVER_LISTEN", "0.0.0.0:80"),
        ("HOOKSWITCH_ADMIN_LISTEN", "[::]:81"),
        ("HOOKSWITCH_WORKER_PREFETCH", "9"),
        ("HOOKSWITCH_LOG_FORMAT", "json"),
        ("HOOKSWITCH_RETRY_TIERS", "1s,2s"),
        ("HOOKSWITCH_RECEIVER_HEADER_BYTES_MAX", "100"),
    ]);
    let config = parse(text, &env).unwrap();
    let urls: Vec<_> = config.amqp.urls.iter().map(|url| url.reveal()).collect();
    assert_eq!(urls, ["amqp://u:p@one", "amqps://two/%2f"]);
    assert_eq!(config.worker.prefetch, 9);
    assert_eq!(config.receiver.header_bytes_max, 100);
    assert_eq!(config.retry.tiers, [1, 2].map(Duration::from_secs));
    let shown = config.to_string();
    for part in ["amqp://u:[redacted]@one", "format = \"json\"", "0.0.0.0:80", "[::]:81", "127.0.0.1:6379"] {
        assert!(shown.contains(part), "{part}: {shown}");
    }
}

#[test]
fn a_mistake_in_the_environment_names_the_variable() {
    let env = env([
        ("HOOKSWITCH_WORKER_PREFETCH", "many"),
        ("HOOKSWITCH_WORKER_PREFECTH", "5"),
        ("HOOKSWITCH_RECEIVER_PORT", "tcp://10.0.0.1:8080"),
    ]);
    let found = problems("", &env);
    assert!(found.contains("HOOKSWITCH_WORKER_PREFETCH = many: expected an integer"), "{found}");
    assert!(found.contains("did you mean HOOKSWITCH_WORKER_PREFETCH?"), "{found}");
    assert!(!found.contains("HOOKSWITCH_RECEIVER_PORT"), "Kubernetes sets that one: {found}");
}

#[test]
fn variables_that_override_nothing_are_refused() {
    for (name, expected) in [
        ("HOOKSWITCH_SOURCES_VARDA_EU_PROVIDER", "sources and subscriptions are configured in the file"),
        ("HOOKSWITCH_SOURCE_VARDA_SECRET", "sources and subscriptions are configured in the file"),
        ("HOOKSWITCH_SUBSCRIPTIONS_ALL", "sources and subscriptions are configured in the file"),
        ("HOOKSWITCH_WORKER_THREADS", "lists the keys of [worker]"),
        ("HOOKSWITCH_AMQP_ADDRESS", "lists the keys of [amqp]"),
        ("HOOKSWITCH_ADMIN_PORT", "lists the keys of [admin]"),
    ] {
        let found = problems("", &env([(name, "hunter2")]));
        assert!(found.contains(&format!("{name} = …: expected a known variable")), "{found}");
        assert!(found.contains(expected) && !found.contains("hunter2"), "{found}");
    }
    let fine = env([
        ("HOOKSWITCH_ACTOR", "ann"),
        ("HOOKSWITCH_WORKER_PORT", "tcp://10.0.0.1:9464"),
        ("HOOKSWITCH_WORKER_PORT_9464_TCP_ADDR", "10.0.0.1"),
        ("HOOKSWITCH_RECEIVER_SERVICE_HOST", "10.0.0.1"),
        ("HOOKSWITCH_RECEIVER_SERVICE_PORT_HTTP", "80"),
        ("HOOKSWITCH_SOURCES_SALPRE_TOKEN", "hunter2"),
    ]);
    let text = source(
        "auth = 'header_token'\nauth_header = 'x-token'\nsecret_env = 'HOOKSWITCH_SOURCES_SALPRE_TOKEN'",
    );
    parse(&text, &fine).unwrap();
}

#[test]
fn without_a_source_nothing_is_started_and_the_reason_is_said() {
    let dir = tempfile::tempdir().unwrap();
    let run = |arguments: &[&str]| {
        let program = env!("CARGO_BIN_EXE_hookswitch");
        let mut command = Command::new(program);
        command.args(arguments).current_dir(&dir).env_remove("HOOKSWITCH_CONFIG");
        let output = command.output().unwrap();
        (output.status.code().unwrap(), String::from_utf8(output.stderr).unwrap())
    };
    fs::write(dir.path().join("empty.toml"), "").unwrap();
    for role in ["receiver", "worker", "all"] {
        let (code, text) = run(&[role]);
        assert!(code == 64 && text.contains("there is no ./hookswitch.toml"), "{code}: {text}");
        let (code, text) = run(&[role, "--config", "empty.toml"]);
        assert!(code == 64 && text.contains("empty.toml has no [sources.<name>] section"), "{code}: {text}");
    }
}

#[test]
fn health_asks_the_listener_that_is_configured() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let answering = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut request = [0; 12];
        stream.read_exact(&mut request).unwrap();
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok").unwrap();
        // The rest of the request is read, so that closing does not reset the connection.
        drop(stream.read(&mut [0; 1_000]));
        request
    });
    let program = env!("CARGO_BIN_EXE_hookswitch");
    let output = Command::new(program)
        .arg("health")
        .env("HOOKSWITCH_ADMIN_LISTEN", format!("0.0.0.0:{port}"))
        .current_dir(std::env::temp_dir())
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    assert_eq!(answering.join().unwrap(), *b"GET /readyz ");
}

#[test]
fn a_filter_that_would_silence_the_log_by_mistake_is_refused() {
    for wrong in ["inof", "", "lapin=debug", "hookswich=debug", "info,hookswitch=inof", "info,reqwest=off"] {
        let found = problems(&format!("[log]\nfilter = '{wrong}'"), &Env::new());
        assert!(found.contains("log.filter") && found.contains("expected a level"), "{wrong}: {found}");
    }
    for right in
        ["info", "WARN", "off", "info,hookswitch::app=debug", "hookswitch", "warn,lapin=trace,redis=off"]
    {
        parse(&format!("[log]\nfilter = '{right}'"), &Env::new()).expect(right);
    }
}

#[test]
fn addresses_come_out_of_files() {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    writeln!(file, "amqp://u:p@h:1/%2f").unwrap();
    let path = file.path().to_str().unwrap();
    let config = parse("", &env([("HOOKSWITCH_AMQP_URL_FILE", path)])).unwrap();
    assert_eq!(config.amqp.urls[0].reveal(), "amqp://u:p@h:1/%2f");
    let found = problems("[redis]\nurl_file = '/not/there'", &Env::new());
    assert!(found.contains("redis.url_file = \"/not/there\": expected a file that can be read"), "{found}");
}

#[test]
fn a_redis_may_have_several_addresses() {
    let listed = parse("[redis]\nurls = ['redis://one/0', 'rediss://:p@two/0']", &Env::new()).unwrap();
    let env = env([("HOOKSWITCH_REDIS_URL", "redis://one/0, rediss://:p@two/0")]);
    for config in [listed, parse("", &env).unwrap()] {
        let urls: Vec<_> = config.redis.urls.iter().map(|url| url.reveal()).collect();
        assert_eq!(urls, ["redis://one/0", "rediss://:p@two/0"]);
        assert!(config.to_string().contains("\"rediss://:[redacted]@two/0\""), "{config}");
    }
}

#[test]
fn a_wrong_address_does_not_show_its_password() {
    for url in
        ["http://u:hunter2@h", "guest:hunter2@h:5672", "amqp://u:hunter2/x@h", "hunter2", "amqp:hunter2"]
    {
        let found = problems(&format!("[amqp]\nurl = '{url}'"), &Env::new());
        assert!(found.contains("amqp.url = ") && !found.contains("hunter2"), "{found}");
    }
}

fn source(lines: &str) -> String {
    format!("[sources.s]\nprovider = 'varda'\n{lines}")
}

#[test]
fn secrets_come_from_environment_file_or_for_trials_the_text() {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    writeln!(file, "from-file").unwrap();
    let env = env([("VARDA", "from-env")]);
    let path = file.path().display();
    let text = source(&format!("auth = 'varda'\nsecret_env = 'VARDA'\nsecond_secret_file = '{path}'"));
    let config = parse(&text, &env).unwrap();
    let Auth::Varda { secrets, tolerance } = &config.sources[&"s".parse().unwrap()].auth else {
        panic!("not Varda's scheme");
    };
    assert_eq!((secrets.count(), *tolerance), (2, Duration::from_secs(300)));
    assert!(parse(&source("auth = 'varda'\nsecret = 'x'"), &env).is_ok());
}

/// Reads a source whose secret comes from `key = value`, while the variable `SECRET` is `variable`.
fn with_secret(auth: &str, key: &str, value: &str, variable: &str) -> Result<Config, String> {
    let text =
        source(&format!("auth = '{auth}'\nauth_header = 'x-sig'\n{key} = {}", toml::Value::from(value)));
    let text = if auth == "varda" { text.replace("auth_header = 'x-sig'", "") } else { text };
    parse(&text, &env([("SECRET", variable)]))
}

#[test]
fn a_secret_has_one_line_and_no_blanks_around_it() {
    let code = "f7bc83f430538424b13298e6aa6fb143ef4d59a14946175997479dbc2d1a3cd8";
    let accepts = |config: &Config| {
        let header = |_: &str| std::iter::once(code.as_bytes());
        let auth = &config.sources[&"s".parse().unwrap()].auth;
        let body = b"The quick brown fox jumps over the lazy dog";
        auth.check_headers(header).unwrap().check_body(body, Timestamp::UNIX_EPOCH).is_ok()
    };
    for written in ["key", "key\n", "key\r\n", " key\t", "\u{feff}key", "\u{feff} key \n\n", "\nkey"] {
        let config = with_secret("hmac", "secret_env", "SECRET", written).unwrap();
        assert!(accepts(&config), "{written:?}");
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(written.as_bytes()).unwrap();
        let path = file.path().display().to_string();
        assert!(accepts(&with_secret("hmac", "secret_file", &path, "").unwrap()), "{written:?}");
        // In quotes white space is written on purpose, and cannot be right.
        assert_eq!(with_secret("hmac", "secret", written, "").is_ok(), written == "key", "{written:?}");
    }
    for written in [" ", "\n", "\t\r\n", "\u{feff}", "\u{a0}", "one\ntwo", "one\r\ntwo\n", "a\0b"] {
        for auth in ["hmac", "header_token", "varda"] {
            let error = with_secret(auth, "secret_env", "SECRET", written).unwrap_err();
            assert!(error.contains("in one line"), "{error}");
            assert!(with_secret(auth, "secret", written, "").is_err(), "{auth} {written:?}");
        }
    }
}

#[test]
fn the_memory_of_a_receiver_holds_two_of_the_largest_bodies_twice() {
    let text = "[receiver]\nmemory_max = '4MiB'\n[sources.s]\nprovider = 'varda'\nauth = 'none'\n";
    assert!(parse(text, &env([])).is_ok());
    let found = problems(&format!("{text}body_bytes_max = '1025KiB'"), &env([]));
    assert!(found.contains("receiver.memory_max = 4MiB: expected at least four times"), "{found}");
}

#[test]
fn a_secret_that_is_not_there_or_empty_is_a_problem_and_never_shown() {
    let env = env([("EMPTY", "")]);
    for (lines, expected) in [
        ("auth = 'varda'", "sources.s.secret_env = (missing)"),
        (
            "auth = 'varda'\nsecret_env = 'NOT_SET'",
            "secret_env = \"NOT_SET\": expected the name of an environment",
        ),
        (
            "auth = 'varda'\nsecret_env = 'EMPTY'",
            "secret_env = [redacted]: expected a secret that is not empty",
        ),
        (
            "auth = 'varda'\nsecret = ''\nsecond_secret = ''",
            "second_secret = [redacted]: expected a secret that is",
        ),
        ("auth = 'varda'\nsecret_file = '/not/there'", "secret_file = \"/not/there\": expected a file"),
        (
            "auth = 'varda'\nsecret = 'hunter2'\nsecret_env = 'X'",
            "sources.s.secret = [redacted]: expected not to",
        ),
        ("auth = 'standard_webhooks'\nsecret = 'whsec_hunter2!'", "secret = [redacted]: expected a secret"),
        (
            "auth = 'none'\nsecret = 'hunter2'",
            "sources.s.secret = …: expected not to be set: auth = \"none\"",
        ),
        ("auth = 'varda'\nsecret = 'x'\nsecrt = 'hunter2'", "sources.s.secrt = …: expected a known key"),
        ("auth = 'basic'\nsecret = 'x'", "sources.s.auth_user = (missing)"),
        ("auth = 'hmac'\nsecret = 'x'", "sources.s.auth_header = (missing)"),
        ("auth = 'none'\ncapture_headers = ['Cookie']", "sources.s.capture_headers"),
        (
            "auth = 'none'\nbody_bytes_max = '17MiB'",
            "sources.s.body_bytes_max = \"17MiB\": expected a size from 1B to 16MiB",
        ),
    ] {
        let found = problems(&source(lines), &env);
        assert!(found.contains(expected) && !found.contains("hunter2"), "{lines}\n{found}");
    }
}

#[test]
fn a_source_has_1_to_64_shards_and_a_place_or_a_header_chooses_one() {
    let sharding = |lines: &str| {
        let text = source(&format!("auth = 'none'\n{lines}"));
        parse(&text, &Env::new()).map(|config| config.sources[&"s".parse().unwrap()].sharding.clone())
    };
    let plain = sharding("").unwrap();
    assert_eq!((plain.count(), plain.by()), (1, None));
    let by_header = sharding("shards = 64\nshard_by = 'header:X-Call-Id'").unwrap();
    assert_eq!((by_header.count(), by_header.by()), (64, Some(&ShardBy::Header("x-call-id".to_owned()))));
    let by_pointer = sharding("shards = 2\nshard_by = '/data/id'").unwrap();
    assert_eq!(by_pointer.by(), Some(&ShardBy::Pointer("/data/id".parse().unwrap())));
    for shards in ["0", "65", "-1", "'4'"] {
        assert_problem(
            &source(&format!("auth = 'none'\nshards = {shards}")),
            &[&format!(
                "sources.s.shards = {}: expected an integer from 1 to 64",
                shards.replace('\'', "\"")
            )],
        );
    }
    // A pointer without its slash must not pass as a header.
    for by in ["", "data.id", "x-call-id", "header:", "header:a b", "header: x", "header:Cookie", "/a~2"] {
        assert_problem(
            &source(&format!(
                "auth = 'header_token'\nauth_header = 'x-token'\nsecret = 's'\nshard_by = '{by}'"
            )),
            &[&format!("sources.s.shard_by = \"{by}\": expected a JSON pointer")],
        );
    }
    assert_problem(
        &source("auth = 'header_token'\nauth_header = 'x-token'\nsecret = 's'\nshard_by = 'header:X-Token'"),
        &["sources.s.shard_by = \"header:x-token\": expected another header: this one carries"],
    );
}

#[test]
fn an_address_says_nothing_that_would_be_ignored_or_lead_to_another_host() {
    for (key, url, expected) in [
        ("amqp", "amqp://u:hunter2@h?heartbeat=5", "no parameter after ? but auth_mechanism or channel_max"),
        ("amqp", "amqps://h?cacertfile=/ca.pem", "no parameter after ?"),
        ("amqp", "amqp://h?auth_mechanism=plain&Heartbeat=5", "no parameter after ?"),
        // The password holds a `#`, `/` or `?`: what is before it would be the host.
        ("amqp", "amqp://u#hunter2@h", "percent-encoded"),
        ("amqp", "amqp://u:5/hunter2@h", "percent-encoded"),
        ("amqp", "amqp://u:5?hunter2@h", "no parameter after ?"),
        ("amqp", "amqp://2001:db8::5", "an address of the form amqp://"),
        ("amqp", "amqp:///v", "an address of the form amqp://"),
        ("redis", "redis://h/abc", "the number of a database"),
        ("redis", "redis://h/0/1", "the number of a database"),
        ("redis", "redis://h/-1", "the number of a database"),
        ("redis", "redis://h?db=3", "no parameter after ? but protocol"),
        ("redis", "rediss://h/0#insecure", "percent-encoded"),
    ] {
        let found = problems(&format!("[{key}]\nurl = '{url}'"), &Env::new());
        assert!(found.contains(&format!("{key}.url = ")) && found.contains(expected), "{url}: {found}");
        assert!(!found.contains("hunter2"), "{found}");
    }
    for (key, url) in [
        ("amqp", "amqp://u:p@[2001:db8::5]:5672/%2f?auth_mechanism=plain&channel_max=100"),
        ("amqp", "amqp://u:p%23%2f%3f%40@h/%2f"),
        ("redis", "redis://[2001:db8::5]:6379/3?protocol=resp3"),
        ("redis", "redis://h/"),
        ("redis", "redis://h"),
    ] {
        parse(&format!("[{key}]\nurl = '{url}'"), &Env::new()).unwrap();
    }
}
