//! Text messages: those received, and the reports of the delivery of those sent.

use super::parts::{Read, money};
use crate::core::{
    events::{
        data::{Cost, Data, Direction, MessageData, MessageKind, MessageStatus, Party},
        event::{Event, EventType, subject_of},
        key::IdempotencyKey,
    },
    json::{Object, Word},
};

const KINDS: &[(&str, MessageKind)] = &[("sms", MessageKind::Sms), ("mms", MessageKind::Mms)];

/// The states of a delivery. Another word is no drift.
const STATUSES: &[(&str, MessageStatus)] = &[
    ("accepted", MessageStatus::Accepted),
    ("pending", MessageStatus::Pending),
    ("sent", MessageStatus::Sent),
    ("delivered", MessageStatus::Delivered),
    ("undelivered", MessageStatus::Undelivered),
    ("expired", MessageStatus::Expired),
    ("dlr_expired", MessageStatus::Expired),
    ("rejected", MessageStatus::Rejected),
];

/// Reads a message that was received. It has no event type.
pub(super) fn received(mut root: Object<'_>) -> Read<'_> {
    let id = root.require_id("message_id")?;
    let key = IdempotencyKey::from_parts(&["message", &id]);
    let mut body = root.require_object("message_body")?;
    let kind = root.open_word("message_type", KINDS);
    let data = MessageData {
        message_id: Some(id.clone()),
        direction: Some(Direction::Inbound),
        kind: kind.known,
        kind_raw: kind.raw,
        from: Party::without_plus(root.scalar("from")),
        to: Party::without_plus(root.scalar("to")),
        content: body.scalar("text"),
        media: body.any("media"),
        received_at: root.time("received_at"),
        ..MessageData::default()
    };
    root.keep("message_body", body);
    let event = Event {
        time: data.received_at,
        unmapped: root.into_unmapped(),
        ..Event::new(
            EventType::MessageReceived,
            subject_of("message", &id),
            "inbound_message",
            Data::Message(Box::new(data)),
        )
    };
    Ok((key, event))
}

/// Reads a report of a delivery. A message has several, each with another state.
pub(super) fn delivery_report(mut root: Object<'_>) -> Read<'_> {
    let id = root.require_id("message_id")?;
    let key = IdempotencyKey::of_content(&["delivery_report", &id], &root);
    let status = Word::of(Some(root.require_text("status")?).filter(|word| !word.is_empty()), STATUSES);
    let kind = root.open_word("message_type", KINDS);
    let total = root.decimal("charge").map(money);
    let data = MessageData {
        message_id: Some(id.clone()),
        direction: Some(Direction::Outbound),
        kind: kind.known,
        kind_raw: kind.raw,
        from: Party::without_plus(root.scalar("from")),
        to: Party::without_plus(root.scalar("to")),
        status: status.known,
        status_raw: status.raw,
        sent_at: root.time("sent"),
        delivered_at: root.time("delivered"),
        cost: total.map(|total| Cost { total: Some(total), per_minute: None }),
        error: root.scalar("error"),
        tag: root.scalar("tag"),
        ..MessageData::default()
    };
    let event = Event {
        time: data.delivered_at.or(data.sent_at),
        unmapped: root.into_unmapped(),
        ..Event::new(
            EventType::MessageDeliveryReported,
            subject_of("message", &id),
            "delivery_report",
            Data::Message(Box::new(data)),
        )
    };
    Ok((key, event))
}
