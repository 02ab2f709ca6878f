//! The values in a table of headers.

use lapin::types::{AMQPValue, FieldTable, LongString};

pub(super) fn long(text: &str) -> AMQPValue {
    AMQPValue::LongString(LongString::from(text))
}

pub(super) fn string_of(headers: &FieldTable, name: &str) -> Option<String> {
    string_in(headers.inner().get(name)?)
}

#[expect(clippy::wildcard_enum_match_arm, reason = "AMQP has more types; only these can hold it")]
pub(super) fn string_in(value: &AMQPValue) -> Option<String> {
    match value {
        AMQPValue::LongString(text) => Some(text.to_string()),
        AMQPValue::ShortString(text) => Some(text.to_string()),
        _ => None,
    }
}

#[expect(clippy::wildcard_enum_match_arm, reason = "AMQP has more types; only these can hold it")]
pub(super) fn number_of(headers: &FieldTable, name: &str) -> Option<u32> {
    match headers.inner().get(name)? {
        AMQPValue::LongInt(n) => u32::try_from(*n).ok(),
        AMQPValue::LongUInt(n) => Some(*n),
        AMQPValue::LongLongInt(n) => u32::try_from(*n).ok(),
        AMQPValue::ShortInt(n) => u32::try_from(*n).ok(),
        AMQPValue::ShortUInt(n) => Some(u32::from(*n)),
        AMQPValue::ShortShortInt(n) => u32::try_from(*n).ok(),
        AMQPValue::ShortShortUInt(n) => Some(u32::from(*n)),
        _ => None,
    }
}
