//! Pages, and the options that select letters.

use std::collections::BTreeSet;

use hookswitch::core::{delivery::fault::Reason, letters::Letter, providers::Provider};
use jiff::{SignedDuration, Timestamp};

use super::fixture::{FIXED, NOT_JSON, OTHER, VARDA, fingerprint, jobs, letter, letters};
use crate::support::{World, call, program::Program};

#[tokio::test]
async fn page_after_page_shows_every_letter_once() {
    let world = World::new().await;
    let tool = Program::of(&world);
    world.bury(&letters(0..45, FIXED)).await;
    world.bury(&letters(45..60, OTHER)).await;
    for (choice, count) in
        [("", 60_usize), (&*format!("--fingerprint {}", fingerprint(FIXED)), 45), ("--source other", 30)]
    {
        let (mut seen, mut after, mut pages) = (Vec::new(), String::new(), 0);
        loop {
            let page = tool.ok(&format!("dead-letters list --json --limit 7 {choice} {after}")).await;
            seen.extend(page.lines().iter().map(|line| line["letter"].as_str().unwrap().to_owned()));
            pages += 1;
            match page.err.trim_end().strip_prefix("there are more: ") {
                Some(next) => after = next.to_owned(),
                None => {
                    assert_eq!(page.err, "");
                    break;
                }
            }
        }
        assert_eq!((seen.len(), pages), (count, count.div_ceil(7)), "{choice}");
        assert_eq!(seen.into_iter().collect::<BTreeSet<_>>().len(), count, "each once");
    }
}

/// Returns a letter that differs from others in what the filters match.
fn told_apart(source: &str, died: Timestamp, version: &str, change: impl FnOnce(&mut Letter)) -> Letter {
    let mut letter = letter(source, 0, FIXED);
    letter.queued.history.last_failed_at = Some(died);
    letter.queued.history.version = Some(version.to_owned());
    change(&mut letter);
    letter
}

#[tokio::test]
async fn each_filter_chooses_what_it_says() {
    let world = World::with(VARDA).await;
    let tool = Program::of(&world);
    let now = Timestamp::now();
    let ago = |minutes| now - SignedDuration::from_mins(minutes);
    let old: Timestamp = "2026-01-02T03:04:05Z".parse().unwrap();
    let letters = [
        told_apart("salpre", old, "0.0.1", |letter| letter.queued.webhook.headers.push("X-Kind", "a=b")),
        told_apart("salpre", ago(300), "0.1.0-rc.1", |letter| {
            letter.queued.history.reason = Some(Reason::MalformedJson);
            letter.queued.webhook.body = NOT_JSON.to_vec().into();
        }),
        told_apart("other", ago(30), "0.1.0", |letter| letter.queued.webhook.body = call(17).into()),
        told_apart("varda", ago(5), "0.10.0", |letter| {
            letter.queued.webhook.provider = Provider::Varda;
            letter.queued.history.error = Some(OTHER.to_owned());
        }),
    ];
    world.bury(&letters).await;
    let delivery = |n: usize| letters[n].queued.webhook.delivery_id;
    let cases: &[(String, &[usize])] = &[
        (String::new(), &[0, 1, 2, 3]),
        ("--source salpre".into(), &[0, 1]),
        ("--source salpre --source varda".into(), &[0, 1, 3]),
        ("--provider salpre".into(), &[0, 1, 2]),
        ("--provider varda".into(), &[3]),
        ("--provider varda --source salpre".into(), &[]),
        ("--reason malformed_json".into(), &[1]),
        ("--reason malformed_json --reason invalid_payload".into(), &[0, 1, 2, 3]),
        (format!("--fingerprint {}", letters[0].fingerprint()), &[0, 2]),
        (format!("--fingerprint {}", letters[3].fingerprint()), &[3]),
        ("--since 10m".into(), &[3]),
        ("--since 1h".into(), &[2, 3]),
        ("--since 1d".into(), &[1, 2, 3]),
        ("--before 1h".into(), &[0, 1]),
        ("--since 1d --before 10m".into(), &[1, 2]),
        ("--since 2026-01-02T03:04:05Z".into(), &[0, 1, 2, 3]),
        ("--since 2026-01-02T03:04:06Z".into(), &[1, 2, 3]),
        ("--since 2026-01-02T05:04:06+02:00".into(), &[1, 2, 3]),
        ("--before 2026-01-02T03:04:05Z".into(), &[]),
        ("--before 2026-01-02T03:04:06Z".into(), &[0]),
        ("--before 2026-01-02T03:04:06".into(), &[0]),
        ("--since 2026-01-02".into(), &[0, 1, 2, 3]),
        ("--before 2026-01-02".into(), &[]),
        ("--before 2026-01-03".into(), &[0]),
        ("--version 0.1.0".into(), &[2]),
        ("--failed-before 0.1.0".into(), &[0, 1]),
        ("--failed-before 0.2.0".into(), &[0, 1, 2]),
        (format!("--id {}", delivery(2)), &[2]),
        (format!("--id {} --id {}", letters[0].id, delivery(3)), &[0, 3]),
        ("--header x-kind=a=b".into(), &[0]),
        ("--header X-KIND=a=b".into(), &[0]),
        ("--header x-kind=a".into(), &[]),
        ("--pointer /payload/call_id=17".into(), &[2]),
        ("--pointer /payload/direction=outbound".into(), &[0, 2, 3]),
        ("--pointer /is_test=false --pointer /payload/call_id=0".into(), &[0, 3]),
        ("--pointer /payload/none=17".into(), &[]),
    ];
    for (choice, expected) in cases {
        let said = tool.run(&format!("dead-letters list --json {choice}")).await;
        let listed: BTreeSet<String> =
            said.lines().iter().map(|line| line["letter"].as_str().unwrap().to_owned()).collect();
        assert_eq!(
            listed,
            expected.iter().map(|n| letters[*n].id.to_string()).collect(),
            "{choice}: {said:?}"
        );
        // A filter that matches nothing is a failure, and says what there is.
        assert_eq!(said.code, Some(i32::from(expected.is_empty())), "{choice}: {said:?}");
        assert_eq!(said.err.contains("; there are 4 in 4 groups"), expected.is_empty(), "{choice}: {said:?}");
    }
    let unknown = uuid::Uuid::now_v7();
    for line in [format!("list --id {unknown}"), format!("show {unknown}"), format!("replay --id {unknown}")]
    {
        assert_eq!(tool.run(&format!("dead-letters {line}")).await.code, Some(1), "{line}");
    }
    let said = tool.run("dead-letters list --source varda --provider salpre").await;
    let expected = "no dead letters match --source varda --provider salpre; there are 4 in 4 groups\n";
    assert_eq!(said.err, expected);
    // Nothing has died since.
    for since in ["2099-01-01T00:00:00Z", "1s"] {
        let said = tool.run(&format!("dead-letters stats --since {since}")).await;
        assert_eq!((said.code, said.out.as_str()), (Some(1), ""), "{said:?}");
        assert!(said.err.starts_with("no dead letters match --since "), "{said:?}");
    }
}

#[tokio::test]
async fn a_wrong_filter_is_refused_and_the_message_says_what_is_expected() {
    let world = World::new().await;
    let tool = Program::of(&world);
    for (line, expected) in [
        (
            "list --source nowhere",
            "source `nowhere` is not configured; the configured sources are other, salpre",
        ),
        ("stats --source nowhere", "the configured sources are other, salpre"),
        ("replay --source nowhere", "the configured sources are other, salpre"),
        ("export x.ndjson --note ticket-7 --source nowhere", "the configured sources are other, salpre"),
        ("reindex --source nowhere", "the configured sources are other, salpre"),
        ("list --source A_B", "1 to 63 of a-z"),
        ("list --provider nobody", "one of morph, allo, wavix, salpre, varda"),
        ("list --reason boredom", "one of malformed_json"),
        ("list --fingerprint 123", "eight hexadecimal digits"),
        ("list --since yesterday", "expected an age (90m, 2h, 3d), a time in UTC as the tables print it"),
        ("list --before 2026-13-01", "a date (2026-01-02, its first moment)"),
        ("list --failed-before new", "version"),
        ("list --id 17", "invalid"),
        ("list --header x-kind", "expected NAME=VALUE"),
        ("list --pointer call_id=17", "expected a JSON pointer and a value, as in /payload/call_id=17"),
        ("list --limit many", "invalid digit"),
        ("show 17", "invalid"),
        ("replay --rate 0", "more than 0 letters a second"),
        ("replay --rate fast", "expected a number, as in 50 or 50/s"),
        ("replay --max-failing 120%", "between 0% and 100%"),
        ("replay --wait long", "expected a time of at most 20m, as in 30s or 5m"),
        ("discard --yes", "say why you do this with --note"),
        ("discard --yes --reason malformed_json", "say why you do this with --note"),
        ("export x.ndjson", "say why you do this with --note"),
        ("replay --all --no-canary", "say why you do this with --note"),
        ("replay --source salpre --no-canary", "say why you do this with --note"),
        ("reindex --export x.ndjson", "without --forget-missing no letter is taken off the list"),
        ("reindex --no-export", "without --forget-missing no letter is taken off the list"),
        ("import y.ndjson --export x.ndjson", "unexpected argument '--export'"),
        ("reindex --forget-missing", "say why you do this with --note"),
        // Former spellings.
        ("discard --yes --reason ticket-7", "to say why you do this, use --note"),
        ("list --died-of malformed_json", "write --reason malformed_json"),
        ("show 01900000-0000-7000-8000-000000000001 --reveal --reason ticket-7", "is --note now"),
        ("import x.ndjson --reason ticket-7", "is --note now"),
        ("stats --by call_id", "expected a JSON pointer, as in /payload/direction"),
    ] {
        let said = tool.run(&format!("dead-letters {line}")).await;
        assert_eq!(said.code, Some(64), "{line}: {said:?}");
        assert!(said.err.contains(expected), "{line}: {said:?}");
        assert_eq!(said.out, "", "{line}");
    }
    assert_eq!(jobs(&tool).await.len(), 0);
    assert!(!tool.file("x.ndjson").exists());
}
