//! The receiver over real TCP.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod clients;
mod memory;
mod requests;
mod support;

use std::{
    sync::atomic::Ordering,
    time::{Duration, Instant},
};

use bytes::Bytes;
use futures_util::future::join_all;
use hookswitch::{
    app::receiver::sink::SinkError,
    edge::{
        http::{self, Client, Drained},
        trouble::Trouble,
    },
};
use support::{Does, HANGS, LIMITS, Limits, start, start_with, wait_for, wait_for_async};
use tokio::{net::TcpStream, time::timeout};

#[tokio::test]
async fn an_accepted_webhook_is_answered_200_and_arrives_byte_for_byte() {
    let receiver = start().await;
    let body = [b"{\"a\": 1.0, \xff\xfe not json".as_slice(), &[0, 10, 13]].concat();
    let answer = receiver.post("open", "content-type: application/json\r\n", &body).await;
    assert_eq!((answer.status, answer.body.as_str()), (200, ""));
    let taken = receiver.taken();
    let [(webhook, content_type)] = taken.as_slice() else { panic!("{taken:?}") };
    assert_eq!((webhook.body.as_ref(), webhook.source.as_str()), (body.as_slice(), "open"));
    assert_eq!(content_type.as_deref(), Some("application/json"));
    assert_eq!(answer.header("hookswitch-delivery"), Some(webhook.delivery_id.to_string().as_str()));
    assert_eq!(&webhook.delivery_id.to_string()[14..15], "7", "a delivery id is a UUIDv7");
}

#[tokio::test]
async fn a_source_answers_with_what_its_provider_expects() {
    let receiver = start().await;
    let answer = receiver.post("cards", "", b"{}").await;
    assert_eq!((answer.status, answer.body.as_str()), (200, r#"{"cards": []}"#));
    assert_eq!(answer.header("content-type"), Some("application/json"));
}

#[tokio::test]
async fn every_refusal_has_its_status() {
    let receiver = start().await;
    for (answer, status) in [
        (receiver.post("nobody", "", b"{}").await, 404),
        (receiver.post("Open", "", b"{}").await, 404),
        (receiver.post("open/x", "", b"{}").await, 404),
        (receiver.post("%6fpen", "", b"{}").await, 404),
        (receiver.request("POST", "/", "", b"{}").await, 404),
        (receiver.request("GET", "/in/nobody", "", b"").await, 404),
        (receiver.post("token", "", b"{}").await, 401),
        (receiver.post("token", "x-token: other\r\n", b"{}").await, 401),
        (receiver.post("signed", "x-sig: 00\r\n", b"{}").await, 401),
        (receiver.post("open", "", &[b'x'; 101]).await, 413),
        (receiver.post("open", "", b"").await, 400),
        (receiver.raw(b"POST /in/open HTTP/1.1\r\nhost: h\r\nconnection: close\r\n\r\n").await, 400),
    ] {
        assert_eq!(answer.status, status, "{answer:?}");
    }
    for method in ["GET", "HEAD", "PUT", "DELETE", "OPTIONS"] {
        let answer = receiver.request(method, "/in/open", "", b"").await;
        assert_eq!((answer.status, answer.header("allow")), (405, Some("post")), "{method}");
    }
    assert!(receiver.taken().is_empty());
}

#[tokio::test]
async fn an_unknown_source_is_refused_before_its_body_has_come() {
    let receiver = start().await;
    let head = b"POST /in/nobody HTTP/1.1\r\nhost: h\r\nconnection: close\r\ncontent-length: 1000000\r\n\r\n";
    assert_eq!(receiver.raw(head).await.status, 404);
}

#[tokio::test]
async fn a_body_of_exactly_the_limit_is_taken() {
    let receiver = start().await;
    assert_eq!(receiver.post("open", "", &[b'x'; 100]).await.status, 200);
    let chunked =
        "POST /in/open HTTP/1.1\r\nhost: h\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\r\n";
    let body = format!("64\r\n{}\r\n0\r\n\r\n", "x".repeat(100));
    assert_eq!(receiver.raw(format!("{chunked}{body}").as_bytes()).await.status, 200);
}

#[tokio::test]
async fn a_chunked_body_over_the_limit_is_refused_while_it_comes() {
    let receiver = start().await;
    let mut stream = receiver.connect().await;
    stream.write(b"POST /in/open HTTP/1.1\r\nhost: h\r\ntransfer-encoding: chunked\r\n\r\n40\r\n").await;
    stream.write(&[b'x'; 0x40]).await;
    stream.write(b"\r\n40\r\n").await;
    stream.write(&[b'x'; 0x40]).await;
    // There is no last chunk: the answer does not wait for the end of the body.
    assert_eq!(stream.answer().await.status, 413);
}

#[tokio::test]
async fn a_sender_that_is_refused_may_write_its_body_to_the_end() {
    let receiver = start().await;
    for path in ["/in/open", "/in/nobody", "/in/token"] {
        let mut stream = receiver.connect().await;
        let head = format!("POST {path} HTTP/1.1\r\nhost: h\r\ncontent-length: 500000\r\n\r\n");
        stream.write(head.as_bytes()).await;
        let mut answer = stream.read(12).await;
        assert!(answer.starts_with(b"HTTP/1.1 4"), "{path}");
        for _ in 0..10 {
            // If the receiver had closed the connection with its answer, the first of these would reset it.
            stream.write(&[b'x'; 50_000]).await;
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        answer.extend(stream.read(100).await);
        assert!(String::from_utf8_lossy(&answer).contains("content-type"), "{path}");
    }
}

#[tokio::test]
async fn a_body_that_does_not_come_is_answered_408() {
    let receiver = start().await;
    let mut stream = receiver.connect().await;
    stream.write(b"POST /in/open HTTP/1.1\r\nhost: h\r\ncontent-length: 10\r\n\r\n12345").await;
    let answer = stream.answer().await;
    assert_eq!(answer.status, 408);
    assert!(receiver.taken().is_empty());
}

#[tokio::test]
async fn headers_that_do_not_come_end_the_connection() {
    let receiver = start().await;
    let mut stream = receiver.connect().await;
    stream.write(b"POST /in/open HTTP/1.1\r\nhost: h\r\nx-slow: ").await;
    let rest = stream.read(usize::MAX).await;
    assert!(!rest.starts_with(b"HTTP/1.1 200"));
}

#[tokio::test]
async fn a_body_that_breaks_off_is_not_accepted() {
    let receiver = start().await;
    let mut stream = receiver.connect().await;
    stream.write(b"POST /in/open HTTP/1.1\r\nhost: h\r\ncontent-length: 10\r\n\r\n12345").await;
    wait_for(|| receiver.metrics_text().contains("hookswitch_receiver_in_flight 1")).await;
    drop(stream);
    wait_for(|| receiver.metrics_text().contains("hookswitch_receiver_in_flight 0")).await;
    assert!(receiver.taken().is_empty());
}

#[tokio::test]
async fn a_sink_that_fails_gives_503_and_says_when_to_come_back() {
    let receiver = start().await;
    for error in [
        SinkError::Unavailable(Trouble::BrokerDown),
        SinkError::Refused,
        SinkError::Unroutable,
        SinkError::TimedOut,
    ] {
        receiver.sink_does(Does::Fail(error));
        let answer = receiver.post("open", "", b"{}").await;
        assert_eq!((answer.status, answer.header("retry-after")), (503, Some("7")), "{error}");
    }
    receiver.sink_does(Does::Take);
    assert_eq!(receiver.post("open", "", b"{}").await.status, 200);
}

#[tokio::test]
async fn a_sink_that_hangs_gives_503_within_the_deadline() {
    let receiver = start().await;
    receiver.sink_does(Does::Hang);
    let started = Instant::now();
    let answer = receiver.post("open", "", b"{}").await;
    assert_eq!((answer.status, answer.header("retry-after")), (503, Some("7")));
    assert!(started.elapsed() >= Duration::from_millis(300));
    assert!(started.elapsed() < HANGS / 2);
}

#[tokio::test]
async fn a_flood_of_one_source_leaves_the_way_to_the_broker_free_for_others() {
    const FLOOD: usize = 20;
    for (other_is_active, most) in [(false, FLOOD), (true, 8)] {
        let receiver = start().await;
        if other_is_active {
            assert_eq!(receiver.post("cards", "", b"{}").await.status, 200);
        }
        receiver.sink_does(Does::Hang);
        let flood = join_all((0..FLOOD).map(|_| receiver.post("open", "", b"{}")));
        let meanwhile = async {
            wait_for(|| receiver.hung() == most).await;
            receiver.sink_does(Does::Take);
            assert_eq!(receiver.post("cards", "", b"{}").await.status, 200);
        };
        let (answers, ()) = tokio::join!(flood, meanwhile);
        // Some hung, the others got no turn in time. Providers retry all of them.
        assert!(answers.iter().all(|answer| answer.status == 503));
        assert_eq!(receiver.hung(), most);
        let again = join_all((0..FLOOD).map(|_| receiver.post("open", "", b"{}"))).await;
        assert!(again.iter().all(|answer| answer.status == 200), "turns are given back");
    }
}

#[tokio::test]
async fn either_secret_is_taken_during_a_rotation() {
    let receiver = start().await;
    for (token, status) in [("old", 200), ("new", 200), ("olde", 401)] {
        let answer = receiver.post("token", &format!("x-token: {token}\r\n"), b"{}").await;
        assert_eq!(answer.status, status, "{token}");
    }
}

#[tokio::test]
async fn a_signature_is_checked_over_the_raw_bytes() {
    let receiver = start().await;
    let sig = "x-sig: 5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843\r\n";
    assert_eq!(receiver.post("signed", sig, b"what do ya want for nothing?").await.status, 200);
    assert_eq!(receiver.post("signed", sig, b"what do ya want for nothing? ").await.status, 401);
}

#[tokio::test]
async fn headers_on_the_list_are_captured_and_credentials_never() {
    let receiver = start().await;
    let headers = "authorization: Basic abc\r\ncookie: a=b\r\nX-Token: old\r\nX-Extra: one\r\n\
                   x-extra: two\r\ntraceparent: 00-1\r\nx-other: no\r\n";
    assert_eq!(receiver.post("token", headers, b"{}").await.status, 200);
    let taken = receiver.taken();
    let captured: Vec<_> = taken[0].0.headers.iter().collect();
    assert_eq!(captured, [("traceparent", "00-1"), ("x-extra", "one"), ("x-extra", "two")]);
}

#[tokio::test]
async fn headers_over_the_budget_are_left_out_and_counted() {
    let receiver = start().await;
    let request = [
        b"POST /in/open HTTP/1.1\r\nhost: h\r\nconnection: close\r\ncontent-length: 2\r\nx-extra: a\xffb\r\n"
            .as_slice(),
        format!("x-long: {}\r\n\r\n{{}}", "y".repeat(100)).as_bytes(),
    ]
    .concat();
    assert_eq!(receiver.raw(&request).await.status, 200);
    let taken = receiver.taken();
    assert_eq!(taken[0].0.headers.iter().collect::<Vec<_>>(), [("x-extra", "a\u{fffd}ffb")]);
    let metrics = receiver.metrics_text();
    assert!(metrics.contains(r#"hookswitch_headers_left_out_total{source="open"} 1"#), "{metrics}");
}

#[tokio::test]
async fn requests_are_counted_and_unknown_sources_share_one_label() {
    let receiver = start().await;
    receiver.post("open", "", b"{}").await;
    receiver.post("made-up-1", "", b"{}").await;
    receiver.post("made-up-2", "", b"{}").await;
    let metrics = receiver.metrics_text();
    for line in [
        r#"hookswitch_received_total{source="open",status="200"} 1"#,
        r#"hookswitch_received_total{source="(unknown)",status="404"} 2"#,
        r#"hookswitch_accept_seconds_count{source="open"} 1"#,
        "hookswitch_receiver_in_flight 0",
    ] {
        assert!(metrics.contains(line), "lacks {line}: {metrics}");
    }
    assert!(!metrics.contains("made-up"));
}

#[tokio::test]
async fn a_sender_that_waits_for_100_continue_gets_it() {
    let receiver = start().await;
    let mut stream = receiver.connect().await;
    stream
        .write(
            b"POST /in/open HTTP/1.1\r\nhost: h\r\nconnection: close\r\nexpect: 100-continue\r\n\
              content-length: 2\r\n\r\n",
        )
        .await;
    let interim = b"HTTP/1.1 100 Continue\r\n\r\n";
    assert_eq!(stream.read(interim.len()).await, interim);
    stream.write(b"{}").await;
    assert_eq!(stream.answer().await.status, 200);
}

#[tokio::test]
async fn a_sender_that_would_be_refused_is_not_asked_for_its_body() {
    let receiver = start().await;
    let head = b"POST /in/open HTTP/1.1\r\nhost: h\r\nexpect: 100-continue\r\ncontent-length: 101\r\n\r\n";
    assert_eq!(receiver.raw(head).await.status, 413);
}

#[tokio::test]
async fn over_the_limit_connections_wait_until_one_is_free() {
    let receiver = start_with(Limits { connections_max: 1, read_timeout: HANGS, ..LIMITS }).await;
    let holder = receiver.connect().await;
    let post = receiver.post("open", "", b"{}");
    let mut post = std::pin::pin!(post);
    assert!(timeout(Duration::from_millis(300), &mut post).await.is_err(), "the limit does not hold");
    drop(holder);
    assert_eq!(timeout(HANGS, post).await.expect("the slot is not given back").status, 200);
}

#[tokio::test]
async fn liveness_is_about_the_process_and_readiness_about_the_broker() {
    let receiver = start().await;
    let client = Client::new(HANGS);
    let url = |path: &str| format!("http://{}{path}", receiver.address);
    assert_eq!(client.get(&url("/readyz")).await.unwrap().status, 200);
    receiver.sink.ready.store(false, Ordering::SeqCst);
    assert_eq!(client.get(&url("/readyz")).await.unwrap().status, 503);
    assert_eq!(client.get(&url("/livez")).await.unwrap().status, 200);
}

#[tokio::test]
async fn the_client_posts_and_says_what_is_wrong() {
    let receiver = start().await;
    let client = Client::new(HANGS);
    let url = format!("http://{}/in/token", receiver.address);
    let reply = client.post(&url, &[("x-token", "old")], Bytes::from_static(b"{}")).await.unwrap();
    assert_eq!((reply.status, reply.body.len()), (200, 0));
    assert_eq!(client.post(&url, &[], Bytes::from_static(b"{}")).await.unwrap().status, 401);
    for bad in ["https://h/", "/x", "not an address"] {
        let error = client.get(bad).await.unwrap_err().to_string();
        assert!(error.contains("invalid URL"), "{error}");
    }
    let closed = http::bind(([127, 0, 0, 1], 0).into()).await.unwrap().local_addr().unwrap();
    let error = client.get(&format!("http://{closed}/")).await.unwrap_err().to_string();
    assert!(error.contains("no response from") && error.contains("refused"), "{error}");
    receiver.sink_does(Does::Hang);
    let impatient = Client::new(Duration::from_millis(50));
    let error = impatient.post(&url, &[("x-token", "old")], Bytes::from_static(b"{}")).await.unwrap_err();
    assert!(error.to_string().contains("within 50ms"), "{error}");
}

#[tokio::test]
async fn a_stop_answers_what_is_in_flight_and_refuses_what_is_new() {
    let receiver = start().await;
    let idle = receiver.connect().await;
    let mut stream = receiver.connect().await;
    stream.write(b"POST /in/open HTTP/1.1\r\nhost: h\r\ncontent-length: 2\r\n\r\n{").await;
    wait_for(|| receiver.metrics_text().contains("hookswitch_receiver_in_flight 1")).await;
    receiver.stop.send(()).unwrap();
    wait_for_async(|| async { TcpStream::connect(receiver.address).await.is_err() }).await;
    stream.write(b"}").await;
    assert_eq!(stream.answer().await.status, 200);
    drop(idle);
    assert_eq!(timeout(HANGS, receiver.server).await.expect("does not stop").unwrap(), Drained::Clean);
}

#[tokio::test]
async fn a_stop_ends_when_its_time_is_over() {
    let receiver = start_with(Limits { drain_max: Duration::from_millis(100), ..LIMITS }).await;
    let mut stream = receiver.connect().await;
    stream.write(b"POST /in/open HTTP/1.1\r\nhost: h\r\ncontent-length: 2\r\n\r\n{").await;
    wait_for(|| receiver.metrics_text().contains("hookswitch_receiver_in_flight 1")).await;
    receiver.stop.send(()).unwrap();
    assert_eq!(timeout(HANGS, receiver.server).await.expect("does not stop").unwrap(), Drained::Cut(1));
}
