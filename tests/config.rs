//! The configuration: defaults, overrides, and every mistake reported at once.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

use std::{collections::BTreeMap, io::Write as _, path::Path, time::Duration};

use hookswitch::{
    config::Config,
    core::{auth::Auth, shard::ShardBy},
};

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

fn example() -> String {
    std::fs::read_to_string("deploy/hookswitch.example.toml").unwrap()
}

/// Every setting that the example shows, `#key = …` included.
fn example_enabled() -> String {
    let enable = |line: &str| {
        let setting =
            line.strip_prefix('#').filter(|l| l.starts_with(|c: char| c.is_ascii_lowercase() || c == '['));
        setting.unwrap_or(line).to_owned()
    };
    example().lines().map(enable).collect::<Vec<_>>().join("\n")
}

#[test]
fn the_example_says_the_defaults() {
    let example = Config::load(Some(Path::new("deploy/hookswitch.example.toml")), &Env::new()).unwrap();
    let defaults = Config::load(None, &Env::new()).unwrap();
    assert_eq!(example.to_string(), defaults.to_string());
    assert_eq!(format!("{example:?}"), format!("{defaults:?}"));
}

#[test]
fn the_example_loads_with_everything_in_it_set() {
    let env = ["VARDA_EU_SECRET", "VARDA_EU_SECRET_NEXT", "SALPRE_TOKEN", "WAVIX_PASSWORD", "MORPH_KEY"];
    let env: Env = env.iter().map(|name| ((*name).to_owned(), "s3cret".to_owned())).collect();
    let config = parse(&example_enabled(), &env).unwrap();
    assert_eq!(config.sources.len(), 4);
    assert_eq!(config.subscriptions["crm.calls"].length_max, Some(1_000_000));
    assert!(!config.to_string().contains("s3cret") && !format!("{config:?}").contains("s3cret"));
}

#[test]
fn the_example_names_every_key_that_is_read() {
    let mut named = std::collections::BTreeSet::new();
    let mut section = String::new();
    for line in example().lines() {
        let line = line.trim_start_matches('#').trim();
        if let Some(name) = line.strip_prefix('[').and_then(|l| l.strip_suffix(']')) {
            section = match name.split_once('.') {
                Some(("sources", _)) => "sources.<name>".to_owned(),
                Some(("subscriptions", _)) => "subscriptions.<queue>".to_owned(),
                Some(_) | None => name.to_owned(),
            };
        } else if let Some((key, _)) = line.split_once(" = ") {
            named.insert(format!("{section}.{key}"));
        }
    }
    let keys = Config::keys();
    let missing: Vec<_> = keys.difference(&named).collect();
    assert!(missing.is_empty() && keys.len() > 40, "{missing:?}");
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
fn what_is_shown_loads_again_as_the_same() {
    let text = "[worker]\nprefetch = 7\nconcurrency = 3\nconcurrency_shared = 2\nsources = ['a']\n[amqp]\nheartbeat = '90s'\n\
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
        "worker.prefech = …: expected a key that is known; did you mean worker.prefetch?",
        "log.format = \"xml\": expected one of \"pretty\", \"json\"",
        "sources.Bad = (name): expected another name",
        "sources.Bad.provider = \"twilio\": expected one of \"morph\"",
        "sources.Bad.auth = (missing): expected one of \"none\"",
        "surces = …: expected a key that is known; did you mean sources?",
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
    assert_problem(
        "[worker]\nsources = ['a']",
        &["worker.sources = a: expected a source that is configured"],
    );
    assert_problem(
        "[amqp]\nurl = 'amqp://h'\nurls = ['amqp://h']",
        &["amqp.urls = [redacted]: expected not to"],
    );
    assert_problem("[retry]\ntiers = ['5s', '5000ms']", &["retry.tiers", "different durations"]);
    assert_problem("[retry]\ntiers = []", &["retry.tiers = []"]);
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
        (
            "auth = 'varda'\nsecret = 'x'\nsecrt = 'hunter2'",
            "sources.s.secrt = …: expected a key that is known",
        ),
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
    // One whose slash is forgotten is no header either.
    for by in [
        "",
        "data.id",
        "x-call-id",
        "header:",
        "header:a b",
        "header: x",
        "header:Cookie",
        "/a~2",
        "header:X-Token",
    ] {
        assert_problem(
            &source(&format!(
                "auth = 'header_token'\nauth_header = 'x-token'\nsecret = 's'\nshard_by = '{by}'"
            )),
            &[&format!("sources.s.shard_by = \"{by}\": expected a JSON pointer")],
        );
    }
}
