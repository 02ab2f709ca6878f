//! Dead letters: read without a trace, replayed without loss, and every job on record.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use hookswitch::{
    app::dead_letters::{
        Canary, DeadLetterError, DeadLetters, JobRequest, Progress, Replay, Replayed, Services, Stopped,
    },
    core::{
        delivery::{fault::Reason, queued::QueuedWebhook},
        letters::{Fate, Filter, JobKind, JobOutcome, Journal, Letter, Stats},
        shard::Shard,
        webhook::DeliveryId,
    },
    edge::amqp::{message, routes},
};
use tokio_util::sync::CancellationToken;

use super::support::{PATIENCE, World, call, calls, until};

const NOT_JSON: &[u8] = b"{\"event_type\":\xff";
const UNKNOWN: &[u8] =
    br#"{"event_type":"moon_landing","timestamp_utc":1,"payload":{"call_id":1},"is_test":true}"#;

/// Options of a replay that does not wait for outcomes.
const BLIND: Replay = Replay { canary: None, rate: None, again: false };

/// Returns the options of a replay that waits for outcomes.
fn watched(max_failing: f64) -> Replay {
    Replay { canary: Some(Canary { max_failing, patience: Duration::from_secs(20) }), ..BLIND }
}

pub(super) fn request(kind: JobKind, letters: u64) -> JobRequest {
    let letters = Some(letters);
    JobRequest { kind, actor: "ann".into(), note: Some("a test".into()), filter: "all".into(), letters }
}

/// Returns the letters that match a filter, as browsing shows them.
async fn browse(world: &World, filter: Filter) -> Vec<Letter> {
    let connection = world.connect().await;
    let mut browsing = DeadLetters::new(&connection, &world.config).browse(filter, None).await.unwrap();
    let mut letters = Vec::new();
    while let Some((_, letter)) = browsing.next().await.unwrap() {
        letters.push(letter);
    }
    letters
}

fn ids<'a>(letters: impl IntoIterator<Item = &'a QueuedWebhook>) -> Vec<DeliveryId> {
    letters.into_iter().map(|letter| letter.webhook.delivery_id).collect()
}

async fn journal(world: &World) -> Journal {
    let connection = world.connect().await;
    DeadLetters::new(&connection, &world.config).journal().await.unwrap()
}

fn died_of(reason: Reason) -> Filter {
    Filter { reasons: vec![reason], ..Filter::default() }
}

/// Replays the letters that match `filter`.
async fn replay(
    world: &World,
    filter: &Filter,
    limit: u64,
    how: Replay,
) -> Result<Replayed, DeadLetterError> {
    replay_until(world, filter, limit, how, &CancellationToken::new(), &mut |_| {}).await
}

async fn replay_until(
    world: &World,
    filter: &Filter,
    limit: u64,
    how: Replay,
    stop: &CancellationToken,
    progress: &mut dyn FnMut(Progress),
) -> Result<Replayed, DeadLetterError> {
    let (connection, publisher, store) =
        (world.connect().await, world.publisher().await, world.store().await);
    let dead_letters = DeadLetters::new(&connection, &world.config);
    let services = Services { publisher: &publisher, store: &store, stop };
    let plan = dead_letters.plan(filter, limit, |_| {}).await?;
    let request = request(JobKind::Replay, plan.len());
    dead_letters.replay(services, &request, plan, how, progress).await
}

/// Replays all letters of a source.
pub(super) async fn replay_all(world: &World, source: &str) {
    let filter = Filter { sources: vec![source.parse().unwrap()], ..Filter::default() };
    replay(world, &filter, u64::MAX, BLIND).await.unwrap();
}

/// Discards at most `limit` letters, and returns their number.
pub(super) async fn discard(world: &World, filter: Filter, limit: u64) -> u64 {
    let (connection, publisher, store) =
        (world.connect().await, world.publisher().await, world.store().await);
    let dead_letters = DeadLetters::new(&connection, &world.config);
    let services = Services { publisher: &publisher, store: &store, stop: &CancellationToken::new() };
    let plan = dead_letters.plan(&filter, limit, |_| {}).await.unwrap();
    let request = request(JobKind::Discard, plan.len());
    dead_letters.discard(services, &request, plan, &mut |_| {}).await.unwrap().discarded
}

/// Returns a world with dead letters of two kinds: `not_json` of one and `unknown` of the other.
async fn world_with_letters(not_json: usize, unknown: usize) -> World {
    let world = World::new().await;
    world.accept("salpre", vec![NOT_JSON.to_vec(); not_json]).await;
    world.accept("salpre", vec![UNKNOWN.to_vec(); unknown]).await;
    let worker = world.worker();
    world.dead("salpre", not_json + unknown).await;
    worker.finish().await;
    world
}

/// Puts letters that this build can process into the dead-letter queue and the log, as an older version would
/// have.
async fn fixed_letters(world: &World, count: usize) -> Vec<QueuedWebhook> {
    let publisher = world.publisher().await;
    let mut letters = Vec::new();
    for n in 0..count {
        let letter = letter(n);
        let shelved = routes::dead_letter(&letter);
        publisher.publish(shelved.clone(), PATIENCE).await.unwrap();
        publisher.publish(routes::log_entry(shelved), PATIENCE).await.unwrap();
        letters.push(letter.queued);
    }
    letters
}

/// Returns a good webhook about call `n`, dead-lettered by an old version.
pub(super) fn letter(n: usize) -> Letter {
    let mut queued = super::support::queued("salpre", call(n));
    let history = &mut queued.history;
    history.reason = Some(Reason::InvalidPayload);
    history.error = Some("payload.call_id: a bug of old".into());
    history.version = Some("0.0.1".into());
    history.last_failed_at = Some("2026-01-02T03:04:05Z".parse().unwrap());
    Letter { id: uuid::Uuid::now_v7().to_string().parse().unwrap(), queued }
}

#[tokio::test]
async fn browsing_a_hundred_times_changes_nothing_in_the_queue_and_takes_no_letter_from_others() {
    let world = world_with_letters(20, 10).await;
    let look = async || -> Vec<_> {
        let messages = world.look("dead.salpre").await.into_iter();
        let facts = |(body, properties): (Vec<u8>, _)| {
            (message::decode_letter(&properties, Vec::new()).0, body, message::redeliveries(&properties))
        };
        messages.map(facts).collect()
    };
    let before = look().await;
    let connection = world.connect().await;
    let dead_letters = DeadLetters::new(&connection, &world.config);
    for _ in 0..100 {
        let mut browsing = dead_letters.browse(Filter::default(), None).await.unwrap();
        let mut stats = Stats::default();
        while let Some((_, letter)) = browsing.next().await.unwrap() {
            stats.add(&letter, None);
        }
        assert_eq!((stats.letters(), stats.groups().len()), (30, 2));
        // Other consumers find the whole queue while it is browsed.
        assert_eq!(super::support::depth(&connection, "dead.salpre").await, 30);
        browsing.close().await;
    }
    // The same letters in the same order, and none was given out but for the test's own look before.
    let expected: Vec<_> =
        before.into_iter().map(|(id, body, given_out)| (id, body, given_out + 1)).collect();
    assert_eq!(look().await, expected);
}

#[tokio::test]
async fn what_is_browsed_is_what_lies_in_the_queue() {
    let world = world_with_letters(3, 2).await;
    let queued = world.dead("salpre", 5).await;
    let browsed = browse(&world, Filter::default()).await;
    let sorted = |mut letters: Vec<QueuedWebhook>| {
        letters.sort_by_key(|letter| letter.webhook.delivery_id);
        letters
    };
    assert_eq!(sorted(browsed.into_iter().map(|letter| letter.queued).collect()), sorted(queued));
    assert_eq!(browse(&world, died_of(Reason::UnsupportedEvent)).await.len(), 2);
    let connection = world.connect().await;
    let dead_letters = DeadLetters::new(&connection, &world.config);
    let mut browsing = dead_letters.browse(Filter::default(), None).await.unwrap();
    let (second, _) = (browsing.next().await.unwrap(), browsing.next().await.unwrap().unwrap()).1;
    browsing.close().await;
    let mut rest = dead_letters.browse(Filter::default(), Some(second)).await.unwrap();
    let mut letters = 0;
    while rest.next().await.unwrap().is_some() {
        letters += 1;
    }
    assert_eq!(letters, 3, "a page goes on where the one before ended");
}

#[tokio::test]
async fn a_replay_moves_only_what_matches_starts_the_attempts_anew_and_keeps_the_history() {
    let world = world_with_letters(2, 3).await;
    let came = replay(&world, &died_of(Reason::UnsupportedEvent), 2, BLIND).await.unwrap();
    assert_eq!((came.sent, came.not_found, came.not_reached), (2, 0, 0));
    world.wait_for_depth("raw.salpre", 2).await;
    let left = world.dead("salpre", 3).await;
    assert_eq!(left.iter().filter(|l| l.history.reason == Some(Reason::MalformedJson)).count(), 2);
    assert_eq!(browse(&world, Filter::default()).await.len(), 3);

    // Not fixed: they die again, with the same bytes, and their past on record.
    let worker = world.worker();
    let letters = world.dead("salpre", 5).await;
    let replayed: Vec<_> = letters.iter().filter(|letter| letter.history.replays == 1).collect();
    assert_eq!(replayed.len(), 2);
    for letter in replayed {
        assert_eq!(letter.webhook.body, UNKNOWN);
        assert_eq!(letter.history.attempt.0, 1);
        let [death] = &letter.history.past[..] else { panic!("{letter:?}") };
        assert_eq!(death.reason, Some(Reason::UnsupportedEvent));
        assert!(letter.history.first_failed_at < letter.history.last_failed_at);
    }
    until("all are listed", async || browse(&world, Filter::default()).await.len() == 5).await;
    worker.finish().await;
    let journal = journal(&world).await;
    let [job] = journal.jobs() else { panic!("{journal:?}") };
    assert_eq!((job.actor.as_str(), job.outcome), ("ann", Some(JobOutcome::Finished)));
    assert_eq!(job.gone[&Fate::Replayed], 2);
}

#[tokio::test]
async fn a_replay_waits_for_what_becomes_of_its_letters_and_stops_when_too_many_fail_again() {
    let world = world_with_letters(30, 0).await;
    let worker = world.worker();
    let came = replay(&world, &Filter::default(), u64::MAX, watched(0.1)).await.unwrap();
    let Some(Stopped::TooManyFailed(wave)) = came.stopped else { panic!("{came:?}") };
    assert_eq!((wave.sent, came.sent, came.not_reached), (10, 10, 20));
    assert_eq!(world.dead("salpre", 30).await.len(), 30);
    worker.finish().await;
    assert_eq!(journal(&world).await.jobs()[0].outcome, Some(JobOutcome::Stopped));
}

#[tokio::test]
async fn a_replay_that_does_well_grows_and_its_events_come_out_once() {
    let world = World::new().await;
    fixed_letters(&world, 80).await;
    let worker = world.worker();
    let mut waves = BTreeSet::new();
    let mut watch = |progress| {
        if let Progress::Waiting { sent, .. } = progress {
            waves.insert(sent);
        }
    };
    let stop = CancellationToken::new();
    let came =
        replay_until(&world, &Filter::default(), u64::MAX, watched(0.1), &stop, &mut watch).await.unwrap();
    assert_eq!((came.sent, came.outcomes.done, came.stopped), (80, 80, None));
    assert!(came.error.is_none(), "{came:?}");
    assert_eq!(waves, BTreeSet::from([10, 50, 20]));
    assert_eq!(calls(&world.events(80).await), (0..80).collect::<Vec<_>>());
    worker.finish().await;
    assert!(browse(&world, Filter::default()).await.is_empty());
}

#[tokio::test]
async fn without_a_worker_a_replay_stops_for_lack_of_outcomes() {
    let world = World::new().await;
    fixed_letters(&world, 20).await;
    let canary = Canary { max_failing: 0.1, patience: Duration::from_millis(300) };
    let how = Replay { canary: Some(canary), ..BLIND };
    let came = replay(&world, &Filter::default(), u64::MAX, how).await.unwrap();
    let Some(Stopped::NoOutcome(wave)) = came.stopped else { panic!("{came:?}") };
    assert_eq!((wave.sent, wave.open()), (10, 10));
    assert_eq!(world.dead("salpre", 10).await.len(), 10);
}

#[tokio::test]
async fn a_replay_keeps_its_pace_and_stops_when_asked() {
    let world = World::new().await;
    fixed_letters(&world, 40).await;
    let stop = CancellationToken::new();
    let began = Instant::now();
    let mut stop_after = |progress| {
        if let Progress::Letters(15..) = progress {
            stop.cancel();
        }
    };
    let how = Replay { rate: Some(30.0), ..BLIND };
    let came = replay_until(&world, &Filter::default(), u64::MAX, how, &stop, &mut stop_after).await.unwrap();
    assert_eq!(came.stopped, Some(Stopped::Interrupted));
    assert!((15..40).contains(&came.sent), "{came:?}");
    assert!(began.elapsed() > Duration::from_millis(300), "15 letters at 30 a second");
    // Run again it sends the rest, and each is there once.
    let rest = replay(&world, &Filter::default(), u64::MAX, BLIND).await.unwrap();
    assert_eq!(came.sent + rest.sent, 40);
    world.wait_for_depth("raw.salpre", 40).await;
    let outcomes: Vec<_> = journal(&world).await.jobs().iter().map(|job| job.outcome).collect();
    assert_eq!(outcomes, [Some(JobOutcome::Interrupted), Some(JobOutcome::Finished)]);
}

#[tokio::test]
async fn a_replay_killed_before_its_ack_finishes_when_run_again_and_gives_no_second_event() {
    let world = World::new().await;
    let letters = fixed_letters(&world, 2).await;
    // As if killed after the publish and before the journal: the letter is in both queues.
    let publisher = world.publisher().await;
    publisher.publish(routes::replay(&letters[0], Shard::FIRST, None), PATIENCE).await.unwrap();
    let came = replay(&world, &Filter::default(), u64::MAX, BLIND).await.unwrap();
    assert_eq!(came.sent, 2);
    world.wait_for_depth("dead.salpre", 0).await;
    let worker = world.worker();
    assert_eq!(calls(&world.events(2).await), [0, 1]);
    worker.finish().await;
}

#[tokio::test]
async fn a_letter_that_is_settled_on_record_and_still_in_the_queue_is_taken_out_and_not_sent_again() {
    let world = World::new().await;
    let letter = letter(0);
    let shelved = routes::dead_letter(&letter);
    let publisher = world.publisher().await;
    publisher.publish(shelved.clone(), PATIENCE).await.unwrap();
    publisher.publish(routes::log_entry(shelved.clone()), PATIENCE).await.unwrap();
    replay_all(&world, "salpre").await;
    // As if killed after the journal and before the ack.
    publisher.publish(shelved, PATIENCE).await.unwrap();
    assert!(browse(&world, Filter::default()).await.is_empty());
    let came = reindex(&world).await;
    assert_eq!((came.finished, came.listed, came.missing.len()), (1, 0, 0));
    world.wait_for_depth("dead.salpre", 0).await;
    world.wait_for_depth("raw.salpre", 1).await;
}

#[tokio::test]
async fn a_replay_that_is_not_confirmed_leaves_the_letter_where_it_is() {
    let world = world_with_letters(1, 0).await;
    let channel = world.client().await.create_channel().await.unwrap();
    channel
        .queue_unbind("raw.salpre".into(), "hookswitch.raw".into(), "salpre".into(), Default::default())
        .await
        .unwrap();
    let came = replay(&world, &Filter::default(), u64::MAX, BLIND).await.unwrap();
    assert!(matches!(came.error, Some(DeadLetterError::NotMoved(_))), "{came:?}");
    world.dead("salpre", 1).await;
    assert_eq!(browse(&world, Filter::default()).await.len(), 1);
    let journal = journal(&world).await;
    assert_eq!(journal.jobs()[0].outcome, Some(JobOutcome::Failed), "{journal:?}");
}

#[tokio::test]
async fn a_letter_whose_webhook_was_done_meanwhile_is_taken_out_and_publishes_nothing() {
    let world = World::new().await;
    // The provider sends call 0 again, which is done; of call 1 another body with the same key is done.
    let mut other_body = call(1);
    other_body.push(b' ');
    world.accept("salpre", [call(0), other_body]).await;
    let worker = world.worker();
    assert_eq!(calls(&world.events(2).await), [0, 1]);
    fixed_letters(&world, 3).await;
    let came = replay(&world, &Filter::default(), u64::MAX, watched(0.0)).await.unwrap();
    assert_eq!((came.already_done, came.held_back, came.sent), (1, 1, 1));
    assert_eq!(calls(&world.events(1).await), [2]);
    // With `again`, the letter held back is sent.
    let how = Replay { again: true, ..watched(0.0) };
    let came = replay(&world, &Filter::default(), u64::MAX, how).await.unwrap();
    assert_eq!((came.sent, came.outcomes.done), (1, 1));
    assert_eq!(calls(&world.events(1).await), [1]);
    worker.finish().await;
    world.wait_for_depth("dead.salpre", 0).await;
}

#[tokio::test]
async fn only_one_job_works_at_a_time_and_the_other_names_it() {
    let world = World::new().await;
    fixed_letters(&world, 40).await;
    let stop = CancellationToken::new();
    let slow = Replay { rate: Some(5.0), ..BLIND };
    let (mut first, filter) = (|_| {}, Filter::default());
    let first = replay_until(&world, &filter, u64::MAX, slow, &stop, &mut first);
    let second = async {
        until("the first has begun", async || !journal(&world).await.jobs().is_empty()).await;
        let second = replay(&world, &Filter::default(), u64::MAX, BLIND).await;
        stop.cancel();
        second
    };
    let (first, second) = tokio::join!(first, second);
    first.unwrap();
    let Err(DeadLetterError::Busy(Some(job))) = second else { panic!("{second:?}") };
    assert_eq!((job.actor.as_str(), job.kind), ("ann", JobKind::Replay));
    // Its end lets the next one begin.
    replay(&world, &Filter::default(), u64::MAX, BLIND).await.unwrap();
    world.wait_for_depth("raw.salpre", 40).await;
}

#[tokio::test]
async fn discarding_takes_away_only_what_matches() {
    let world = world_with_letters(2, 2).await;
    assert_eq!(discard(&world, died_of(Reason::MalformedJson), u64::MAX).await, 2);
    let left = world.dead("salpre", 2).await;
    assert!(left.iter().all(|letter| letter.history.reason == Some(Reason::UnsupportedEvent)));
}

#[tokio::test]
async fn letters_that_are_put_back_are_there_once_however_often_they_are_put_back() {
    let world = World::new().await;
    let (connection, publisher, store) =
        (world.connect().await, world.publisher().await, world.store().await);
    let dead_letters = DeadLetters::new(&connection, &world.config);
    let services = Services { publisher: &publisher, store: &store, stop: &CancellationToken::new() };
    let letters: Vec<_> = (0..100).map(letter).collect();
    let import = async || {
        let request = request(JobKind::Import, 100);
        let came = dead_letters
            .import(services, &request, (Vec::new(), letters.iter().cloned()), &mut |_| {})
            .await
            .unwrap();
        (came.put_back, came.already_there)
    };
    assert_eq!(import().await, (100, 0));
    assert_eq!(import().await, (0, 100));
    assert_eq!(discard(&world, Filter::default(), 60).await, 60);
    assert_eq!(import().await, (60, 40));
    assert_eq!(import().await, (0, 100));
    let bodies = |letters: Vec<QueuedWebhook>| -> BTreeSet<_> {
        letters.into_iter().map(|l| l.webhook.body).collect()
    };
    let queued = bodies(world.dead("salpre", 100).await);
    assert_eq!(queued, bodies(letters.iter().map(|letter| letter.queued.clone()).collect()));
    assert_eq!(browse(&world, Filter::default()).await.len(), 100);
}

pub(super) async fn reindex(world: &World) -> hookswitch::app::dead_letters::Reindexed {
    let (connection, publisher, store) =
        (world.connect().await, world.publisher().await, world.store().await);
    let dead_letters = DeadLetters::new(&connection, &world.config);
    let services = Services { publisher: &publisher, store: &store, stop: &CancellationToken::new() };
    let request = request(JobKind::Reindex, 0);
    let came =
        dead_letters.reindex(services, &request, (&Filter::default(), false), &mut |_| {}).await.unwrap();
    dead_letters.forget(services, &request, came.missing.clone()).await.unwrap();
    came
}

#[tokio::test]
async fn after_letters_were_moved_by_other_means_a_reindex_corrects_the_list() {
    let world = World::new().await;
    let letters = fixed_letters(&world, 5).await;
    // Two are held by another consumer, and one arrives that is not listed.
    let channel = world.client().await.create_channel().await.unwrap();
    let mut held = Vec::new();
    for _ in 0..2 {
        held.push(channel.basic_get("dead.salpre".into(), Default::default()).await.unwrap().unwrap());
    }
    let publisher = world.publisher().await;
    let unlisted = letter(9);
    publisher.publish(routes::dead_letter(&unlisted), PATIENCE).await.unwrap();
    world.wait_for_depth("dead.salpre", 4).await;
    let came = reindex(&world).await;
    assert_eq!((came.seen, came.listed, came.missing.len(), came.finished), (4, 1, 2, 0));
    let mut expected = ids(&letters[2..]);
    expected.push(unlisted.queued.webhook.delivery_id);
    let listed = browse(&world, Filter::default()).await;
    assert_eq!(ids(listed.iter().map(|letter| &letter.queued)), expected);
    // They were only held, and come back.
    channel.close(200, "".into()).await.unwrap();
    world.wait_for_depth("dead.salpre", 6).await;
    let came = reindex(&world).await;
    assert_eq!((came.seen, came.listed, came.missing.len(), came.finished), (6, 2, 0, 0));
    assert_eq!(browse(&world, Filter::default()).await.len(), 6);
    assert_eq!(replay(&world, &Filter::default(), u64::MAX, BLIND).await.unwrap().sent, 6);
}

#[tokio::test]
async fn more_letters_than_a_channel_holds_are_all_met_and_the_others_stay() {
    const MANY: usize = 4_500;
    let world = World::new().await;
    world.accept("salpre", vec![NOT_JSON.to_vec(); MANY]).await;
    let worker = world.worker();
    world.wait_for_depth("dead.salpre", u32::try_from(MANY).unwrap()).await;
    until("all are listed", async || browse(&world, Filter::default()).await.len() == MANY).await;
    worker.finish().await;
    let before = ids(&world.dead("salpre", MANY).await);
    let only = |id: DeliveryId| Filter { ids: vec![id.uuid()], ..Filter::default() };
    assert_eq!(discard(&world, only(before[MANY - 1]), u64::MAX).await, 1);
    // Each channel's letters come back in their order; the broker may take the channels in another.
    let mut left = ids(&world.dead("salpre", MANY - 1).await);
    let mut expected = before[..MANY - 1].to_vec();
    left.sort();
    expected.sort();
    assert!(left == expected, "others than before");
    assert_eq!(discard(&world, Filter::default(), u64::MAX).await as usize, MANY - 1);
}

#[tokio::test]
async fn letters_are_listed_while_others_die_all_the_time_and_none_is_found_where_none_died_lately() {
    let world = World::new().await;
    fixed_letters(&world, 10).await;
    let lately = Filter { since: Some(jiff::Timestamp::now()), ..Filter::default() };
    assert!(browse(&world, lately).await.is_empty());
    let publisher = world.publisher().await;
    let dying = tokio::spawn(async move {
        for n in 0.. {
            publisher.publish(routes::log_entry(routes::dead_letter(&letter(n))), PATIENCE).await.unwrap();
        }
    });
    for _ in 0..5 {
        let listed = tokio::time::timeout(PATIENCE, browse(&world, Filter::default())).await;
        assert!(listed.expect("reading ends").len() >= 10);
    }
    dying.abort();
}

#[tokio::test]
async fn a_letter_that_is_in_the_log_twice_is_shown_once() {
    let world = World::new().await;
    let publisher = world.publisher().await;
    let shelved = routes::dead_letter(&letter(0));
    publisher.publish(shelved.clone(), PATIENCE).await.unwrap();
    for _ in 0..2 {
        publisher.publish(routes::log_entry(shelved.clone()), PATIENCE).await.unwrap();
    }
    assert_eq!(browse(&world, Filter::default()).await.len(), 1);
    assert_eq!(replay(&world, &Filter::default(), u64::MAX, BLIND).await.unwrap().sent, 1);
    assert!(browse(&world, Filter::default()).await.is_empty());
}

#[tokio::test]
async fn two_letters_of_one_webhook_are_one_fact_and_the_replay_goes_on() {
    let world = World::new().await;
    // As after a worker that died between the letter's confirm and the ack.
    let mut twin = letter(0);
    for _ in 0..2 {
        world.bury(std::slice::from_ref(&twin)).await;
        twin.id = uuid::Uuid::now_v7().to_string().parse().unwrap();
    }
    fixed_letters(&world, 20).await;
    let worker = world.worker();
    let came = replay(&world, &Filter::default(), u64::MAX, watched(0.0)).await.unwrap();
    // Call 0 is there three times: as twins, and as the first of the others, which is the same body sent
    // again.
    assert!(came.stopped.is_none() && came.error.is_none(), "{came:?}");
    assert_eq!(calls(&world.events(20).await), (0..20).collect::<Vec<_>>());
    worker.finish().await;
    world.wait_for_depth("dead.salpre", 0).await;
}

#[tokio::test]
async fn of_two_bodies_with_one_key_the_second_is_held_back_and_not_swallowed() {
    let world = World::new().await;
    for end in [" ", "  "] {
        let mut letter = letter(7);
        letter.queued.webhook.body = [&call(7)[..], end.as_bytes()].concat().into();
        world.bury(&[letter]).await;
    }
    for how in [BLIND, watched(0.0)] {
        let came = replay(&world, &Filter::default(), u64::MAX, how).await.unwrap();
        assert_eq!(came.held_back, 1, "{came:?}");
        let worker = world.worker();
        world.wait_for_depth("raw.salpre", 0).await;
        worker.finish().await;
    }
    assert_eq!(calls(&world.events(1).await), [7]);
    assert_eq!(browse(&world, Filter::default()).await.len(), 1);
}

#[tokio::test]
async fn an_import_refuses_while_the_list_is_not_true() {
    let world = World::new().await;
    let letters: Vec<_> = fixed_letters(&world, 3).await;
    let channel = world.client().await.create_channel().await.unwrap();
    channel.queue_purge("dead.salpre".into(), Default::default()).await.unwrap();
    let (connection, publisher, store) =
        (world.connect().await, world.publisher().await, world.store().await);
    let dead_letters = DeadLetters::new(&connection, &world.config);
    let services = Services { publisher: &publisher, store: &store, stop: &CancellationToken::new() };
    let listed = browse(&world, Filter::default()).await;
    let import = async || {
        let request = request(JobKind::Import, 3);
        dead_letters.import(services, &request, (Vec::new(), listed.iter().cloned()), &mut |_| {}).await
    };
    let refused = import().await;
    assert!(matches!(refused, Err(DeadLetterError::Differs { queued: 0, listed: 3, .. })), "{refused:?}");
    assert_eq!(reindex(&world).await.missing.len(), 3);
    assert_eq!(import().await.unwrap().put_back, 3);
    assert_eq!(ids(&world.dead("salpre", 3).await), ids(&letters));
}
