//! The queue and the thread, with collectors that fail.

use std::{collections::BTreeMap, io::Read as _, net::TcpListener, path::Path};

use uuid::Uuid;

use super::{
    conventions::{self, Frame, Request},
    *,
};
use crate::{
    config::Config,
    core::trace::{Trace, first_half},
};

fn config(lines: &str) -> Tracing {
    let text = format!("[tracing]\n{lines}");
    Config::parse(&text, Path::new("test.toml"), &BTreeMap::new()).expect("it is right").tracing
}

fn span(method: &str) -> SpanData {
    let trace = Trace::root(Uuid::new_v4(), SampleRatio::ALL).expect("recorded");
    let time = SystemTime::now();
    let frame = Frame { trace, id: first_half(Uuid::new_v4()), parent: None, start: time, end: time };
    let request = Request { method, source: "salpre", status: 503, refusal: Some("not_stored") };
    conventions::request(frame, request)
}

#[test]
fn without_a_collector_nothing_starts() {
    assert!(start(&config(""), &Arc::default()).expect("nothing can fail").is_none());
}

#[test]
fn a_collector_that_never_answers_costs_a_full_queue_and_the_rest_is_counted() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let endpoint = format!("endpoint = \"http://{}\"", listener.local_addr().expect("an address"));
    let metrics = Arc::default();
    let (tracer, sending) = start(&config(&endpoint), &metrics).expect("it starts").expect("it is on");
    tracer.record((0..600).map(|_| span("POST")));
    let mut request = [0; 4];
    let (mut connection, _) = listener.accept().expect("the thread connects");
    connection.read_exact(&mut request).expect("a request");
    assert_eq!(&request, b"POST");
    // 512 are being sent, and 88 of the 4,096 places are taken.
    tracer.record((0..6_000).map(|_| span("POST")));
    assert_eq!((metrics.dropped.get(), metrics.exported.get()), (6_000 - (4_096 - 88), 0));
    drop(sending);
    tracer.record([span("POST")]);
    assert_eq!(metrics.dropped.get(), 6_000 - (4_096 - 88) + 1, "after the end nothing is kept");
}

#[test]
fn a_sender_cannot_choose_the_name_of_a_span() {
    assert_eq!(span("POST").name, "POST /in/{source}");
    let odd = span("15550100123");
    assert_eq!(odd.name, "HTTP /in/{source}");
    assert!(!format!("{odd:?}").contains("1555"), "{odd:?}");
}
