//! Dead letters: looked at without harm, sent back without loss.

use std::ops::ControlFlow;

use hookswitch::{
    app::dead_letters::{self, Action, Filter, Tally},
    core::disposition::Reason,
};

use super::support::{World, call, calls};

const NOT_JSON: &[u8] = b"{\"event_type\":\xff";
const UNKNOWN: &[u8] =
    br#"{"event_type":"moon_landing","timestamp_utc":1,"payload":{"call_id":1},"is_test":true}"#;

async fn run(world: &World, filter: &Filter, limit: u32, action: &Action<'_>) -> Tally {
    let connection = world.connect().await;
    let source = "salpre".parse().unwrap();
    let provider = world.config.sources[&source].provider;
    dead_letters::run(&connection, &source, provider, filter, limit, action, |_| ControlFlow::Continue(()))
        .await
        .unwrap()
}

/// Sends everything of a source back.
pub(super) async fn replay_all(world: &World, source: &str) {
    let publisher = world.publisher().await;
    let connection = world.connect().await;
    let source = source.parse().unwrap();
    let provider = world.config.sources[&source].provider;
    let action = Action::Replay(&publisher);
    let each = |_: &_| ControlFlow::Continue(());
    dead_letters::run(&connection, &source, provider, &Filter::default(), u32::MAX, &action, each)
        .await
        .unwrap();
}

/// A world with dead letters of two kinds: `not_json` of one and `unknown` of the other.
async fn world_with_letters(not_json: usize, unknown: usize) -> World {
    let world = World::new().await;
    world.accept("salpre", vec![NOT_JSON.to_vec(); not_json]).await;
    world.accept("salpre", vec![UNKNOWN.to_vec(); unknown]).await;
    let worker = world.worker();
    world.dead("salpre", not_json + unknown).await;
    worker.finish().await;
    world
}

#[tokio::test]
async fn looking_at_letters_changes_neither_their_number_nor_their_order() {
    let world = world_with_letters(3, 2).await;
    let before: Vec<_> = world.dead("salpre", 5).await.into_iter().map(|l| l.webhook.delivery_id).collect();
    for _ in 0..30 {
        assert_eq!(run(&world, &Filter::default(), u32::MAX, &Action::Look).await.seen, 5);
    }
    let after: Vec<_> = world.dead("salpre", 5).await.into_iter().map(|l| l.webhook.delivery_id).collect();
    assert_eq!(before, after);
}

#[tokio::test]
async fn a_replay_moves_only_what_matches_and_starts_the_attempts_anew() {
    let world = world_with_letters(2, 3).await;
    let publisher = world.publisher().await;
    let filter = Filter { reason: Some(Reason::UnsupportedEvent), id: None };
    let tally = run(&world, &filter, 2, &Action::Replay(&publisher)).await;
    assert_eq!(tally.done, 2);
    world.wait_for_depth("raw.salpre", 2).await;
    let left = world.dead("salpre", 3).await;
    assert_eq!(left.iter().filter(|l| l.history.reason == Some(Reason::MalformedJson)).count(), 2);

    // Not mended: they die again, with the same bytes, and their replay on record.
    let worker = world.worker();
    let letters = world.dead("salpre", 5).await;
    let replayed: Vec<_> = letters.iter().filter(|letter| letter.history.replays == 1).collect();
    assert_eq!(replayed.len(), 2);
    for letter in replayed {
        assert_eq!(letter.webhook.body, UNKNOWN);
        assert_eq!(letter.history.attempt.0, 1);
    }
    worker.finish().await;
}

#[tokio::test]
async fn a_replay_that_dies_before_its_ack_loses_nothing_and_gives_no_second_event() {
    let world = World::new().await;
    world.accept("salpre", [call(1)]).await;
    // A letter that a mended program would take: made dead by hand.
    let raw = world.drain("raw.salpre", 1).await.remove(0);
    let connection = world.connect().await;
    let channel = connection.create_channel().await.unwrap();
    channel
        .basic_publish("hookswitch.dead".into(), "salpre".into(), Default::default(), &raw.0, raw.1)
        .await
        .unwrap();
    world.wait_for_depth("dead.salpre", 1).await;
    // Killed between publish and ack: the letter is in both queues.
    let letter = world.dead("salpre", 1).await.remove(0);
    let publisher = world.publisher().await;
    let publication = hookswitch::app::settle::replay(&letter);
    publisher.publish(publication, super::support::PATIENCE).await.unwrap();
    world.wait_for_depth("dead.salpre", 1).await;
    // Run again, it finishes.
    replay_all(&world, "salpre").await;
    world.wait_for_depth("dead.salpre", 0).await;
    let worker = world.worker();
    assert_eq!(calls(&world.events(1).await), [1]);
    worker.finish().await;
}

#[tokio::test]
async fn a_replay_that_is_not_confirmed_leaves_the_letter_where_it_is() {
    let world = world_with_letters(1, 0).await;
    let publisher = world.publisher().await;
    let connection = world.connect().await;
    let channel = connection.create_channel().await.unwrap();
    channel
        .queue_unbind("raw.salpre".into(), "hookswitch.raw".into(), "salpre".into(), Default::default())
        .await
        .unwrap();
    let source = "salpre".parse().unwrap();
    let provider = world.config.sources[&source].provider;
    let action = Action::Replay(&publisher);
    let each = |_: &_| ControlFlow::Continue(());
    let outcome =
        dead_letters::run(&connection, &source, provider, &Filter::default(), u32::MAX, &action, each).await;
    assert!(outcome.is_err(), "{outcome:?}");
    drop(connection);
    world.dead("salpre", 1).await;
}

#[tokio::test]
async fn discarding_takes_away_only_what_matches() {
    let world = world_with_letters(2, 2).await;
    let filter = Filter { reason: Some(Reason::MalformedJson), id: None };
    assert_eq!(run(&world, &filter, u32::MAX, &Action::Discard(&world.store().await)).await.done, 2);
    let left = world.dead("salpre", 2).await;
    assert!(left.iter().all(|letter| letter.history.reason == Some(Reason::UnsupportedEvent)));
}

#[tokio::test]
async fn more_letters_than_the_broker_sends_ahead_are_all_seen_and_stay_in_their_order() {
    // A quorum queue takes "no limit on what is sent ahead" for 2,000.
    const MANY: usize = 4_500;
    let world = World::new().await;
    world.accept("salpre", vec![NOT_JSON.to_vec(); MANY]).await;
    let worker = world.worker();
    world.wait_for_depth("dead.salpre", u32::try_from(MANY).unwrap()).await;
    worker.finish().await;
    let ids = async |count| -> Vec<_> {
        world.dead("salpre", count).await.iter().map(|letter| letter.webhook.delivery_id).collect()
    };
    let before = ids(MANY).await;
    assert_eq!(before.len(), MANY);
    let (filter, store) = (Filter { reason: None, id: before.last().copied() }, world.store().await);
    assert_eq!(run(&world, &filter, 1, &Action::Discard(&store)).await.done, 1);
    assert_eq!(ids(MANY - 1).await, before[..MANY - 1]);
    assert_eq!(
        run(&world, &Filter::default(), u32::MAX, &Action::Discard(&store)).await.done as usize,
        MANY - 1
    );
}
