//! Clients that are slow, greedy, half closed, or there when the receiver stops.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use tokio::time::{sleep, timeout};

use crate::support::{HANGS, LIMITS, Limits, Running, Wire, start, start_configured, start_with, wait_for};

/// A webhook on a connection that stays open.
const POST: &[u8] = b"POST /in/open HTTP/1.1\r\nhost: h\r\ncontent-length: 2\r\n\r\n{}";

fn refused(receiver: &Running, source: &str, refusal: &str) -> u64 {
    let name = format!("hookswitch_refused_total{{source=\"{source}\",refusal=\"{refusal}\"}} ");
    let text = receiver.metrics_text();
    text.lines().find_map(|line| line.strip_prefix(&name)).map_or(0, |count| count.parse().unwrap())
}

/// Waits until the receiver ends the connection; returns the time that it took.
async fn ended(stream: &mut Wire) -> Duration {
    let started = Instant::now();
    stream.read(usize::MAX).await;
    started.elapsed()
}

#[tokio::test]
async fn a_half_closed_sender_gets_its_answer() {
    let receiver = start().await;
    for request in [
        POST,
        b"POST /in/open HTTP/1.1\r\nhost: h\r\ntransfer-encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
        b"POST /in/open HTTP/1.0\r\ncontent-length: 2\r\n\r\n{}",
    ] {
        let mut stream = receiver.connect().await;
        stream.write(request).await;
        stream.finish().await;
        assert_eq!(stream.answer().await.status, 200);
    }
    assert_eq!(receiver.taken().len(), 3);
}

#[tokio::test]
async fn a_connection_may_be_idle_for_longer_than_a_head_may_take() {
    let receiver = start().await;
    let mut stream = receiver.connect().await;
    for _ in 0..2 {
        stream.write(POST).await;
        assert_eq!(stream.next_answer().await.status, 200);
        sleep(LIMITS.read_timeout * 2).await;
    }
    // The next head has its own limit.
    stream.write(b"POST /in/open HTTP/1.1\r\n").await;
    let started = Instant::now();
    assert_eq!(stream.answer().await.status, 408);
    assert!(started.elapsed() < LIMITS.idle_timeout / 2);
    assert_eq!(refused(&receiver, "(unknown)", "slow_head"), 1);
    let mut idle = receiver.connect().await;
    idle.write(POST).await;
    assert_eq!(idle.next_answer().await.status, 200);
    let took = ended(&mut idle).await;
    assert!(took > LIMITS.idle_timeout / 2 && took < LIMITS.idle_timeout * 2, "{took:?}");
}

#[tokio::test]
async fn idle_connections_are_closed_sooner_while_connections_are_scarce() {
    let receiver = start_with(Limits { connections_max: 4, ..LIMITS }).await;
    let mut streams = Vec::new();
    for _ in 0..3 {
        let mut stream = receiver.connect().await;
        stream.write(POST).await;
        assert_eq!(stream.next_answer().await.status, 200);
        streams.push(stream);
    }
    assert!(ended(&mut streams[2]).await < LIMITS.idle_timeout / 2);
    streams[0].write(POST).await;
    assert_eq!(streams[0].next_answer().await.status, 200);
}

#[tokio::test]
async fn a_client_that_takes_no_answers_gives_its_slot_back() {
    let receiver = start_with(Limits { connections_max: 1, ..LIMITS }).await;
    let mut greedy = receiver.connect().await;
    // Answers until the buffers of both kernels are full.
    let request = b"GET /livez HTTP/1.1\r\nhost: h\r\n\r\n".repeat(1_000);
    let flooding = async { while greedy.try_write(&request).await {} };
    timeout(HANGS, flooding).await.expect("the connection is not cut");
    assert_eq!(refused(&receiver, "(unknown)", "slow_reader"), 1);
    assert_eq!(receiver.post("open", "", b"{}").await.status, 200);
}

#[tokio::test]
async fn an_old_connection_ends_with_its_next_answer() {
    let age = Duration::from_millis(500);
    let limits = Limits { connection_age_max: age, ..LIMITS };
    let receiver = start_with(limits).await;
    let mut stream = receiver.connect().await;
    stream.write(POST).await;
    assert_eq!(stream.next_answer().await.header("connection"), None);
    sleep(age * 2).await;
    stream.write(POST).await;
    let answer = stream.answer().await;
    assert_eq!((answer.status, answer.header("connection")), (200, Some("close")));
    // Whatever a client does, a connection ends some time after that.
    let limits = Limits { idle_timeout: age, drain_max: age, ..limits };
    let receiver = start_with(Limits { read_timeout: HANGS, ..limits }).await;
    let mut slow = receiver.connect().await;
    slow.write(b"POST /in/open HTTP/1.1\r\n").await;
    assert!(ended(&mut slow).await < age * 8);
}

#[tokio::test]
async fn a_stop_costs_a_client_that_keeps_its_connection_no_request() {
    let receiver = start().await;
    let streams = join_all((0..8).map(|_| receiver.connect())).await;
    let clients = join_all(streams.into_iter().zip(0..).map(async |(mut stream, number)| {
        let mut answered = 0;
        loop {
            stream.write(POST).await;
            let answer = stream.next_answer().await;
            assert_eq!(answer.status, 200);
            answered += 1;
            if answer.header("connection") == Some("close") {
                return answered;
            }
            sleep(Duration::from_millis(30 + number)).await;
        }
    }));
    let stop = async {
        sleep(Duration::from_millis(200)).await;
        receiver.stop.send(()).unwrap();
    };
    let (answered, ()) = timeout(HANGS, async { tokio::join!(clients, stop) }).await.expect("no close");
    assert_eq!(answered.iter().sum::<usize>(), receiver.sink.taken.lock().unwrap().len());
    timeout(HANGS, receiver.server).await.expect("does not stop").unwrap();
}

#[tokio::test]
async fn a_head_of_exactly_the_limit_is_taken_and_a_longer_one_answered_431() {
    const LIMIT: usize = 64 * 1024;
    let receiver = start().await;
    let head = |length: usize| {
        let start = "POST /in/open HTTP/1.1\r\nhost: h\r\nconnection: close\r\ncontent-length: 2\r\n";
        let lines = ["x-a: ", "\r\nx-b: ", "\r\n\r\n"];
        let rest = length - start.len() - lines.iter().map(|line| line.len()).sum::<usize>();
        let [a, b, end] = lines;
        format!("{start}{a}{}{b}{}{end}{{}}", "y".repeat(rest / 2), "z".repeat(rest - rest / 2))
    };
    for (length, status) in [(LIMIT, 200), (LIMIT + 1, 431), (70 * 1000, 431), (200_000, 431)] {
        assert_eq!(receiver.raw(head(length).as_bytes()).await.status, status, "{length}");
    }
    wait_for(|| refused(&receiver, "(unknown)", "head_too_large") == 3).await;
    assert_eq!(receiver.raw(b"POST /in/open HTTP/1.1\r\nb@d name: 1\r\n\r\n").await.status, 400);
    wait_for(|| refused(&receiver, "(unknown)", "malformed_request") == 1).await;
    let metrics = receiver.metrics_text();
    assert!(metrics.contains(r#"received_total{source="(unknown)",status="431"} 3"#), "{metrics}");
}

/// Begins a webhook of `length` bytes and sends all but the last of them.
async fn almost_post(receiver: &Running, source: &str, length: usize) -> Wire {
    let mut stream = receiver.connect().await;
    let head = format!("POST /in/{source} HTTP/1.1\r\nhost: h\r\ncontent-length: {length}\r\n\r\n");
    stream.write(head.as_bytes()).await;
    stream.write(&vec![b'x'; length - 1]).await;
    stream
}

#[tokio::test]
async fn requests_over_the_memory_are_answered_503_at_once_and_leave_room_for_other_sources() {
    const BODY: usize = 1 << 20;
    let limits = Limits { read_timeout: HANGS, ..LIMITS };
    let lines = "memory_max = \"4MiB\"\nread_timeout = \"20s\"";
    let receiver = start_configured(lines, limits).await;
    let mut held = Vec::new();
    for _ in 0..2 {
        held.push(almost_post(&receiver, "cards", BODY).await);
    }
    let until = Instant::now() + HANGS;
    while receiver.post("cards", "", b"{}").await.status == 200 {
        assert!(Instant::now() < until, "the bodies take no memory");
    }
    let head = format!("POST /in/cards HTTP/1.1\r\nhost: h\r\ncontent-length: {BODY}\r\n\r\n");
    let answer = receiver.raw(head.as_bytes()).await;
    assert_eq!((answer.status, answer.header("retry-after")), (503, Some("7")));
    assert!(refused(&receiver, "cards", "no_memory") >= 2);
    assert_eq!(receiver.post("open", "", b"{}").await.status, 200);
    held[0].write(b"x").await;
    assert_eq!(held[0].read(12).await, b"HTTP/1.1 200");
    assert_eq!(receiver.post("cards", "", &[b'x'; 1_000]).await.status, 200);
    // A claim alone takes nothing.
    drop(held);
    for _ in 0..8 {
        let mut stream = receiver.connect().await;
        stream.write(head.as_bytes()).await;
    }
    wait_for(|| receiver.metrics_text().contains("hookswitch_receiver_in_flight 0")).await;
    assert_eq!(receiver.post("cards", "", &vec![b'x'; BODY]).await.status, 200);
}

#[tokio::test]
async fn heads_take_memory_too() {
    let receiver = start_configured("memory_max = \"4MiB\"", Limits { connections_max: 100, ..LIMITS }).await;
    let mut streams = Vec::new();
    let head = format!("POST /in/open HTTP/1.1\r\nx-a: {}", "y".repeat(60_000));
    for _ in 0..75 {
        let mut stream = receiver.connect().await;
        if !stream.try_write(head.as_bytes()).await {
            break;
        }
        streams.push(stream);
    }
    wait_for(|| refused(&receiver, "(unknown)", "no_memory") > 0).await;
    drop(streams);
    assert_eq!(receiver.post("open", "", b"{}").await.status, 200);
}
