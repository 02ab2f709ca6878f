//! Passwords of any characters, and secrets that are shown nowhere.

use std::{fmt::Write as _, process::Command};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use hookswitch::edge::amqp;

use super::{
    certificates::Authority,
    support::{
        World, call, calls,
        program::{PROGRAM, Program, Said},
        services::free_port,
        shared, until,
    },
};

/// Every printable character of ASCII, and some that are none.
fn any_characters() -> String {
    (' '..='~').chain("äß€🔑".chars()).collect()
}

/// Writes every byte as an address does that leaves no doubt.
fn encoded(text: &str) -> String {
    text.bytes().fold(String::new(), |mut encoded, byte| {
        let _ = write!(encoded, "%{byte:02X}");
        encoded
    })
}

/// Creates a user of the broker who may do anything in the world's vhost.
async fn add_user(world: &World, user: &str, password: &str) {
    let bytes = |text: &str| text.bytes().map(|byte| byte.to_string()).collect::<Vec<_>>().join(",");
    let (user, password, vhost) = (bytes(user), bytes(password), world.vhost());
    let add = format!(
        "rabbit_auth_backend_internal:add_user(<<{user}>>, <<{password}>>, <<\"t\">>), \
         rabbit_auth_backend_internal:set_permissions(<<{user}>>, <<\"{vhost}\">>, \
         <<\".*\">>, <<\".*\">>, <<\".*\">>, <<\"t\">>)."
    );
    tokio::task::spawn_blocking(move || shared().broker.ctl(&["eval", &add])).await.unwrap();
}

/// Creates a user of Redis who may do anything.
async fn add_redis_user(world: &World, user: &str, password: &str) {
    let rules = ["SETUSER", user, "on", &format!(">{password}"), "~*", "&*", "+@all"];
    redis::cmd("ACL").arg(&rules).exec_async(&mut world.redis().await).await.unwrap();
}

/// Returns the world as users with these names and passwords see it.
fn seen_by(world: &World, user: &str, password: &str) -> World {
    let login = format!("{}:{}@", encoded(user), encoded(password));
    let toml = world.toml.replace("guest:guest@", &login);
    World::of_toml(toml.replace("redis://", &format!("redis://{login}")))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn names_and_passwords_have_any_characters() {
    let all = World::new().await;
    // Redis takes no blanks in names. Those of the other worlds are other ones.
    let (user, password) =
        (format!("{}{}", any_characters().replace(' ', ""), all.vhost()), any_characters());
    add_user(&all, &user, &password).await;
    add_redis_user(&all, &user, &password).await;
    let world = seen_by(&all, &user, &password);
    let (receiver, worker) = (world.receiver().await, world.worker());
    receiver.ready().await;
    assert_eq!(receiver.post("salpre", call(1).leak()).await, 200);
    assert_eq!(calls(&all.events(1).await), [1]);
    worker.finish().await;
    let wrong = seen_by(&all, &user, &password.replace('~', "-"));
    assert!(amqp::connect(&wrong.config.amqp, "test").await.is_err());
}

/// What a test knows a secret by.
struct Hidden {
    name: &'static str,
    texts: Vec<String>,
}

impl Hidden {
    fn of(name: &'static str, secret: &str) -> Self {
        let bytes = format!("{:?}", secret.as_bytes());
        let texts =
            vec![secret.to_owned(), STANDARD.encode(secret), bytes.trim_matches(['[', ']']).to_owned()];
        Self { name, texts }
    }

    fn assert_absent(&self, place: &str, shown: &str) {
        for text in &self.texts {
            assert!(!shown.contains(text.as_str()), "{place} shows {}: {shown}", self.name);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn secrets_are_in_no_log_error_help_or_list_of_processes() {
    let all = World::new().await;
    let dir = tempfile::tempdir().unwrap();
    let file = |name: &str| dir.path().join(name).display().to_string();
    let issued = Authority::new("the CA").issue(&["localhost"]);
    issued.write(dir.path(), "own");
    let key_line = issued.key.lines().nth(1).unwrap();
    let [password, source, second, tokens, token] = ["broker", "source", "second", "tokens", "token"]
        .map(|name| format!("Q7-{name}-0123456789abcdef0123456789"));
    let user = format!("hidden-{}", all.vhost());
    add_user(&all, &user, &password).await;
    add_redis_user(&all, &user, &password).await;
    std::fs::write(file("token"), &token).unwrap();
    std::fs::write(file("source"), &source).unwrap();
    let [listen, admin] = [free_port(), free_port()];
    let tls =
        format!("tls_certificate_file = \"{}\"\ntls_key_file = \"{}\"\n", file("own.crt"), file("own.key"));
    let toml = seen_by(&all, &user, &password).toml;
    let toml = toml
        .replace(
            "[receiver]\nlisten = \"127.0.0.1:0\"\n",
            &format!("[receiver]\nlisten = \"127.0.0.1:{listen}\"\n{tls}"),
        )
        .replace(
            "[admin]\nlisten = \"127.0.0.1:0\"\n",
            &format!("[admin]\nlisten = \"127.0.0.1:{admin}\"\n{tls}token_file = \"{}\"\n", file("token")),
        )
        .replace(
            "[sources.salpre]\nprovider = \"salpre\"\nauth = \"none\"\n",
            &format!(
                "[sources.salpre]\nprovider = \"salpre\"\nauth = \"header_token\"\n\
                 auth_header = \"x-token\"\nsecret_file = \"{}\"\nsecond_secret = \"{second}\"\n",
                file("source")
            ),
        );
    let toml = format!("{toml}\n[log]\nfilter = \"trace\"\n[events]\nredaction_key = \"{tokens}\"\n");
    let hidden = [
        Hidden::of("the password", &password),
        Hidden::of("the percent-encoded password", &encoded(&password)),
        Hidden::of("the login", &format!("\0{user}\0{password}")),
        Hidden::of("a source's secret", &source),
        Hidden::of("a source's second secret", &second),
        Hidden::of("the key of the tokens", &tokens),
        Hidden::of("the admin token", &token),
        Hidden::of("the key of the certificate", key_line),
    ];
    let check = |place: &str, said: &Said| {
        let shown = format!("{}{}", said.out, said.err);
        hidden.iter().for_each(|secret| secret.assert_absent(place, &shown));
    };

    let world = World::of_toml(toml.clone());
    let program = Program::of(&world);
    let running = program.start("all");
    until("it is ready", async || program.run("health").await.code == Some(0)).await;
    program.ok("send-samples --sign --provider salpre").await;
    check("a refusal", &program.run("send-samples --provider salpre").await);
    let arguments = Command::new("ps").args(["-ww", "-eo", "args"]).output().unwrap();
    let arguments = String::from_utf8_lossy(&arguments.stdout).into_owned();
    assert!(arguments.contains(PROGRAM), "{arguments}");
    hidden.iter().for_each(|secret| secret.assert_absent("ps", &arguments));
    for line in
        ["config check --show", "config check", "topology check", "ledger", "health", "dead-letters stats"]
    {
        let said = program.run(line).await;
        assert!(!said.out.is_empty(), "{line}: {said:?}");
        check(line, &said);
    }
    for line in ["--help", "health --help", "send-samples --help", "config --help", "all --help"] {
        check(line, &program.ok(line).await);
    }
    running.signal("TERM");
    let said = running.end().await;
    assert!(said.code == Some(0) && said.err.contains("webhook accepted"), "{said:?}");
    check("the log", &said);

    // Wrong ones are secrets of another place, perhaps.
    for (from, to) in [
        (encoded(&password), encoded(&format!("{password}x"))),
        (format!("second_secret = \"{second}\""), format!("second_secret = \" {second}\"")),
        (format!("redaction_key = \"{tokens}\""), format!("redaction_key = \" {tokens}\"")),
        (format!("redaction_key = \"{tokens}\""), format!("redaction_key = \"{tokens}\" {tokens}")),
        (format!("{}\"\ntoken_file", file("own.key")), format!("{}\"\ntoken_file", file("source"))),
        (format!("token_file = \"{}\"", file("token")), format!("tokenfile = \"{token}\"")),
        (
            format!("token_file = \"{}\"", file("token")),
            format!("token = {token:?}\ntls_ca_file = {token:?}"),
        ),
    ] {
        assert!(toml.contains(&from), "{from}");
        std::fs::write(program.file("hookswitch.toml"), toml.replace(&from, &to)).unwrap();
        let said = program.run("topology check").await;
        assert!(said.code.is_some_and(|code| code != 0) && !said.err.is_empty(), "{said:?}");
        check(&format!("the error of {}", to.split('=').next().unwrap_or_default()), &said);
    }
}
