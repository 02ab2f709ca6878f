//! `hookswitch normalize --webhooks` and `hookswitch diff`. They need no services.

use std::path::Path;

use hookswitch::core::letters::{Archived, Letter, LetterId};
use serde_json::Value;

use super::support::{World, call, program::Program, queued};

fn tool() -> Program {
    Program::of(&World::configured("amqp://127.0.0.1:1", "redis://127.0.0.1:1", ""))
}

fn golden() -> String {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").display().to_string()
}

#[tokio::test]
async fn this_build_makes_of_the_golden_cases_what_is_expected_and_a_change_is_found_by_its_field() {
    let tool = tool();
    let golden = golden();
    let recorded = tool.ok(&format!("normalize --webhooks {golden}")).await.out;
    std::fs::write(tool.file("now.ndjson"), &recorded).unwrap();
    let same = tool.ok(&format!("diff {golden} now.ndjson")).await;
    assert!(same.out.contains("webhooks compared") && same.out.lines().count() == 1, "{same:?}");
    assert_eq!(tool.ok(&format!("diff {golden} now.ndjson --json")).await.out, "");

    let number = |line: &&str| line.contains("+15550100123");
    let changed = recorded.lines().filter(number).count();
    assert!(changed > 1, "cases have this number");
    std::fs::write(tool.file("then.ndjson"), recorded.replace("+15550100123", "+15550999123")).unwrap();
    let differs = tool.run("diff then.ndjson now.ndjson --wide").await;
    assert_eq!(differs.code, Some(1), "{differs:?}");
    assert!(differs.out.contains("field's value") && differs.out.contains("data.from.raw"), "{differs:?}");
    assert!(!differs.out.contains("5550100123") && !differs.out.contains("5550999123"), "{differs:?}");
    let revealed = tool.run("diff then.ndjson now.ndjson --json --reveal").await.lines();
    let of_raw = |line: &&Value| line["what"] == "data.from.raw";
    let example = revealed.iter().find(of_raw).expect("the field");
    assert_eq!(example["change"], "field_value");
    assert_eq!((&example["was"], &example["is"]), (&"\"+15550999123\"".into(), &"\"+15550100123\"".into()));
}

#[tokio::test]
async fn exported_webhooks_are_normalized_by_this_build_and_show_what_is_fixed_and_broken() {
    let tool = tool();
    let letter =
        |body: Vec<u8>| Letter { id: LetterId::new(uuid::Uuid::now_v7()), queued: queued("salpre", body) };
    let letters = [letter(call(1)), letter(call(2)), letter(b"not JSON".to_vec())];
    let lines =
        letters.each_ref().map(|letter| serde_json::to_string(&Archived::from(letter)).unwrap() + "\n");
    std::fs::write(tool.file("letters.ndjson"), lines.concat()).unwrap();
    tool.ok("diff letters.ndjson letters.ndjson").await;

    let mut records = tool.ok("normalize --webhooks letters.ndjson").await.lines();
    assert_eq!(records[2]["outcome"]["error"]["reason"], "malformed_json");
    // A build that could read the third webhook, and not the second; it did not get the first.
    records[1]["outcome"] = serde_json::json!({ "error": { "reason": "invalid_payload", "text": "a: b" } });
    records[2]["outcome"] = serde_json::json!({ "key": "k" });
    let then: Vec<String> = records[1..].iter().map(|record| format!("{record}\n")).collect();
    std::fs::write(tool.file("then.ndjson"), then.concat()).unwrap();
    let differs = tool.run("diff then.ndjson letters.ndjson --json").await;
    assert_eq!(differs.code, Some(1), "{differs:?}");
    let told: Vec<_> = differs.lines();
    let told: Vec<_> = told.iter().map(|line| (line["change"].as_str().unwrap(), &line["example"])).collect();
    let id = |n: usize| Value::String(letters[n].id.to_string());
    assert_eq!(told, [("broken", &id(2)), ("fixed", &id(1)), ("only_new", &id(0))]);
    let table = tool.run("diff then.ndjson letters.ndjson").await;
    assert!(table.out.starts_with("3 webhooks compared, 0 without a difference\nchange"), "{table:?}");

    for (line, says) in [
        ("diff nothing.ndjson letters.ndjson", "nothing.ndjson: No such file"),
        ("diff letters.ndjson hookswitch.toml", "hookswitch.toml, line 1"),
        ("diff . letters.ndjson", "body.json"),
        ("normalize --webhooks nothing", "nothing: No such file"),
    ] {
        let wrong = tool.run(line).await;
        assert!(wrong.code == Some(65) && wrong.err.contains(says), "{line}: {wrong:?}");
    }
    std::fs::write(tool.file("twice.ndjson"), lines.concat() + &lines[0]).unwrap();
    let twice = tool.run("diff twice.ndjson letters.ndjson").await;
    assert!(twice.code == Some(65) && twice.err.contains("comes twice"), "{twice:?}");
    assert_eq!(tool.run("normalize --webhooks letters.ndjson --provider salpre").await.code, Some(64));
    assert_eq!(tool.run("normalize").await.code, Some(64));
}

#[tokio::test]
async fn the_fields_of_a_body_of_cases_and_of_exported_webhooks_have_sources() {
    let tool = tool();
    std::fs::create_dir_all(tool.file("cases/salpre/one")).unwrap();
    std::fs::write(tool.file("cases/salpre/one/body.json"), call(7)).unwrap();
    let one = "normalize --provider salpre --file cases/salpre/one/body.json --fields";
    let masked = tool.ok(one).await.out;
    assert!(masked.starts_with("key made of \"live\", /event_type, "), "{masked}");
    assert!(masked.contains("‹text, 13 characters›") && !masked.contains("905555"), "{masked}");
    assert!(tool.ok(&format!("{one} --reveal")).await.out.contains("+905555555555"));
    let mut narrow = tool.command(one);
    let narrow = String::from_utf8(narrow.env("COLUMNS", "60").output().unwrap().stdout).unwrap();
    assert!(narrow.lines().skip(1).all(|line| line.chars().count() <= 60), "{narrow}");

    let many = tool.ok("normalize --webhooks cases --fields --json").await.json();
    assert_eq!((&many["webhook"], &many["untried"]), (&"salpre/one".into(), &0.into()), "{many}");
    let letter = |body: Vec<u8>| {
        let id = LetterId::new(uuid::Uuid::now_v7());
        serde_json::to_string(&Archived::from(&Letter { id, queued: queued("salpre", body) })).unwrap() + "\n"
    };
    let letters = letter(call(1)) + &letter(b"not JSON".to_vec());
    std::fs::write(tool.file("letters.ndjson"), letters).unwrap();
    let lines = tool.ok("normalize --webhooks letters.ndjson --fields --json").await.lines();
    assert_eq!(lines[0]["key"]["parts"][0]["word"], "live");
    assert!(lines[1]["error"].as_str().unwrap().starts_with("malformed_json"), "{lines:?}");
    let records = tool.ok("normalize --webhooks letters.ndjson").await.out;
    std::fs::write(tool.file("records.ndjson"), records).unwrap();
    assert_eq!(tool.run("normalize --webhooks records.ndjson --fields").await.code, Some(65));
    assert_eq!(tool.run("normalize --webhooks letters.ndjson --json").await.code, Some(64));
}
