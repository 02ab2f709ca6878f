//! Finding out whether the user may publish to an exchange, without publishing anything.

use futures_util::future::try_join_all;
use lapin::{
    BasicProperties, ErrorKind,
    options::BasicPublishOptions,
    protocol::{AMQPErrorKind, AMQPSoftError},
};

use super::{failure::Failure, lane::open_channel};
use crate::edge::amqp::{Connection, Error};

/// An expiration that no broker accepts. It stands in the broker's log, so it says what it is for.
const INVALID_EXPIRATION: &str = "none: hookswitch only asks whether it may publish here";

/// Checks that all exchanges exist and that the user may write to them.
///
/// # Errors
/// [`Failure`] of the first that is missing or closed to the user, or of the connection.
pub(super) async fn check(connection: &Connection, exchanges: &[String]) -> Result<(), Failure> {
    try_join_all(exchanges.iter().map(|exchange| check_one(connection, exchange))).await.map(drop)
}

/// Publishes a message with an invalid expiration. The broker looks at the permission first, then for the
/// exchange, and then refuses the message in any case.
async fn check_one(connection: &Connection, exchange: &str) -> Result<(), Failure> {
    let channel = open_channel(connection).await?;
    let properties = BasicProperties::default().with_expiration(INVALID_EXPIRATION.into());
    let options = BasicPublishOptions { mandatory: true, immediate: false };
    let publishing =
        async { channel.basic_publish(exchange.into(), "".into(), options, b"", properties).await?.await };
    let Err(error) = publishing.await else {
        channel.close(200, "done".into()).await?;
        return Ok(());
    };
    if is_answer(&error) { Ok(()) } else { Err(Error::from(error).into()) }
}

/// Returns whether the broker refused the message for its expiration, and so has found no other fault.
pub(super) fn is_answer(error: &lapin::Error) -> bool {
    let ErrorKind::ProtocolError(refusal) = error.kind() else { return false };
    matches!(refusal.kind(), AMQPErrorKind::Soft(AMQPSoftError::PRECONDITIONFAILED))
        && refusal.get_message().as_str().contains(INVALID_EXPIRATION)
}
