//! The receiver over TCP, with its answers to hostile clients.

use std::time::Duration;

use hookswitch::edge::http::Client;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use super::support::{PATIENCE, World, call, until};

/// Sends raw bytes, a part at a time. Returns the first line of the answer, and all of it.
async fn send(address: &str, parts: &[&[u8]], pause: Duration) -> (String, String) {
    let mut stream = TcpStream::connect(address).await.unwrap();
    for part in parts {
        // The server may answer and close before everything is sent.
        if stream.write_all(part).await.is_err() {
            break;
        }
        tokio::time::sleep(pause).await;
    }
    let mut answer = Vec::new();
    let read = stream.read_to_end(&mut answer);
    drop(tokio::time::timeout(Duration::from_secs(20), read).await.expect("an answer, never a hang"));
    let answer = String::from_utf8_lossy(&answer).into_owned();
    (answer.lines().next().unwrap_or_default().to_owned(), answer)
}

fn request(line: &str, headers: &str, body: &[u8]) -> Vec<u8> {
    let mut request = format!("{line} HTTP/1.1\r\nhost: test\r\nconnection: close\r\n{headers}").into_bytes();
    request.extend_from_slice(format!("content-length: {}\r\n\r\n", body.len()).as_bytes());
    request.extend_from_slice(body);
    request
}

const NOW: Duration = Duration::ZERO;

#[tokio::test]
async fn each_kind_of_request_gets_its_own_status() {
    let world = World::with(
        "[sources.guarded]\nprovider = \"varda\"\nauth = \"header_token\"\nauth_header = \"x-token\"\n\
         secret = \"old\"\nsecond_secret = \"new\"\nbody_bytes_max = 100\nanswer_body = '{\"cards\": []}'\n\
         answer_content_type = \"application/json\"",
    )
    .await;
    let receiver = world.receiver().await;
    receiver.ready().await;
    let status = async |line: &str, headers: &str, body: &[u8]| {
        let (status, _) = send(&receiver.address, &[&request(line, headers, body)], NOW).await;
        status.split(' ').nth(1).unwrap_or_default().to_owned()
    };
    assert_eq!(status("POST /in/salpre", "", b"not json is not the receiver's business").await, "200");
    assert_eq!(status("POST /in/nobody", "", b"{}").await, "404");
    assert_eq!(status("POST /in/No%20body", "", b"{}").await, "404");
    assert_eq!(status("POST /elsewhere", "", b"{}").await, "404");
    assert_eq!(status("GET /in/salpre", "", b"").await, "405");
    assert_eq!(status("PUT /in/salpre", "", b"{}").await, "405");
    assert_eq!(status("POST /in/salpre", "", b"").await, "400");
    assert_eq!(status("POST /in/guarded", "", b"{}").await, "401");
    assert_eq!(status("POST /in/guarded", "x-token: wrong\r\n", b"{}").await, "401");
    assert_eq!(status("POST /in/guarded", "x-token: old\r\n", b"{}").await, "200");
    assert_eq!(status("POST /in/guarded", "x-token: new\r\n", &[b'x'; 100]).await, "200");
    assert_eq!(status("POST /in/guarded", "x-token: new\r\n", &[b'x'; 101]).await, "413");
    assert_eq!(status("GET /livez", "", b"").await, "200");
    assert_eq!(status("GET /readyz", "", b"").await, "200");
    let (_, answer) =
        send(&receiver.address, &[&request("POST /in/guarded", "x-token: new\r\n", b"{}")], NOW).await;
    assert!(
        answer.contains("content-type: application/json") && answer.ends_with("{\"cards\": []}"),
        "{answer}"
    );
    world.wait_for_depth("raw.guarded", 3).await;
}

#[tokio::test]
async fn a_chunked_body_is_counted_too() {
    let world =
        World::with("[sources.small]\nprovider = \"salpre\"\nauth = \"none\"\nbody_bytes_max = 10").await;
    let receiver = world.receiver().await;
    receiver.ready().await;
    let head =
        b"POST /in/small HTTP/1.1\r\nhost: test\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\r\n";
    let (status, _) =
        send(&receiver.address, &[head, b"5\r\n12345\r\n", b"5\r\n12345\r\n0\r\n\r\n"], NOW).await;
    assert!(status.contains("200"), "{status}");
    let (status, _) =
        send(&receiver.address, &[head, b"5\r\n12345\r\n", b"6\r\n123456\r\n0\r\n\r\n"], NOW).await;
    assert!(status.contains("413"), "{status}");
}

#[tokio::test]
async fn the_largest_body_that_may_be_configured_gets_through_the_brokers_own_limit() {
    const LIMIT: usize = 16 << 20;
    let world =
        World::with("[sources.large]\nprovider = \"salpre\"\nauth = \"none\"\nbody_bytes_max = \"16MiB\"")
            .await;
    let receiver = world.receiver().await;
    receiver.ready().await;
    let url = format!("http://{}/in/large", receiver.address);
    let post =
        async |size| Client::new(PATIENCE).post(&url, &[], vec![b'x'; size].into()).await.unwrap().status;
    // On a slow disk a confirm may be late; a larger message would be refused every time.
    until("it is accepted", async || post(LIMIT).await == 200).await;
    assert_eq!(post(LIMIT + 1).await, 413);
    assert_eq!(world.look("raw.large").await[0].0.len(), LIMIT);
}

#[tokio::test]
async fn a_slow_sender_is_refused_and_holds_up_no_other() {
    let world = World::new().await;
    let receiver = world.receiver().await;
    receiver.ready().await;
    let pause = Duration::from_millis(600);
    let slow_body: Vec<&[u8]> =
        std::iter::once(b"POST /in/salpre HTTP/1.1\r\nhost: t\r\ncontent-length: 100\r\n\r\n".as_slice())
            .chain(std::iter::repeat_n(b"x".as_slice(), 8))
            .collect();
    let slow_head: Vec<&[u8]> = std::iter::once(b"POST /in/salpre HTTP/1.1\r\n".as_slice())
        .chain(std::iter::repeat_n(b"x-slow: 1\r\n".as_slice(), 8))
        .collect();
    let ((body_status, _), (head_status, _), fast) = tokio::join!(
        send(&receiver.address, &slow_body, pause),
        send(&receiver.address, &slow_head, pause),
        receiver.post("salpre", b"{}")
    );
    assert_eq!(fast, 200);
    assert!(body_status.contains("408"), "{body_status}");
    // hyper closes a connection whose headers are late.
    assert!(head_status.is_empty() || head_status.contains("408"), "{head_status}");
}

#[tokio::test]
async fn the_raw_message_holds_the_bytes_and_the_headers_that_matter_and_no_secret() {
    let world = World::with(
        "[sources.varda]\nprovider = \"varda\"\nauth = \"header_token\"\nauth_header = \"x-token\"\n\
         secret = \"hunter2\"\ncapture_headers = [\"x-mine\", \"x-token\"]",
    )
    .await;
    let receiver = world.receiver().await;
    receiver.ready().await;
    let body = b"\xff\x00 bytes";
    let headers = "x-token: hunter2\r\nX-Varda-Delivery: d1\r\nx-mine: 1\r\nx-other: 2\r\n\
                   authorization: Bearer s\r\n\
                   cookie: c\r\ntraceparent: 00-x\r\ncontent-type: application/json\r\n";
    let (status, _) = send(&receiver.address, &[&request("POST /in/varda", headers, body)], NOW).await;
    assert!(status.contains("200"), "{status}");
    let (raw, properties) = world.drain("raw.varda", 1).await.remove(0);
    assert_eq!(raw, body);
    assert_eq!(*properties.delivery_mode(), Some(2));
    let queued = hookswitch::edge::amqp::message::decode(&properties, raw).unwrap();
    let captured: Vec<_> = queued.webhook.headers.iter().map(|(name, _)| name.to_owned()).collect();
    let mut sorted = captured.clone();
    sorted.sort();
    assert_eq!(sorted, ["traceparent", "x-mine", "x-varda-delivery"]);
    assert!(!format!("{properties:?}").contains("hunter2"));
}

#[tokio::test]
async fn a_webhook_that_no_queue_would_take_is_not_answered_200() {
    let world = World::new().await;
    let receiver = world.receiver().await;
    receiver.ready().await;
    let channel = world.client().await.create_channel().await.unwrap();
    channel.queue_delete("raw.salpre".into(), Default::default()).await.unwrap();
    let (status, answer) = send(&receiver.address, &[&request("POST /in/salpre", "", &call(1))], NOW).await;
    assert!(status.contains("503"), "{status}");
    assert!(answer.contains("retry-after: 5"), "{answer}");
    assert_eq!(receiver.post("other", b"{}").await, 200);
}

#[tokio::test]
async fn without_a_broker_the_receiver_says_so_at_once_and_is_alive_but_not_ready() {
    let port = super::support::services::free_port();
    let world = World::configured(&format!("amqp://127.0.0.1:{port}/t1"), "redis://127.0.0.1:1/0", "");
    let receiver = world.receiver().await;
    assert_eq!(receiver.post("salpre", b"{}").await, 503);
    let (status, _) = send(&receiver.address, &[&request("GET /readyz", "", b"")], NOW).await;
    assert!(status.contains("503"), "{status}");
    let (status, _) = send(&receiver.address, &[&request("GET /livez", "", b"")], NOW).await;
    assert!(status.contains("200"), "{status}");
}

#[tokio::test]
async fn messages_that_share_a_batch_with_an_unroutable_one_are_told_apart() {
    let world = World::new().await;
    let publisher = world.publisher().await;
    let mut publishing = tokio::task::JoinSet::new();
    for n in 0..400 {
        // Every second one is unroutable.
        let source = if n % 2 == 0 { "salpre" } else { "nowhere" };
        let publication = hookswitch::edge::amqp::routes::accept(&super::support::queued(source, call(n)));
        let publisher = publisher.clone();
        publishing.spawn(async move { (n, publisher.publish(publication, super::support::PATIENCE).await) });
    }
    let unroutable = hookswitch::edge::amqp::publish::PublishError::Unroutable;
    while let Some(outcome) = publishing.join_next().await {
        let (n, verdict) = outcome.unwrap();
        assert_eq!(verdict, if n % 2 == 0 { Ok(()) } else { Err(unroutable) }, "message {n}");
    }
    world.wait_for_depth("raw.salpre", 200).await;
}
