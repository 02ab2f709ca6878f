//! What the callbacks have in common.

use crate::core::{
    events::{
        data::{Money, Text},
        event::Event,
        key::IdempotencyKey,
    },
    json::{Object, Raw},
    providers::error::NormalizeError,
};

pub(super) type Read<'a> = Result<(IdempotencyKey, Event<'a>), NormalizeError>;

/// The currency of every charge, by the provider's documents.
const CURRENCY: &str = "USD";

/// Takes a call's id, which is `uuid` in older documents and `id` in newer ones. Where both are there and
/// differ, `id` stays. An empty `uuid` is none.
pub(super) fn call_id<'a>(root: &mut Object<'a>) -> Result<Text<'a>, NormalizeError> {
    let Some(uuid) = root.id("uuid") else {
        let is_wrong = root.peek("uuid").is_some_and(|raw| !raw.is_empty_text()) || root.peek("id").is_none();
        return Ok(root.require_id(if is_wrong { "uuid" } else { "id" })?);
    };
    if root.peek("id").and_then(Raw::text_or_number).is_some_and(|id| id == uuid) {
        root.id("id");
    }
    Ok(uuid)
}

pub(super) fn money(amount: Text<'_>) -> Money<'_> {
    Money::new(amount, Some(CURRENCY.into()))
}
