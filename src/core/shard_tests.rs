#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

use proptest::{collection::vec, prelude::*};
use serde_json::json;

use super::*;
use crate::core::{pointer::tests::document, providers::Provider, webhook::DeliveryId};

fn webhook(headers: &[(&str, &str)], body: &[u8]) -> Webhook {
    Webhook {
        delivery_id: DeliveryId::new(uuid::Uuid::nil()),
        source: "salpre".parse().unwrap(),
        provider: Provider::Salpre,
        received_at: jiff::Timestamp::UNIX_EPOCH,
        headers: headers.iter().copied().collect(),
        body: body.to_vec().into(),
    }
}

fn by_pointer(shards: u8, pointer: &str) -> Sharding {
    Sharding::new(shards, Some(ShardBy::Pointer(pointer.parse().unwrap())))
}

/// Returns the shard chosen by the value; 63, the last, if it was chosen by the turn.
fn shard(sharding: &Sharding, headers: &[(&str, &str)], body: &str) -> u8 {
    sharding.shard_of(&webhook(headers, body.as_bytes()), || 63).number()
}

#[test]
fn the_hash_is_what_it_was_in_every_earlier_version() {
    // The first 8 bytes that `printf call-1 | sha256sum` prints.
    assert_eq!(hash("call-1"), 0x5d79_63c4_f471_e142);
    let sharding = by_pointer(4, "/id");
    assert_eq!(shard(&sharding, &[], r#"{"id":"call-1"}"#), 2);
}

#[test]
fn one_value_is_one_shard_however_it_is_written() {
    let sharding = by_pointer(64, "/data/id");
    let expected = (hash("7é") % 64) as u8;
    for body in [r#"{"data":{"id":"7é"}}"#, r#"{"x":[{}],"data" : { "y":1, "id" : "\u0037\u00e9" } }"#] {
        assert_eq!(shard(&sharding, &[], body), expected);
    }
    let number = (hash("7") % 64) as u8;
    assert_eq!(shard(&sharding, &[], r#"{"data":{"id":7}}"#), number);
    assert_eq!(shard(&sharding, &[], r#"{"data":{"id":"7"}}"#), number);
    let by_header = Sharding::new(64, Some(ShardBy::Header("x-call".to_owned())));
    assert_eq!(shard(&by_header, &[("X-Call", "7")], "not json"), number);
}

#[test]
fn webhooks_without_a_value_are_distributed_in_turn() {
    let sharding = by_pointer(64, "/data/id");
    let bodies = [
        "",
        "not json",
        "\"data\"",
        "{}",
        "[]",
        "{\"data\":",
        "{\"data\":{\"id\":",
        "{\"data\":{\"id\":\"a",
        r#"{"data":{}}"#,
        r#"{"data":"id"}"#,
        r#"{"data":{"id":null}}"#,
        r#"{"data":{"id":""}}"#,
        r#"{"data":{"id":{}}}"#,
        r#"{"data":{"id":[1]}}"#,
        r#"{"data":{"id":"\ud800"}}"#,
        r#"{"Data":{"id":1}}"#,
    ];
    for body in bodies {
        assert_eq!(shard(&sharding, &[], body), 63, "{body}");
    }
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    assert_eq!(shard(&sharding, &[], &deep), 63);
    assert_eq!(sharding.shard_of(&webhook(&[], b"{\"data\":{\"id\":\"\xff\"}}"), || 63).number(), 63);
    let by_header = Sharding::new(64, Some(ShardBy::Header("x-call".to_owned())));
    assert_eq!(shard(&by_header, &[("x-call", ""), ("x-other", "1")], "{}"), 63);

    let in_turn = Sharding::new(3, None);
    let mut turns = 0..;
    let shards: Vec<_> =
        (0..6).map(|_| in_turn.shard_of(&webhook(&[], b"{}"), || turns.next().unwrap()).number()).collect();
    assert_eq!(shards, [0, 1, 2, 0, 1, 2]);
}

#[test]
fn a_source_has_one_shard_at_least_and_all_numbers_are_accounted_for() {
    assert_eq!(Sharding::new(0, None), Sharding::new(1, None));
    let one = by_pointer(1, "/id");
    assert_eq!(one.shard_of(&webhook(&[], b"{}"), || panic!("no turn is needed")), Shard::FIRST);
    for count in [1, 4, SHARDS_MAX] {
        let sharding = Sharding::new(count, None);
        let numbers: Vec<_> = sharding.shards().chain(sharding.beyond()).map(Shard::number).collect();
        assert_eq!(numbers, (0..SHARDS_MAX).collect::<Vec<_>>());
        assert_eq!(sharding.shards().count(), usize::from(count));
    }
}

#[test]
fn ids_that_count_up_are_spread_evenly() {
    let sharding = by_pointer(4, "/id");
    let mut counts = [0; 4];
    for n in 0..4_000 {
        counts[usize::from(shard(&sharding, &[], &format!("{{\"id\":{n}}}")))] += 1;
    }
    assert!(counts.iter().all(|count| (900..1_100).contains(count)), "{counts:?}");
}

proptest! {
    #[test]
    fn the_same_value_is_the_same_shard(
        shards in 2..=SHARDS_MAX,
        id in ".+",
        before in document(),
        after in document(),
        turn: u64,
    ) {
        let sharding = by_pointer(shards, "/data/id");
        let bare = json!({ "data": { "id": id } }).to_string();
        // Names are sorted: `a` comes before, `z` after.
        let data = json!({ "a": after, "id": id, "z": before });
        let among = json!({ "a": before, "data": data, "z": after }).to_string();
        let shard_of = |body: &str, turn| sharding.shard_of(&webhook(&[], body.as_bytes()), || turn);
        let shard = shard_of(&bare, turn);
        prop_assert!(shard.number() < shards);
        prop_assert_eq!(shard, shard_of(&among, turn.wrapping_add(1)));
        let by_header = Sharding::new(shards, Some(ShardBy::Header("x-id".to_owned())));
        prop_assert_eq!(shard, by_header.shard_of(&webhook(&[("x-id", &id)], b""), || turn));
    }

    #[test]
    fn any_bytes_get_a_shard(
        bytes in vec(any::<u8>(), 0..64), cut in 0..200_usize, document in document(), turn: u64,
    ) {
        let sharding = by_pointer(7, "/a/0");
        let whole = serde_json::to_vec(&document).unwrap();
        let cut = whole[..cut.min(whole.len())].to_vec();
        for body in [bytes, cut] {
            prop_assert!(sharding.shard_of(&webhook(&[], &body), || turn).number() < 7);
        }
    }
}
