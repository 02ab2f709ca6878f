//! Every order of returns and confirms: each message gets its own verdict, and none counts as safe that is
//! not.

use std::time::{Duration, Instant};

use amq_protocol::protocol::connection;
use hookswitch::{
    config::{Amqp, Secret},
    edge::{
        amqp::publish::{Publication, PublishError, Publisher},
        metrics::LinkMetrics,
        trouble::Trouble,
    },
};
use lapin::BasicProperties;
use rand::{
    random_bool, random_range,
    seq::{IndexedRandom, SliceRandom},
};
use tokio::task::JoinHandle;

use super::peer::{Heard, Link, PATIENCE, Peer, Published, soon};

type Verdict = Result<(), PublishError>;

const OK: Verdict = Ok(());
const REFUSED: Verdict = Err(PublishError::Refused);
const UNROUTABLE: Verdict = Err(PublishError::Unroutable);
const UNKNOWN: Verdict = Err(PublishError::Unknown);

fn config(peer: &Peer, publish_channels: usize, confirm_timeout: Duration) -> Amqp {
    Amqp {
        tls_ca: None,
        tls_identity: None,
        urls: vec![Secret::new(peer.url())],
        connect_timeout: PATIENCE,
        heartbeat: Duration::from_secs(60),
        confirm_timeout,
        publish_channels,
        publish_window: 100,
        frame_max: 65_536,
    }
}

/// Connects a publisher with one channel.
pub(super) async fn connected(peer: &Peer, confirm_timeout: Duration) -> (Publisher, Link) {
    let publisher = Publisher::start(config(peer, 1, confirm_timeout), "test", LinkMetrics::unexported());
    let link = next_link(peer, &publisher).await;
    (publisher, link)
}

/// Accepts the publisher's next connection and waits until it is up.
async fn next_link(peer: &Peer, publisher: &Publisher) -> Link {
    let mut link = peer.meet().await;
    let mut watch = publisher.watch();
    tokio::select! {
        up = watch.wait_for(Option::is_none) => drop(up.unwrap()),
        heard = link.hear() => panic!("{heard:?}"),
    }
    link
}

fn publication(id: impl ToString) -> Publication {
    Publication {
        exchange: "an exchange".to_owned(),
        routing_key: "a key".to_owned(),
        properties: BasicProperties::default().with_message_id(id.to_string().into()),
        body: "a body".into(),
        not_after: Instant::now() + PATIENCE,
    }
}

fn publish(publisher: &Publisher, id: impl ToString) -> JoinHandle<Verdict> {
    let publication = publication(id);
    let publisher = publisher.clone();
    tokio::spawn(async move { publisher.publish(publication, PATIENCE).await })
}

/// Publishes messages 1 to `n`, in this order, and leaves them unconfirmed.
async fn batch(
    publisher: &Publisher,
    link: &mut Link,
    n: usize,
) -> (Vec<JoinHandle<Verdict>>, Vec<Published>) {
    let handles = (1..=n).map(|id| publish(publisher, id)).collect();
    let mut messages = Vec::new();
    for id in 1..=n {
        messages.push(link.hear_publish().await);
        assert_eq!(messages[id - 1].id(), id.to_string());
    }
    (handles, messages)
}

async fn verdicts(handles: Vec<JoinHandle<Verdict>>) -> Vec<Verdict> {
    let all = handles.into_iter().map(async |handle| handle.await.unwrap());
    soon("every verdict", futures_util::future::join_all(all)).await
}

/// An answer about message `n` of a batch (the first is 1). `To`: about it and all before it that have no
/// answer yet.
#[derive(Clone, Copy, Debug)]
enum Answer {
    Return(usize),
    Ack(usize),
    AckTo(usize),
    Nack(usize),
    NackTo(usize),
}

use Answer::{Ack, AckTo, Nack, NackTo, Return};

async fn answer(link: &mut Link, messages: &[Published], answer: Answer) {
    match answer {
        Return(n) => link.give_back(&messages[n - 1]).await,
        Ack(n) => link.ack(&messages[n - 1], false).await,
        AckTo(n) => link.ack(&messages[n - 1], true).await,
        Nack(n) => link.nack(&messages[n - 1], false).await,
        NackTo(n) => link.nack(&messages[n - 1], true).await,
    }
}

/// Publishes a batch, answers in this order, and compares the verdicts.
async fn answered(publisher: &Publisher, link: &mut Link, order: &[Answer], expected: &[Verdict]) {
    let (handles, messages) = batch(publisher, link, expected.len()).await;
    for step in order {
        answer(link, &messages, *step).await;
    }
    assert_eq!(verdicts(handles).await, expected, "{order:?}");
}

#[tokio::test]
async fn a_return_that_precedes_another_messages_ack_is_not_attributed_to_that_message() {
    let peer = Peer::listen().await;
    let (publisher, mut link) = connected(&peer, PATIENCE).await;
    answered(&publisher, &mut link, &[Return(2), Ack(1), Ack(2)], &[OK, UNROUTABLE]).await;
    // The order within a group depends on a hash table in lapin, so once is not enough.
    for _ in 0..20 {
        answered(&publisher, &mut link, &[Return(2), AckTo(2)], &[OK, UNROUTABLE]).await;
    }
    let (order, expected) = ([Return(1), Return(3), Ack(4), AckTo(3)], [UNROUTABLE, OK, UNROUTABLE, OK]);
    answered(&publisher, &mut link, &order, &expected).await;
}

#[tokio::test]
async fn acks_out_of_order_and_in_groups_go_to_their_messages() {
    let peer = Peer::listen().await;
    let (publisher, mut link) = connected(&peer, PATIENCE).await;
    answered(&publisher, &mut link, &[Ack(3), Ack(1), Ack(2)], &[OK; 3]).await;
    answered(&publisher, &mut link, &[Ack(4), AckTo(2), AckTo(5)], &[OK; 5]).await;
    answered(&publisher, &mut link, &[Nack(2), AckTo(4)], &[OK, REFUSED, OK, OK]).await;
}

#[tokio::test]
async fn a_nack_refuses_exactly_its_messages() {
    let peer = Peer::listen().await;
    let (publisher, mut link) = connected(&peer, PATIENCE).await;
    answered(&publisher, &mut link, &[Ack(1), Nack(2), Ack(3)], &[OK, REFUSED, OK]).await;
    answered(&publisher, &mut link, &[Ack(2), NackTo(3), Ack(4)], &[REFUSED, OK, REFUSED, OK]).await;
    answered(&publisher, &mut link, &[Return(3), Nack(1), AckTo(3)], &[REFUSED, OK, UNROUTABLE]).await;
}

/// Returns an order in which a broker may answer such a batch.
fn some_order(expected: &[Verdict]) -> Vec<Answer> {
    let mut order = Vec::new();
    let mut open: Vec<_> = (1..=expected.len()).collect();
    let mut to_return: Vec<_> = open.iter().copied().filter(|n| expected[n - 1] == UNROUTABLE).collect();
    while let Some(&n) = open.choose(&mut rand::rng()) {
        let refused = expected[n - 1] == REFUSED;
        let alike = open.iter().all(|m| *m > n || (expected[m - 1] == REFUSED) == refused);
        let grouped = alike && random_bool(0.5);
        let settles = |m: &usize| if grouped { *m <= n } else { *m == n };
        // A return precedes the confirm of its message, at any distance.
        order.extend(to_return.extract_if(.., |m| settles(m) || random_bool(0.3)).map(Return));
        open.retain(|m| !settles(m));
        order.push(match (refused, grouped) {
            (false, false) => Ack(n),
            (false, true) => AckTo(n),
            (true, false) => Nack(n),
            (true, true) => NackTo(n),
        });
    }
    order
}

#[tokio::test]
async fn in_every_order_that_the_protocol_allows_each_message_gets_its_verdict() {
    let peer = Peer::listen().await;
    let (publisher, mut link) = connected(&peer, PATIENCE).await;
    for _ in 0..300 {
        let expected: Vec<_> = (0..random_range(1..=10))
            .map(|_| *[OK, OK, OK, REFUSED, UNROUTABLE].choose(&mut rand::rng()).unwrap())
            .collect();
        answered(&publisher, &mut link, &some_order(&expected), &expected).await;
    }
}

/// Returns the verdict of message `id` in the test below.
fn fate(id: usize) -> Verdict {
    match id {
        id if id % 7 == 3 => REFUSED,
        id if id % 11 == 5 => UNROUTABLE,
        _ => OK,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_tasks_that_publish_concurrently_get_their_own_verdicts() {
    const MESSAGES: usize = 5_000;
    let peer = Peer::listen().await;
    let config = Amqp { publish_window: 16, ..config(&peer, 4, PATIENCE) };
    let publisher = Publisher::start(config, "test", LinkMetrics::unexported());
    let mut link = next_link(&peer, &publisher).await;
    let broker = tokio::spawn(async move {
        let mut open: Vec<Published> = Vec::new();
        let mut answered = 0;
        while answered < MESSAGES {
            // Answers when nothing has come for a moment, as a broker that writes to disk does.
            match tokio::time::timeout(Duration::from_millis(2), link.hear()).await {
                Ok(Some(Heard::Published(message))) => open.push(*message),
                Ok(other) => panic!("{other:?}"),
                Err(_) => {
                    open.shuffle(&mut rand::rng());
                    answered += open.len();
                    let fate_of = |message: &Published| fate(message.id().parse().unwrap());
                    for message in open.iter().filter(|message| fate_of(message) == UNROUTABLE) {
                        link.give_back(message).await;
                    }
                    for message in open.drain(..) {
                        match fate_of(&message) {
                            REFUSED => link.nack(&message, false).await,
                            _ => link.ack(&message, false).await,
                        }
                    }
                }
            }
        }
        link
    });
    let handles = (0..MESSAGES).map(|id| publish(&publisher, id)).collect();
    let verdicts = verdicts(handles).await;
    let wrong: Vec<_> = (0..MESSAGES).filter(|id| verdicts[*id] != fate(*id)).collect();
    assert!(
        wrong.is_empty(),
        "{} of {MESSAGES}: {:?} …",
        wrong.len(),
        wrong.iter().take(20).collect::<Vec<_>>()
    );
    drop(broker.await.unwrap());
}

/// Expects that the publisher works over a new connection.
async fn works_again(peer: &Peer, publisher: &Publisher) {
    let mut link = next_link(peer, publisher).await;
    answered(publisher, &mut link, &[Nack(1), Ack(2)], &[REFUSED, OK]).await;
}

#[tokio::test]
async fn without_any_confirm_the_outcome_is_unknown_and_the_connection_is_replaced() {
    let peer = Peer::listen().await;
    let (publisher, mut link) = connected(&peer, Duration::from_millis(500)).await;
    let (handles, messages) = batch(&publisher, &mut link, 3).await;
    answer(&mut link, &messages, Ack(2)).await;
    assert_eq!(verdicts(handles).await, [UNKNOWN, OK, UNKNOWN]);
    link.hear_nothing_more().await;
    works_again(&peer, &publisher).await;
}

/// A confirm with another message's return leaves its own message open: that one's return may follow.
#[tokio::test]
async fn a_misattributed_return_delays_open_verdicts_and_further_messages_until_all_confirms_are_in() {
    let peer = Peer::listen().await;
    let (publisher, mut link) = connected(&peer, PATIENCE).await;
    let (mut handles, messages) = batch(&publisher, &mut link, 4).await;
    // The first carries the return of the second, the third that of the first, the last none.
    for step in [Return(2), Return(1), Ack(1), Ack(3), Ack(4)] {
        answer(&mut link, &messages, step).await;
    }
    assert_eq!(soon("the last", handles.pop().unwrap()).await.unwrap(), OK);
    assert!(!handles[2].is_finished(), "its own return might come with the confirm that is missing");
    handles.push(publish(&publisher, "new"));
    let quiet = tokio::time::timeout(Duration::from_millis(300), link.hear_publish()).await;
    assert!(quiet.is_err(), "sent before all returns are known");
    answer(&mut link, &messages, Ack(2)).await;
    let new = soon("the new one", link.hear_publish()).await;
    link.ack(&new, false).await;
    assert_eq!(verdicts(handles).await, [UNROUTABLE, UNROUTABLE, OK, OK]);
}

#[tokio::test]
async fn a_message_gets_its_verdict_before_older_ones_get_theirs() {
    let peer = Peer::listen().await;
    let (publisher, mut link) = connected(&peer, PATIENCE).await;
    let (mut handles, messages) = batch(&publisher, &mut link, 3).await;
    answer(&mut link, &messages, Return(3)).await;
    answer(&mut link, &messages, Ack(3)).await;
    answer(&mut link, &messages, Ack(2)).await;
    assert_eq!(soon("the third", handles.pop().unwrap()).await.unwrap(), UNROUTABLE);
    assert_eq!(soon("the second", handles.pop().unwrap()).await.unwrap(), OK);
    assert!(!handles[0].is_finished());
    // The window has room meanwhile.
    let later = publish(&publisher, "later");
    let message = link.hear_publish().await;
    link.ack(&message, false).await;
    assert_eq!(soon("the later one", later).await.unwrap(), OK);
    answer(&mut link, &messages, Ack(1)).await;
    assert_eq!(verdicts(handles).await, [OK]);
}

/// Several messages of one job, one of them past its `not_after`.
#[tokio::test]
async fn a_job_of_several_messages_is_sent_in_order_and_gets_a_verdict_for_each() {
    let peer = Peer::listen().await;
    let (publisher, mut link) = connected(&peer, PATIENCE).await;
    let too_late = Publication { not_after: Instant::now(), ..publication("late") };
    tokio::time::sleep(Duration::from_millis(1)).await;
    let job = vec![publication("a"), too_late, publication("b"), publication("c")];
    let verdicts = tokio::spawn(async move { publisher.publish_all(job, PATIENCE).await });
    let mut messages = Vec::new();
    for id in ["a", "b", "c"] {
        messages.push(link.hear_publish().await);
        assert_eq!(messages.last().unwrap().id(), id);
    }
    for step in [Return(2), Ack(3), Nack(1), Ack(2)] {
        answer(&mut link, &messages, step).await;
    }
    let late = Err(PublishError::NotSent(Trouble::Late));
    assert_eq!(soon("verdicts", verdicts).await.unwrap(), [REFUSED, late, UNROUTABLE, OK]);
}

#[tokio::test]
async fn a_connection_that_closes_leaves_the_outcome_unknown() {
    let peer = Peer::listen().await;
    let (publisher, mut link) = connected(&peer, PATIENCE).await;
    let (handles, messages) = batch(&publisher, &mut link, 2).await;
    answer(&mut link, &messages, Ack(1)).await;
    drop(link);
    let verdicts = verdicts(handles).await;
    assert!(matches!(verdicts[..], [OK | UNKNOWN, UNKNOWN]), "{verdicts:?}");
    works_again(&peer, &publisher).await;
}

#[tokio::test]
async fn a_return_still_unseen_when_the_channel_closes_makes_no_message_safe() {
    let peer = Peer::listen().await;
    let (publisher, mut link) = connected(&peer, PATIENCE).await;
    let (handles, messages) = batch(&publisher, &mut link, 4).await;
    // The confirm of 2 carries the return of 4; the return of 2 itself would have come with the next confirm.
    for step in [Ack(1), Return(4), Return(2), Ack(2)] {
        answer(&mut link, &messages, step).await;
    }
    link.close_channel(messages[0].channel).await;
    let (verdicts, ()) = tokio::join!(verdicts(handles), link.hear_nothing_more());
    assert_eq!(verdicts, [OK, UNKNOWN, UNKNOWN, UNKNOWN]);
    works_again(&peer, &publisher).await;
}

#[tokio::test]
async fn a_channel_that_is_closed_leaves_the_outcome_unknown() {
    let peer = Peer::listen().await;
    let (publisher, mut link) = connected(&peer, PATIENCE).await;
    let (handles, messages) = batch(&publisher, &mut link, 2).await;
    link.close_channel(messages[0].channel).await;
    let (verdicts, ()) = tokio::join!(verdicts(handles), link.hear_nothing_more());
    assert_eq!(verdicts, [UNKNOWN; 2]);
    works_again(&peer, &publisher).await;
}

#[tokio::test]
async fn a_silent_broker_is_abandoned_after_a_few_heartbeats() {
    let mut peer = Peer::listen().await;
    peer.heartbeat = 1;
    let (publisher, mut link) = connected(&peer, PATIENCE).await;
    let began = Instant::now();
    let (handles, _) = batch(&publisher, &mut link, 2).await;
    // The link stays open and sends nothing more.
    assert_eq!(verdicts(handles).await, [UNKNOWN; 2]);
    assert!(began.elapsed() < PATIENCE / 2, "that was the confirm timeout");
    peer.heartbeat = 60;
    works_again(&peer, &publisher).await;
    drop(link);
}

#[tokio::test]
async fn a_broker_that_blocks_publishers_in_the_middle_of_a_batch_is_waited_for() {
    const CONFIRM_TIMEOUT: Duration = Duration::from_secs(1);
    let peer = Peer::listen().await;
    let (publisher, mut link) = connected(&peer, CONFIRM_TIMEOUT).await;
    let (handles, messages) = batch(&publisher, &mut link, 2).await;
    let blocked = connection::Blocked { reason: "low on memory".into() };
    link.connection(connection::AMQPMethod::Blocked(blocked)).await;
    let mut watch = publisher.watch();
    let seen = watch.wait_for(|trouble| *trouble == Some(Trouble::BrokerBlocked));
    drop(soon("the block is seen", seen).await.unwrap());
    let refused = publish(&publisher, "new").await.unwrap();
    assert_eq!(refused, Err(PublishError::NotSent(Trouble::BrokerBlocked)));
    tokio::time::sleep(3 * CONFIRM_TIMEOUT).await;
    assert!(handles.iter().all(|handle| !handle.is_finished()), "a confirm timed out");
    answer(&mut link, &messages, Nack(1)).await;
    link.connection(connection::AMQPMethod::Unblocked(connection::Unblocked {})).await;
    answer(&mut link, &messages, Ack(2)).await;
    assert_eq!(verdicts(handles).await, [REFUSED, OK]);
    soon("the block has ended", watch.wait_for(Option::is_none)).await.unwrap();
    answered(&publisher, &mut link, &[Ack(1)], &[OK]).await;
}
