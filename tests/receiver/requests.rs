//! Requests that are unusual but right, and those that are refused for their headers.

use std::{
    io::Write as _,
    time::{Duration, Instant},
};

use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use flate2::{Compression, write::GzEncoder};
use hmac::{Hmac, KeyInit as _, Mac as _};
use jiff::Timestamp;
use sha2::Sha256;

use crate::support::{Running, start};

/// Returns the headers of a webhook that is signed as Standard Webhooks: id, time and signature.
fn standard(id: &str, body: &[u8]) -> [String; 3] {
    let time = Timestamp::now().as_second();
    let key = BASE64.decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
    let mut mac = Hmac::<Sha256>::new_from_slice(&key).unwrap();
    mac.update(format!("{id}.{time}.").as_bytes());
    mac.update(body);
    let code = BASE64.encode(mac.finalize().into_bytes());
    [
        format!("webhook-id: {id}\r\n"),
        format!("webhook-timestamp: {time}\r\n"),
        format!("webhook-signature: v1,{code}\r\n"),
    ]
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn counts(receiver: &Running, source: &str, refusal: &str, count: u64) -> bool {
    let line = format!("hookswitch_refused_total{{source=\"{source}\",refusal=\"{refusal}\"}} {count}\n");
    receiver.metrics_text().contains(&line)
}

#[tokio::test]
async fn what_is_verified_is_what_is_used() {
    let receiver = start().await;
    let [id, time, signature] = standard("msg_1", b"{}");
    let genuine = format!("{id}{time}{signature}");
    assert_eq!(receiver.post("standard", &genuine, b"{}").await.status, 200);
    assert_eq!(receiver.taken()[0].0.headers.get("webhook-id"), Some("msg_1"));
    let repeated = [
        format!("{genuine}webhook-id: msg_2\r\n"),
        format!("webhook-id: msg_2\r\n{genuine}"),
        format!("{genuine}{id}"),
        format!("{genuine}Webhook-Id:\r\n"),
        format!("{genuine}{time}"),
        format!("{genuine}{signature}"),
    ];
    for headers in &repeated {
        assert_eq!(receiver.post("standard", headers, b"{}").await.status, 401, "{headers}");
    }
    assert_eq!(receiver.taken().len(), 1);
    assert!(counts(&receiver, "standard", "unauthenticated", 6));
    // The id of a provider that does not sign it is ambiguous all the same.
    let twice = "x-varda-delivery: a\r\nx-varda-delivery: b\r\n";
    assert_eq!(receiver.post("delivered", twice, b"{}").await.status, 400);
    assert!(counts(&receiver, "delivered", "repeated_header", 1));
    assert_eq!(receiver.post("token", "x-token: old\r\nx-token: old\r\n", b"{}").await.status, 401);
}

#[tokio::test]
async fn a_list_of_signatures_costs_one_mac_per_secret() {
    let receiver = start().await;
    let [id, time, signature] = standard("msg_1", b"{}");
    let candidates = "v1, ".repeat(15_000);
    let headers = format!("{id}{time}{}", signature.replace("v1,", &format!("{candidates}v1,")));
    let started = Instant::now();
    assert_eq!(receiver.post("standard", &headers, &vec![b'x'; 1 << 20]).await.status, 401);
    assert!(started.elapsed() < Duration::from_secs(3), "{:?}", started.elapsed());
}

#[tokio::test]
async fn a_missing_or_malformed_signature_is_refused_before_the_body_has_come() {
    let receiver = start().await;
    for headers in ["", "x-sig: zz\r\n"] {
        let head = "POST /in/signed HTTP/1.1\r\nhost: h\r\nconnection: close\r\ncontent-length: 1000\r\n";
        let head = format!("{head}{headers}\r\n");
        assert_eq!(receiver.raw(head.as_bytes()).await.status, 401);
    }
}

#[tokio::test]
async fn an_id_that_is_not_utf_8_stays_distinct_and_repeated_headers_are_kept() {
    let receiver = start().await;
    for id in [b"caf\xe9-77", b"caf\xe8-77"] {
        let head = b"POST /in/delivered HTTP/1.1\r\nhost: h\r\nconnection: close\r\ncontent-length: 2\r\n";
        let request = [head.as_slice(), b"x-varda-delivery: ", id, b"\r\n\r\n{}"].concat();
        assert_eq!(receiver.raw(&request).await.status, 200);
    }
    let taken = receiver.taken();
    let ids: Vec<_> = taken.iter().map(|(webhook, _)| webhook.headers.get("x-varda-delivery")).collect();
    assert_eq!(ids, [Some("caf\u{fffd}e9-77"), Some("caf\u{fffd}e8-77")]);
}

#[tokio::test]
async fn a_long_tracestate_pushes_out_no_header_that_was_asked_for() {
    let receiver = start().await;
    let headers = format!("traceparent: 00-1\r\ntracestate: a={}\r\nx-extra: kept\r\n", "x".repeat(70));
    assert_eq!(receiver.post("open", &headers, b"{}").await.status, 200);
    let captured = &receiver.taken()[0].0.headers;
    assert_eq!(captured.get("x-extra"), Some("kept"));
    assert_eq!((captured.get("traceparent"), captured.get("tracestate")), (Some("00-1"), None));
}

#[tokio::test]
async fn a_gzipped_body_is_verified_as_sent_and_stored_decoded() {
    let receiver = start().await;
    let body = br#"{"topic":"PING","data":{}}"#;
    let encoded = gzip(body);
    let [id, time, signature] = standard("msg_1", &encoded);
    let headers = format!("{id}{time}{signature}content-encoding: gzip\r\n");
    assert_eq!(receiver.post("standard", &headers, &encoded).await.status, 200);
    assert_eq!(receiver.taken()[0].0.body.as_ref(), body);
    let [id, time, signature] = standard("msg_1", body);
    let headers = format!("{id}{time}{signature}content-encoding: gzip\r\n");
    assert_eq!(receiver.post("standard", &headers, &encoded).await.status, 401);
    // The limit of `open` is 100 bytes.
    let bomb = gzip(&[b'x'; 10_000]);
    assert!(bomb.len() < 100);
    let gzipped = "content-encoding: gzip\r\n";
    assert_eq!(receiver.post("open", gzipped, &bomb).await.status, 413);
    assert_eq!(receiver.post("open", gzipped, b"{}").await.status, 400);
    assert!(counts(&receiver, "open", "undecodable", 1));
    for coding in ["br", "deflate", "gzip, gzip"] {
        let answer = receiver.post("open", &format!("content-encoding: {coding}\r\n"), b"{}").await;
        assert_eq!((answer.status, answer.header("accept-encoding")), (415, Some("gzip")), "{coding}");
    }
    assert_eq!(receiver.post("open", "content-encoding: identity\r\n", b"{}").await.status, 200);
}

#[tokio::test]
async fn a_slash_too_many_does_not_matter_and_every_other_path_is_counted() {
    let receiver = start().await;
    for path in ["/in/open", "/in/open/", "//in/open", "/in//open", "//in//open//", "/in/open/?a=/b"] {
        assert_eq!(receiver.request("POST", path, "", b"{}").await.status, 200, "{path}");
    }
    let refused = ["/", "/in", "/in/", "/in/open/x", "/x/in/open", "/IN/open", "/in/open%2f", "/livez"];
    for path in refused {
        assert_eq!(receiver.request("POST", path, "", b"{}").await.status, 404, "{path}");
    }
    assert!(counts(&receiver, "(unknown)", "unknown_source", refused.len() as u64));
}

#[tokio::test]
async fn only_chunked_is_taken_as_a_transfer_coding() {
    let receiver = start().await;
    let post = async |codings: &str| {
        let head = format!("POST /in/open HTTP/1.1\r\nhost: h\r\nconnection: close\r\n{codings}\r\n");
        receiver.raw(format!("{head}2\r\n{{}}\r\n0\r\n\r\n").as_bytes()).await.status
    };
    assert_eq!(post("transfer-encoding: chunked\r\n").await, 200);
    assert_eq!(post("Transfer-Encoding: Chunked\r\n").await, 200);
    for codings in [
        "transfer-encoding: gzip, chunked\r\n",
        "transfer-encoding: chunked, chunked\r\n",
        "transfer-encoding: gzip\r\ntransfer-encoding: chunked\r\n",
        "transfer-encoding: identity, chunked\r\n",
    ] {
        assert_eq!(post(codings).await, 501, "{codings}");
    }
    assert_eq!(post("transfer-encoding: gzip\r\n").await, 400);
    assert_eq!(receiver.taken().len(), 2);
}
