//! Any message in a raw or a dead-letter queue: its body stays as it came, and what was read of it can be
//! sent on and read again.
//!
//! The input is three parts: a line with properties and headers as JSON, a line for the header `hookswitch`,
//! which is left out if the line is empty, and the body.
#![no_main]

use amq_protocol::{
    protocol::BasicProperties,
    types::{AMQPValue, FieldTable, ShortString},
};
use hookswitch::{
    core::{delivery::queued::QueuedWebhook, letters::LetterId, providers::Provider},
    edge::amqp::message,
};
use jiff::Timestamp;
use libfuzzer_sys::{Corpus, fuzz_target};
use serde_json::{Map, Value};
use uuid::Uuid;

/// Returns the properties of a message; `None` if the input has none.
fn properties(headers: &[u8], head: &[u8]) -> Option<BasicProperties> {
    let mut headers: Map<String, Value> = serde_json::from_slice(headers).ok()?;
    let mut take = |name| headers.remove(name).and_then(|value| ShortString::try_new(value.as_str()?).ok());
    let (message_id, kind, content_type) = (take("message_id"), take("type"), take("content_type"));
    let mut headers = table(&headers)?;
    if !head.is_empty() {
        headers.insert("hookswitch".into(), AMQPValue::LongString(head.into()));
    }
    let mut properties = BasicProperties::default().with_headers(headers);
    if let Some(message_id) = message_id {
        properties = properties.with_message_id(message_id);
    }
    if let Some(kind) = kind {
        properties = properties.with_type(kind);
    }
    if let Some(content_type) = content_type {
        properties = properties.with_content_type(content_type);
    }
    Some(properties)
}

/// Returns JSON as a table; `None` if AMQP has no such names.
fn table(json: &Map<String, Value>) -> Option<FieldTable> {
    let mut table = FieldTable::default();
    for (name, json) in json {
        table.insert(ShortString::try_new(name).ok()?, value(json)?);
    }
    Some(table)
}

fn value(json: &Value) -> Option<AMQPValue> {
    Some(match json {
        Value::Null => AMQPValue::Void,
        Value::Bool(value) => AMQPValue::Boolean(*value),
        Value::Number(number) => AMQPValue::LongLongInt(number.as_i64()?),
        Value::String(text) => AMQPValue::LongString(text.as_str().into()),
        Value::Array(items) => {
            AMQPValue::FieldArray(items.iter().map(value).collect::<Option<Vec<_>>>()?.into())
        }
        Value::Object(fields) => AMQPValue::FieldTable(table(fields)?),
    })
}

/// Checks that a webhook has this body, and that a message of its own carries it, also as a letter.
fn check(queued: &QueuedWebhook, body: &[u8]) {
    assert_eq!(queued.webhook.body, body);
    let again = message::decode(&message::properties(queued), body.to_vec());
    assert_eq!(again.as_ref(), Ok(queued));
    let id = LetterId::new(Uuid::from_u128(7));
    let (read_id, again) = message::decode_letter(&message::letter_properties(id, queued), body.to_vec());
    assert_eq!((read_id, again.as_ref()), (Some(id), Ok(queued)));
}

fuzz_target!(|input: &[u8]| -> Corpus {
    let mut parts = input.splitn(3, |byte| *byte == b'\n').map(<[u8]>::to_vec);
    let (Some(headers), Some(head), Some(body)) = (parts.next(), parts.next(), parts.next()) else {
        return Corpus::Reject;
    };
    let Some(properties) = properties(&headers, &head) else { return Corpus::Reject };
    message::redeliveries(&properties);
    message::stream_offset(&properties);

    for decoded in
        [message::decode(&properties, body.clone()), message::decode_letter(&properties, body.clone()).1]
    {
        match decoded {
            Ok(queued) => check(&queued, &body),
            Err((_, kept)) => assert_eq!(kept, body),
        }
    }
    for queued in message::decode_bundle(&properties, &body).into_iter().flatten().flatten() {
        check(&queued, &queued.webhook.body);
    }
    let source = "salvaged".parse().expect("a name");
    let salvaged =
        message::salvage(&properties, body.clone(), &source, Provider::Allo, Timestamp::UNIX_EPOCH);
    check(&salvaged, &body);
    Corpus::Keep
});
