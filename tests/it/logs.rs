//! The log of the program, as `docs/logs.md` describes it: JSON that machines read, one id from request to
//! event, no colour codes.

use std::{fs::File, process::Stdio};

use bytes::Bytes;
use hookswitch::edge::http::Client;
use serde_json::Value;

use crate::support::{
    PATIENCE, World, call,
    program::Program,
    services::{free_port, spawn},
    until,
};

/// Runs `hookswitch all`, posts a good webhook, one that is refused and one that dies, and returns the log
/// and the id of the good one.
async fn log_of(format: &str) -> (String, String) {
    let world = World::new().await;
    let (program, port) = (Program::of(&world), free_port());
    let path = program.file("log");
    let mut command = program.tied("all");
    command
        .env("HOOKSWITCH_LOG_FORMAT", format)
        .env("HOOKSWITCH_LOG_FILTER", "debug")
        .env("HOOKSWITCH_ADMIN_LISTEN", format!("127.0.0.1:{}", free_port()))
        .env("CLICOLOR_FORCE", "1")
        .env("FORCE_COLOR", "1")
        .env("HOOKSWITCH_RECEIVER_LISTEN", format!("127.0.0.1:{port}"))
        .stdout(Stdio::null())
        .stderr(File::create(&path).unwrap());
    let mut child = spawn(command);
    let post = async |source: &str, body: Vec<u8>| {
        let url = format!("http://127.0.0.1:{port}/in/{source}");
        Client::new(PATIENCE).post(&url, &[], Bytes::from(body)).await
    };
    until("it is up", async || post("salpre", call(1)).await.is_ok_and(|reply| reply.status == 200)).await;
    assert_eq!(post("nowhere", call(1)).await.unwrap().status, 404);
    assert_eq!(post("salpre", b"{".to_vec()).await.unwrap().status, 200);
    let log = || std::fs::read_to_string(&path).unwrap();
    until("both are settled", async || log().contains("dead_letter") && log().contains("\"done\"")).await;
    child.kill().unwrap();
    child.wait().unwrap();
    let events = world.events(1).await;
    (log(), events[0]["deliveryid"].as_str().unwrap().to_owned())
}

#[tokio::test]
async fn each_line_is_json_and_one_id_leads_from_the_request_to_the_event() {
    let (log, id) = log_of("json").await;
    let lines: Vec<Value> = log.lines().map(|line| serde_json::from_str(line).expect(line)).collect();
    for line in &lines {
        for field in ["timestamp", "level", "message", "target"] {
            assert!(line[field].is_string(), "no {field}: {line}");
        }
    }
    let of_webhook: Vec<_> = lines.iter().filter(|line| line["delivery_id"] == *id).collect();
    let messages: Vec<_> = of_webhook.iter().map(|line| line["message"].as_str().unwrap()).collect();
    assert_eq!(messages, ["webhook accepted", "done"]);
    assert!(of_webhook.iter().all(|line| line["source"] == "salpre"), "{of_webhook:?}");
    let find = |message: &str| lines.iter().find(|line| line["message"] == message).expect(message);
    let refused = find("request refused: unknown source");
    assert!(refused["delivery_id"].is_string() && refused["status"] == 404, "{refused}");
    let dead = find("dead_letter");
    assert!(dead["reason"] == "malformed_json" && dead["delivery_id"].is_string(), "{dead}");
    let accepted = |line: &&Value| line["message"] == "webhook accepted";
    let of_dead = lines.iter().filter(accepted).filter(|line| line["delivery_id"] == dead["delivery_id"]);
    assert_eq!(of_dead.count(), 1, "the receiver names it by the same id");
}

#[tokio::test]
async fn a_log_in_a_file_has_no_colour_codes_whatever_the_environment_asks_for() {
    let (log, _) = log_of("pretty").await;
    assert!(log.contains("webhook accepted") && !log.contains('\u{1b}'), "{log}");
}
