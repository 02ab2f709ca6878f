//! Lateness: an event says so if one that goes further was published before, and Redis remembers how far the
//! events about an object are.

use std::time::Duration;

use hookswitch::{
    core::{
        delivery::lifecycle::Claim,
        events::{
            key::IdempotencyKey,
            order::{ObjectKey, Place, Sequence},
        },
        webhook::SourceName,
    },
    edge::redis::{Store, ToClaim, ToMark},
};
use serde_json::Value;

use super::support::{RunningProcess, World, until};

const HOUR: Duration = Duration::from_secs(3_600);

/// Returns the body of a webhook about call `n`, `second` seconds after it began.
fn stage(n: usize, event: &str, second: usize) -> Vec<u8> {
    let time = 1_760_084_505 + second;
    format!(
        r#"{{"event_type":"call_{event}","timestamp_utc":{time},"payload":{{"call_id":{n},"direction":"inbound"}},"is_test":false}}"#
    )
    .into_bytes()
}

/// Has webhooks processed, and waits until they are marked: `done` are done then. Returns the events.
async fn process(world: &World, worker: &RunningProcess, bodies: Vec<Vec<u8>>, done: f64) -> Vec<Value> {
    let count = bodies.len();
    world.accept("salpre", bodies).await;
    let events = world.events(count).await;
    let line = "hookswitch_deliveries_total{source=\"salpre\",disposition=\"done\"}";
    until("they are done", async || worker.metric(line) == done).await;
    events
}

#[tokio::test]
async fn an_event_is_late_if_one_of_its_call_that_goes_further_was_published() {
    let world = World::new().await;
    let worker = world.worker();
    let send = async |bodies: Vec<Vec<u8>>, done: f64| process(&world, &worker, bodies, done).await;
    let is_late = |events: &[Value]| events[0].get("late").cloned();

    let ended = send(vec![stage(1, "ended", 60)], 1.0).await;
    assert_eq!(is_late(&ended), None);
    let answered = send(vec![stage(1, "answered", 10)], 2.0).await;
    assert_eq!(is_late(&answered), Some(Value::Bool(true)), "{answered:?}");
    assert!(answered[0]["sequence"].as_str() < ended[0]["sequence"].as_str());
    // The end is still the last.
    assert_eq!(is_late(&send(vec![stage(1, "ringing", 20)], 3.0).await), Some(Value::Bool(true)));
    assert_eq!(is_late(&send(vec![stage(1, "ended", 61)], 4.0).await), None);

    // Another call, in order; within a second, by its stages. A batch has one state of each call.
    for (done, (event, second)) in
        [("initiated", 0), ("ringing", 0), ("answered", 10), ("ended", 60)].into_iter().enumerate()
    {
        let events = send(vec![stage(2, event, second)], 5.0 + done as f64).await;
        assert_eq!(is_late(&events), None, "{events:?}");
    }
    let mixed = send(vec![stage(3, "ringing", 1), stage(2, "ringing", 1)], 10.0).await;
    for event in &mixed {
        let is_of_late_call = event["data"]["call_id"] == "2";
        assert_eq!(event["late"] == true, is_of_late_call, "{event}");
    }
    worker.finish().await;
}

#[tokio::test]
async fn nothing_is_late_where_redis_does_not_know() {
    let world = World::new().await.patient_with_redis().await;
    let worker = world.worker();
    process(&world, &worker, vec![stage(1, "ended", 60)], 1.0).await;
    let object = ObjectKey::of("salpre/call/1");
    let name = [b"hookswitch:", object.as_bytes()].concat();
    let mut redis = world.redis().await;
    // Lost, or overwritten by another program: the delivery goes on, without a hint and without an outage.
    let commands: [&[&[u8]]; 4] = [&[b"DEL"], &[b"RPUSH", b"1"], &[b"SET", b"oops"], &[b"SET", b"\xff"]];
    for (done, command) in commands.into_iter().enumerate() {
        redis::cmd("DEL").arg(&name).exec_async(&mut redis).await.unwrap();
        let (command, value) = (str::from_utf8(command[0]).unwrap(), &command[1..]);
        redis::cmd(command).arg(&name).arg(value).exec_async(&mut redis).await.unwrap();
        let events = process(&world, &worker, vec![stage(1, "answered", done)], 2.0 + done as f64).await;
        assert_eq!(events[0].get("late"), None, "{command:?}");
    }
    assert_eq!(worker.metric("hookswitch_reconnects_total{link=\"redis\""), 0.0);
    worker.finish().await;
}

/// What a store says of objects.
struct Objects {
    store: Store,
    source: SourceName,
    calls: usize,
}

impl Objects {
    /// Returns a key that no call has used.
    fn key(&mut self) -> hookswitch::core::events::key::StoreKey {
        self.calls += 1;
        IdempotencyKey::from_parts(&[self.calls.to_string()]).store_key(&self.source)
    }

    async fn mark(&mut self, places: &[(&str, u64)], ttl: Duration) {
        let mut marks = Vec::new();
        for (object, number) in places {
            let place = Place { object: ObjectKey::of(object), sequence: Sequence::from(*number) };
            marks.push(ToMark { key: self.key(), body: 1.into(), entry: None, place: Some(place) });
        }
        // One without an object among them.
        marks.insert(0, ToMark { key: self.key(), body: 1.into(), entry: None, place: None });
        self.store.mark_done(&self.source, &marks, ttl).await.unwrap();
    }

    /// Claims keys of these objects, and returns the number of each.
    async fn published(&mut self, objects: &[Option<&str>]) -> Vec<Option<u64>> {
        let mut claims = Vec::new();
        for object in objects {
            let object = object.map(ObjectKey::of);
            claims.push(ToClaim { key: self.key(), owner: "oa", entry: None, object });
        }
        let answers = self.store.claim(&self.source, &claims, HOUR).await.unwrap();
        let number = |answer| {
            let Claim::Claimed { published } = answer else { panic!("{answer:?}") };
            published.map(|place: Place| place.sequence.as_u64())
        };
        answers.into_iter().map(number).collect()
    }
}

#[tokio::test]
async fn the_number_of_an_object_never_falls_and_loses_no_digit() {
    let world = World::new().await;
    let mut objects = Objects { store: world.store().await, source: "salpre".parse().unwrap(), calls: 0 };
    // More than 53 bits: as numbers of Lua these would be equal.
    let number = 17_672_587_366_080_005;
    assert_eq!(objects.published(&[Some("a"), None, Some("b")]).await, [None, None, None]);
    for (mark, expected) in [
        (number, number),
        (number + 1, number + 1),
        (number, number + 1),
        // A mark that failed and is made again.
        (number + 1, number + 1),
        (9_999_999_999_999_999, number + 1),
        (7, number + 1),
        (2_534_022_072_009_999_999, 2_534_022_072_009_999_999),
        (number + 9, 2_534_022_072_009_999_999),
    ] {
        objects.mark(&[("a", mark)], HOUR).await;
        assert_eq!(objects.published(&[Some("a")]).await, [Some(expected)], "after {mark}");
    }
    // Several of an object in one call, in any order.
    objects.mark(&[("b", 5), ("c", 1), ("b", 7), ("b", 6)], HOUR).await;
    let asked = [Some("c"), None, Some("b"), Some("d"), Some("b")];
    assert_eq!(objects.published(&asked).await, [Some(1), None, Some(7), None, Some(7)]);
    // A claim that is repeated reads it again.
    let claim = ToClaim { key: objects.key(), owner: "oa", entry: None, object: Some(ObjectKey::of("b")) };
    for _ in 0..2 {
        let answers = objects.store.claim(&objects.source, &[claim], HOUR).await.unwrap();
        let [Claim::Claimed { published: Some(place) }] = answers[..] else { panic!("{answers:?}") };
        assert_eq!(place.sequence.as_u64(), 7);
    }
    // More than one call takes.
    let names: Vec<String> = (0..2_500).map(|n| format!("many {n}")).collect();
    let many: Vec<_> = names.iter().map(String::as_str).zip(1..).collect();
    objects.mark(&many, HOUR).await;
    let all: Vec<_> = names.iter().map(|name| Some(name.as_str())).collect();
    assert!(objects.published(&all).await.into_iter().eq((1..=2_500).map(Some)));
}

#[tokio::test]
async fn an_object_is_kept_for_a_day_at_most_and_no_longer_than_a_done_mark() {
    let world = World::new().await;
    let mut objects = Objects { store: world.store().await, source: "salpre".parse().unwrap(), calls: 0 };
    let mut redis = world.redis().await;
    for (object, ttl, expected) in [("a", HOUR, 1), ("b", 200 * HOUR, 24)] {
        // Also if the number stays.
        objects.mark(&[(object, 9)], HOUR / 2).await;
        objects.mark(&[(object, 8)], ttl).await;
        let name = [b"hookswitch:", ObjectKey::of(object).as_bytes()].concat();
        let left: u64 = redis::cmd("PTTL").arg(name).query_async(&mut redis).await.unwrap();
        assert_eq!(left.div_ceil(3_600_000), expected, "{left}");
    }
}
