//! Personal data, which no command shows unless asked to.

use std::collections::BTreeSet;

use hookswitch::{
    core::{
        letters::Archived,
        providers::{self, NormalizeError, Normalized, Provider},
        webhook::{Headers, Webhook},
    },
    edge::amqp::routes,
    samples,
};
use serde_json::Value;

use super::fixture::{NOT_JSON, jobs};
use crate::support::{
    World,
    program::{Program, Said},
    queued, until,
};

/// Names and words of the people that the samples are about.
const NAMES: &str = "Ada Marsh Okoye Cleo Jane Doe Acme Roof roof Elm Kitchen Monday Greeting Hello \
                     example.com google.com SALPRE";

/// Returns every leaf of the samples that looks like a phone number and is not public.
fn phone_numbers() -> BTreeSet<String> {
    fn leaves(provider: Provider, value: &Value, path: &str, found: &mut BTreeSet<String>) {
        let join = |key: &str| if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") };
        match value {
            Value::Object(map) => {
                map.iter().for_each(|(key, value)| leaves(provider, value, &join(key), found))
            }
            Value::Array(items) => {
                items.iter().for_each(|item| leaves(provider, item, &format!("{path}[]"), found));
            }
            Value::String(_) | Value::Number(_) if !provider.schema().is_public(path) => {
                let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
                let digits = text.trim_start_matches('+');
                if digits.len() >= 10 && digits.bytes().all(|byte| byte.is_ascii_digit()) {
                    found.insert(digits.to_owned());
                }
            }
            Value::String(_) | Value::Number(_) | Value::Null | Value::Bool(_) => {}
        }
    }
    let mut found = BTreeSet::new();
    for sample in samples::all() {
        leaves(sample.provider, &serde_json::from_slice(&sample.body).unwrap(), "", &mut found);
    }
    found
}

/// Returns a piece of personal data in `text`, if there is one.
fn something_personal<'a>(text: &str, phones: &'a BTreeSet<String>) -> Option<&'a str> {
    let is_phone = |rest: &str| rest.bytes().take_while(u8::is_ascii_digit).count() >= 7;
    if text.contains('@') {
        return Some("@");
    }
    if text.split('+').skip(1).any(is_phone) {
        return Some("a phone number");
    }
    let number = phones.iter().map(String::as_str).find(|number| text.contains(number));
    number.or_else(|| NAMES.split(' ').find(|name| text.contains(name)))
}

/// A build that fails on every JSON object.
fn takes_nothing(webhook: &Webhook) -> Result<Normalized<'_>, NormalizeError> {
    providers::normalize(webhook).and(Err(NormalizeError::invalid("data", "a bug of old")))
}

#[tokio::test]
async fn no_command_shows_personal_data_unless_it_is_asked_to_and_that_is_on_record() {
    let more: Vec<_> = ["morph", "allo", "wavix", "varda"]
        .map(|name| format!("[sources.{name}]\nprovider = \"{name}\"\nauth = \"none\""))
        .into();
    let world = World::with(&more.join("\n")).await;
    let (tool, phones) = (Program::of(&world), phone_numbers());
    assert!(phones.len() >= 5, "{phones:?}");
    // All samples come under one delivery id: so one `show` shows them all.
    let id = queued("salpre", Vec::new()).webhook.delivery_id;
    let (mut webhooks, mut personal) = (Vec::new(), 0);
    for sample in samples::all() {
        let text = String::from_utf8(sample.body.to_vec()).unwrap();
        personal += usize::from(something_personal(&text, &phones).is_some());
        let cut = text.as_bytes()[..text.len() * 2 / 3].to_vec();
        for body in [text.clone().into_bytes(), cut, format!("[{text}]").into_bytes()] {
            let mut queued = queued(sample.provider.as_str(), body);
            queued.webhook.delivery_id = id;
            queued.webhook.provider = sample.provider;
            queued.webhook.headers = Headers::from_iter(sample.headers.clone());
            webhooks.push(queued);
        }
    }
    assert!(personal > 60, "{personal} samples with something personal");
    let secret = "\u{e9}\n ada@example.com \u{1b}[2J";
    let special = [secret.as_bytes().to_vec(), NOT_JSON.to_vec()].map(|body| queued("salpre", body));
    let count = webhooks.len() + special.len();
    world.publish(webhooks.iter().chain(&special).map(routes::accept)).await;
    let worker = world.worker_with(takes_nothing);
    let mut shown = Said { code: None, out: String::new(), err: String::new() };
    until("all are listed", async || {
        shown = tool.ok("dead-letters stats --json").await;
        shown.json()["letters"] == count && shown.err.is_empty()
    })
    .await;
    worker.finish().await;

    let mut seen = Vec::new();
    for look in
        ["stats", "list --limit 1000", "try", "try --events", "replay --dry-run", "discard --dry-run", "jobs"]
    {
        seen.push(tool.ok(&format!("dead-letters {look}")).await);
        seen.push(tool.ok(&format!("dead-letters {look} --json")).await);
    }
    let events = seen.iter().filter(|said| said.out.contains("specversion")).count();
    assert_eq!(events, 2, "events were shown");
    for json in ["", "--json"] {
        let said = tool.ok(&format!("dead-letters show {id} {json}")).await;
        assert!(
            said.out.contains("a bug of old") && said.out.lines().count() >= 3 * personal,
            "{}",
            said.out.len()
        );
        seen.push(said);
    }
    for letter in &special {
        seen.push(tool.ok(&format!("dead-letters show {}", letter.webhook.delivery_id)).await);
    }
    // Without a reason nothing is revealed.
    let refused = tool.run(&format!("dead-letters show {id} --reveal")).await;
    assert_eq!(refused.code, Some(64));
    seen.push(refused);
    let refused = tool.run("dead-letters try --events --reveal").await;
    assert_eq!(refused.code, Some(64));
    seen.push(refused);
    assert_eq!(jobs(&tool).await.len(), 0, "looking is not recorded");
    for said in &seen {
        for text in [&said.out, &said.err] {
            let personal = something_personal(text, &phones);
            let place = personal.and_then(|word| text.lines().find(|line| line.contains(word)));
            assert_eq!(personal, None, "{place:?}");
            assert!(!text.contains('\u{1b}'), "a control character of a body reaches the terminal");
        }
    }

    // With one, everything is: byte for byte.
    for letter in &special {
        let id = letter.webhook.delivery_id;
        let said = tool.ok(&format!("dead-letters show {id} --reveal --note ticket-7 --json")).await;
        assert_eq!(Archived::read(said.out.trim_end()).unwrap().queued.webhook.body, letter.webhook.body);
    }
    let said = tool.ok(&format!("dead-letters show {id} --reveal --note ticket-7 --json")).await;
    let revealed: BTreeSet<_> =
        said.out.lines().map(|line| Archived::read(line).unwrap().queued.webhook.body).collect();
    assert_eq!(revealed, webhooks.iter().map(|queued| queued.webhook.body.clone()).collect());
    tool.ok("dead-letters try --events --reveal --note ticket-8").await;
    let jobs = jobs(&tool).await;
    let told: Vec<_> = jobs.iter().map(|job| (job["kind"].as_str(), job["note"].as_str())).collect();
    let (seven, eight) = ((Some("reveal"), Some("ticket-7")), (Some("reveal"), Some("ticket-8")));
    assert_eq!(told, [seven, seven, seven, eight]);
    assert!(jobs.iter().all(|job| job["actor"] == "ann" && job["outcome"] == "finished"), "{jobs:?}");
    assert_eq!(jobs[2]["filter"], format!("id {id}"));
}
