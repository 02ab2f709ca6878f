//! Publishing marks.

use std::time::{Duration, Instant};

use jiff::Timestamp;

use crate::{
    core::ledger::Mark,
    edge::amqp::{
        message, names,
        publish::{Publication, PublishError, Publisher},
    },
};

/// The time that the confirm of marks may take.
const CONFIRM_MAX: Duration = Duration::from_secs(5);

/// Publishes marks for the workers.
///
/// # Errors
/// The broker did not confirm them; publishing them again is safe.
pub(super) async fn publish(publisher: &Publisher, marks: &[Mark]) -> Result<(), PublishError> {
    let publication = Publication {
        exchange: String::new(),
        routing_key: names::LEDGER_QUEUE.to_owned(),
        properties: message::marks_properties(Timestamp::now()),
        body: message::marks_body(marks),
        not_after: Instant::now() + CONFIRM_MAX,
    };
    publisher.publish(publication, CONFIRM_MAX).await
}

/// Returns the time in milliseconds since 1970.
pub(super) fn now() -> u64 {
    u64::try_from(Timestamp::now().as_millisecond()).unwrap_or(0)
}
