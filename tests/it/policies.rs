//! Policies of a real broker that match our queues: what they do, what nothing is lost by, what is, and that
//! `topology check --policies` says so.

use std::{
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use hookswitch::core::{
    delivery::fault::Reason,
    providers::{self, NormalizeError, Normalized},
    webhook::Webhook,
};
use lapin::{
    options::{ExchangeDeclareOptions, QueueDeclareOptions},
    types::FieldTable,
};

use super::support::{
    RunningProcess, World, call, calls,
    program::{Program, Said},
    shared, until,
};

/// Runs rabbitmqctl in the world's virtual host, as in `list_policies`, `-p`, `t1`, and more.
async fn ctl(world: &World, command: &str, arguments: &[&str]) -> String {
    let vhost = world.vhost();
    let all: Vec<_> =
        [command, "-p", &vhost].iter().chain(arguments).map(|text| (*text).to_owned()).collect();
    let run = move || shared().broker.ctl(&all.iter().map(String::as_str).collect::<Vec<_>>());
    tokio::task::spawn_blocking(run).await.unwrap()
}

/// Sets the policy `ours` of all users of the virtual host.
pub(super) async fn set(world: &World, pattern: &str, definition: &str) {
    ctl(world, "set_policy", &["ours", pattern, definition]).await;
}

async fn clear(world: &World) {
    ctl(world, "clear_policy", &["ours"]).await;
}

/// Checks the topology with the policies that the broker has now, as the help of the command says.
async fn check(world: &World) -> Said {
    let mut lists = ctl(world, "list_policies", &["--formatter", "json"]).await;
    lists += &ctl(world, "list_operator_policies", &["--formatter", "json"]).await;
    let program = Program::of(world);
    std::fs::write(program.file("policies.json"), lists).unwrap();
    program.run("topology check --policies policies.json").await
}

/// Checks that `topology check` fails and says all of this.
async fn assert_named(world: &World, lines: &[&str]) {
    let said = check(world).await;
    assert_eq!(said.code, Some(1), "{said:?}");
    for line in lines {
        assert!(said.out.contains(line), "lacks {line}: {said:?}");
    }
}

async fn post(receiver: &RunningProcess, body: Vec<u8>) -> u16 {
    receiver.post("salpre", body.leak()).await
}

/// Starts a receiver and posts calls until `count` are accepted. Returns it with those.
async fn accepting(world: &World, count: usize) -> RunningProcess {
    let receiver = world.receiver().await;
    receiver.ready().await;
    for n in 0..count {
        assert_eq!(post(&receiver, call(n)).await, 200);
    }
    receiver
}

/// Checks that the ledger calls as many webhooks missing, with a worker that processes the others.
async fn assert_missing(world: &World, count: usize) {
    let worker = world.worker();
    let program = Program::of(world);
    until("the ledger knows", async || {
        let said = program.run("ledger --check 5").await;
        said.code == Some(1) && said.err.contains(&format!("{count} accepted webhooks are neither settled"))
    })
    .await;
    worker.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn webhooks_that_a_policy_lets_expire_are_letters_that_say_so_and_can_be_replayed() {
    let world = World::new().await;
    set(&world, "^raw\\.", r#"{"message-ttl":100}"#).await;
    world.accept("salpre", (0..20).map(call)).await;
    let letters = world.dead("salpre", 20).await;
    assert!(letters.iter().all(|letter| letter.history.reason == Some(Reason::Expired)), "{letters:?}");
    assert_named(
        &world,
        &["policy ours (pattern ^raw\\.) sets message-ttl = 100: webhooks", "queue raw.salpre"],
    )
    .await;

    clear(&world).await;
    let program = Program::of(&world);
    program.ok("dead-letters reindex").await;
    let stats = program.ok("dead-letters stats").await;
    assert!(stats.out.contains("expired"), "{stats:?}");
    let worker = world.worker();
    program.ok("dead-letters replay --reason expired").await;
    assert_eq!(calls(&world.events(20).await), (0..20).collect::<Vec<_>>());
    worker.finish().await;
    let said = check(&world).await;
    assert!(said.code == Some(0) && said.out.contains("0 policies in the broker"), "{said:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_time_limit_on_every_queue_loses_webhooks_and_the_check_and_the_ledger_say_so() {
    let world = World::new().await;
    set(&world, ".*", r#"{"message-ttl":300}"#).await;
    let receiver = accepting(&world, 10).await;
    assert_named(
        &world,
        &[
            "sets message-ttl = 300: dead letters are deleted (queue dead.other, queue dead.salpre)",
            "sets message-ttl = 300: events are deleted before they are consumed (queue events.all",
            "sets message-ttl = 300: retries come sooner (queue retry.400ms)",
        ],
    )
    .await;
    for queue in ["raw.salpre", "dead.salpre"] {
        world.wait_for_depth(queue, 0).await;
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    world.wait_for_depth("dead.salpre", 0).await;
    clear(&world).await;
    // The receiver's marks are gone as well, until its next one.
    assert_eq!(post(&receiver, call(99)).await, 200);
    assert_missing(&world, 10).await;
    receiver.finish().await;
}

/// Posts 40 webhooks in turn that are and are not JSON. Returns the calls and the number of others that were
/// accepted.
async fn post_both(receiver: &RunningProcess) -> (Vec<usize>, usize) {
    let (mut accepted, mut others) = (Vec::new(), 0);
    for n in 0..40 {
        let is_call = n % 2 == 1;
        let body = if is_call { call(n) } else { format!("{n} is no JSON").into_bytes() };
        match post(receiver, body).await {
            200 if is_call => accepted.push(n),
            200 => others += 1,
            status => assert_eq!(status, 503),
        }
    }
    (accepted, others)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_length_limit_makes_publishers_wait_and_loses_nothing() {
    let world = World::new().await;
    set(&world, ".*", r#"{"max-length":5}"#).await;
    let receiver = world.receiver().await;
    receiver.ready().await;
    let (accepted, others) = post_both(&receiver).await;
    assert!((1..10).contains(&accepted.len()) && (1..10).contains(&others), "{accepted:?}, {others}");
    assert_named(
        &world,
        &[
            "max-length = 5: receivers answer 503 while it is full (queue raw.other, queue raw.salpre)",
            "max-length = 5: workers wait while it is full",
        ],
    )
    .await;
    let worker = world.worker();
    tokio::time::sleep(Duration::from_secs(2)).await;
    clear(&world).await;
    assert_eq!(calls(&world.events(accepted.len()).await), accepted);
    assert_eq!(world.dead("salpre", others).await.len(), others);
    Program::of(&world).ok("ledger --check 20").await;
    worker.finish().await;
    receiver.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn webhooks_that_a_policy_drops_from_a_full_queue_are_letters_that_say_so_and_can_be_replayed() {
    let world = World::new().await;
    set(&world, "^raw\\.", r#"{"max-length":3,"overflow":"drop-head"}"#).await;
    world.accept("salpre", (0..10).map(call)).await;
    let letters = world.dead("salpre", 7).await;
    assert!(letters.iter().all(|letter| letter.history.reason == Some(Reason::MaxLength)), "{letters:?}");
    assert_named(
        &world,
        &["sets overflow = \"drop-head\": the oldest webhooks become dead letters (`maxlen`), unprocessed"],
    )
    .await;
    clear(&world).await;
    let program = Program::of(&world);
    program.ok("dead-letters reindex").await;
    let worker = world.worker();
    program.ok("dead-letters replay --reason maxlen").await;
    assert_eq!(calls(&world.events(10).await), (0..10).collect::<Vec<_>>());
    worker.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_policy_that_drops_from_every_full_queue_loses_webhooks_and_the_check_and_the_ledger_say_so() {
    let world = World::new().await;
    set(&world, ".*", r#"{"max-length":3,"overflow":"drop-head"}"#).await;
    let receiver = accepting(&world, 10).await;
    assert_named(
        &world,
        &["sets overflow = \"drop-head\": the oldest dead letters are deleted when it is full (queue dead"],
    )
    .await;
    world.wait_for_depth("raw.salpre", 3).await;
    world.wait_for_depth("dead.salpre", 3).await;
    clear(&world).await;
    Program::of(&world).ok("dead-letters reindex").await;
    assert_missing(&world, 4).await;
    receiver.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_policy_that_deletes_unused_queues_loses_what_waits_and_the_check_and_the_ledger_say_so() {
    let world = World::new().await;
    let receiver = accepting(&world, 3).await;
    let worker = world.worker();
    assert_eq!(world.events(3).await.len(), 3);
    world.accept("salpre", [b"no JSON".to_vec(), b"none, too".to_vec()]).await;
    world.dead("salpre", 2).await;
    worker.finish().await;
    for n in 3..6 {
        assert_eq!(post(&receiver, call(n)).await, 200);
    }
    set(&world, ".*", r#"{"expires":500}"#).await;
    assert_named(&world, &["sets expires = 500: it is deleted, with what is in it"]).await;
    until("the broker deletes the queues", async || {
        let left = ctl(&world, "list_queues", &["--silent", "name"]).await;
        !left.contains("raw.") && !left.contains("dead.")
    })
    .await;
    // Nothing more is lost: receivers refuse what no queue takes.
    assert_eq!(post(&receiver, call(9)).await, 503);
    let program = Program::of(&world);
    let said = program.run("topology check").await;
    assert!(said.code == Some(1) && said.out.contains("queue raw.salpre: missing"), "{said:?}");
    clear(&world).await;
    program.ok("topology apply").await;

    // The list holds a copy of the dead letters that it knew.
    let said = program.ok("dead-letters stats").await;
    assert!(said.err.contains("dead.salpre holds 2 letters fewer than are listed"), "{said:?}");
    program.ok("dead-letters reindex --forget-missing --export d.ndjson --note expires --yes").await;
    program.ok("dead-letters import d.ndjson").await;
    assert_eq!(world.dead("salpre", 2).await.len(), 2);
    assert_missing(&world, 3).await;
    receiver.finish().await;
}

/// How often [`fails_at_first`] was asked.
static TRIES: AtomicUsize = AtomicUsize::new(0);

/// Panics over each of the first ten deliveries.
fn fails_at_first(webhook: &Webhook) -> Result<Normalized<'_>, NormalizeError> {
    assert!(TRIES.fetch_add(1, Ordering::Relaxed) >= 10, "a bug");
    providers::normalize(webhook)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn our_arguments_withstand_what_a_policy_says_about_dead_letters() {
    let world = World::new().await;
    let definition = r#"{"overflow":"reject-publish","dead-letter-exchange":"nowhere",
        "dead-letter-strategy":"at-most-once","delivery-limit":1000000000}"#;
    set(&world, ".*", definition).await;
    let said = check(&world).await;
    assert_eq!(said.code, Some(0), "{said:?}");
    assert!(
        said.out.contains("1 policy in the broker: nothing that hookswitch needs is changed"),
        "{said:?}"
    );
    world.accept("salpre", (0..10).map(call).chain([b"no JSON".to_vec()])).await;
    let worker = world.worker_with(fails_at_first);
    assert_eq!(calls(&world.events(10).await), (0..10).collect::<Vec<_>>());
    assert!(worker.metric("hookswitch_retries_total") >= 10.0);
    world.dead("salpre", 1).await;
    worker.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_policy_on_a_queue_that_drops_its_oldest_events_is_named_for_what_it_does_there() {
    let latest =
        "[subscriptions.latest]\npatterns = [\"call.#\"]\nlength_max = 9\noverflow = \"drop_oldest\"";
    let world = World::with(latest).await;
    set(&world, "^latest$", r#"{"overflow":"reject-publish","max-length":3}"#).await;
    assert_named(
        &world,
        &[
            "overflow = \"reject-publish\": workers wait while it is full, where it should drop its oldest",
            "max-length = 3: its oldest events are deleted sooner (queue latest)",
        ],
    )
    .await;
    set(&world, "^latest$", r#"{"overflow":"drop-head","max-length":9}"#).await;
    let said = check(&world).await;
    assert_eq!(said.code, Some(0), "{said:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_policy_on_a_stream_is_named_for_what_it_does_to_its_history() {
    let past = "[subscriptions.past]\npatterns = [\"#\"]\nkind = \"stream\"\nretention = \"7d\"";
    let world = World::with(past).await;
    set(&world, ".*", r#"{"max-age":"1h"}"#).await;
    assert_named(
        &world,
        &[
            "max-age = \"1h\": events leave the history sooner (queue past)",
            "max-age = \"1h\": dead letters leave the list sooner (queue hookswitch.dead-log)",
            "max-age = \"1h\": what was ever declared is forgotten (queue hookswitch.topology)",
        ],
    )
    .await;
    set(&world, "^past$", r#"{"max-age":"1M"}"#).await;
    assert_named(&world, &["max-age = \"1M\": events stay in the history longer (queue past)"]).await;
    set(&world, "^past$", r#"{"max-age":"7D"}"#).await;
    let said = check(&world).await;
    assert_eq!(said.code, Some(0), "{said:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_routing_key_for_dead_letters_keeps_webhooks_in_their_delay_queue_until_it_is_gone() {
    let world = World::with("[retry.retries]\nunsupported_event = 2").await;
    set(&world, ".*", r#"{"dead-letter-exchange":"nowhere","dead-letter-routing-key":"elsewhere"}"#).await;
    assert_named(&world, &["webhooks do not come back to their queue after the delay (queue retry.100ms"])
        .await;
    let unknown = br#"{"event_type":"new","timestamp_utc":1,"payload":{"call_id":1},"is_test":true}"#;
    world.accept("salpre", [unknown.to_vec()]).await;
    let worker = world.worker();
    until("it waits", async || worker.metric("hookswitch_retries_total") == 1.0).await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(worker.metric("hookswitch_retries_total"), 1.0, "it does not come back");
    assert_eq!(world.dead("salpre", 0).await.len(), 0);
    clear(&world).await;
    let letters = world.dead("salpre", 1).await;
    assert_eq!(letters[0].webhook.body, unknown.as_slice());
    worker.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_documented_shield_keeps_policies_of_users_away_and_those_of_operators_are_named() {
    let page = include_str!("../../docs/design/topology.md");
    let world = World::with(
        "[subscriptions.\"events.latest\"]\npatterns = [\"call.#\"]\nlength_max = 3\n\
         overflow = \"drop_oldest\"\n\
         [subscriptions.\"events.past\"]\npatterns = [\"call.#\"]\nkind = \"stream\"\n\
         retention = \"7d\"",
    )
    .await;
    for shield in page.lines().filter_map(|line| line.strip_prefix("rabbitmqctl set_policy -p / ")) {
        let mut words = shield.split('\'').map(str::trim);
        let (options, pattern) = (words.next().unwrap(), words.next().unwrap());
        let definition = words.nth(1).unwrap();
        let options: Vec<_> = options.split(' ').collect();
        ctl(&world, "set_policy", &[&options[..], &[pattern, definition]].concat()).await;
    }
    // Of a key that streams have, too.
    set(&world, ".*", r#"{"max-length-bytes":1}"#).await;
    let in_effect = ctl(&world, "list_queues", &["--silent", "name", "policy"]).await;
    assert!(in_effect.contains("raw.salpre\thookswitch-shield\n"), "{in_effect}");
    assert!(in_effect.contains("events.past\thookswitch-shield-streams\n"), "{in_effect}");
    assert!(!in_effect.contains("\tours"), "{in_effect}");
    set(&world, ".*", r#"{"message-ttl":100}"#).await;
    let said = check(&world).await;
    // A queue with a name of the consumer's own is not shielded; there is none here.
    assert_eq!(said.code, Some(0), "{said:?}");
    world.accept("salpre", (0..5).map(call)).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    world.wait_for_depth("raw.salpre", 5).await;
    let worker = world.worker();
    assert_eq!(calls(&world.events(5).await), (0..5).collect::<Vec<_>>());
    world.wait_for_depth("events.latest", 3).await;
    worker.finish().await;

    ctl(&world, "set_operator_policy", &["theirs", "^(?!amq\\.).*", r#"{"expires":3600000}"#]).await;
    assert_named(&world, &["policy theirs (pattern ^(?!amq\\.).*) sets expires = 3600000: it is deleted"])
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_alternate_exchange_by_a_policy_is_named_where_it_takes_messages_and_not_where_ours_wins() {
    let world = World::new().await;
    let channel = world.client().await.create_channel().await.unwrap();
    let (options, none) = (ExchangeDeclareOptions::default(), FieldTable::default);
    channel.exchange_declare("hole".into(), lapin::ExchangeKind::Fanout, options, none()).await.unwrap();
    channel.queue_declare("hole".into(), QueueDeclareOptions::default(), none()).await.unwrap();
    channel.queue_bind("hole".into(), "hole".into(), "".into(), Default::default(), none()).await.unwrap();
    set(&world, "^hookswitch\\.events$", r#"{"alternate-exchange":"hole"}"#).await;
    assert_eq!(check(&world).await.code, Some(0));
    channel.queue_unbind("events.all".into(), "hookswitch.events".into(), "#".into(), none()).await.unwrap();
    world.accept("salpre", [call(1)]).await;
    let worker = world.worker();
    assert_eq!(world.drain("events.unrouted", 1).await.len(), 1);
    worker.finish().await;

    set(&world, "^hookswitch\\.raw$", r#"{"alternate-exchange":"hole"}"#).await;
    assert_named(
        &world,
        &["receivers answer 200 to webhooks that no raw queue takes (exchange hookswitch.raw)"],
    )
    .await;
    channel.queue_delete("raw.salpre".into(), Default::default()).await.unwrap();
    let receiver = accepting(&world, 1).await;
    world.wait_for_depth("hole", 1).await;
    receiver.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_are_not_the_policies_of_this_virtual_host_is_refused() {
    let world = World::new().await;
    let program = Program::of(&world);
    let other =
        r#"[{"vhost":"other","name":"a","pattern":".*","apply-to":"all","definition":"{}","priority":0}][]"#;
    for (text, expected) in [
        ("[]", "there are 1 lists of policies"),
        (other, "these are policies of the virtual host `other`"),
        ("vhost\tname\tpattern", "--formatter json"),
    ] {
        std::fs::write(program.file("p.json"), text).unwrap();
        let said = program.run("topology check --policies p.json").await;
        assert!(said.code == Some(65) && said.err.contains(expected), "{expected}: {said:?}");
    }
    let unread = other.replace("other", &world.vhost()).replace(".*", "(");
    std::fs::write(program.file("p.json"), unread).unwrap();
    let said = program.run("topology check --policies p.json").await;
    assert!(said.code == Some(1) && said.out.contains("has a pattern that hookswitch does not"), "{said:?}");
}
