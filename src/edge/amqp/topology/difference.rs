//! What is wrong with the broker's topology, and what to do about it.

use lapin::protocol::{AMQPErrorKind, AMQPSoftError};

use crate::edge::amqp::{Error, consume::stream::StreamError, error::says_missing};

/// An exchange or queue that is not as hookswitch needs it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// Kind and name, as in `queue raw.x` or `exchange hookswitch.raw`.
    pub what: String,
    /// The problem, and what to do about it.
    pub how: String,
}

/// Why the topology could not be created or checked.
#[derive(Debug, thiserror::Error)]
pub enum TopologyError {
    /// Exchanges or queues are missing or different. A retry does not help: an operator must act.
    #[error("the broker's topology differs from what hookswitch needs:\n{}", lines(.0))]
    Differs(Vec<Difference>),
    /// Another configuration was applied last.
    #[error("this configuration is not the one that was applied last: run `hookswitch topology apply` first")]
    NotApplied,
    /// The record of the topology cannot be read.
    #[error("what was applied before is unknown: {0}")]
    Record(#[from] StreamError),
    /// The connection was lost, or a queue has no leader at the moment.
    #[error("the broker's topology could not be checked: {0}")]
    Lost(#[from] Error),
}

impl TopologyError {
    /// Returns whether a queue does not answer at the moment, and may in the next.
    pub fn is_passing(&self) -> bool {
        matches!(
            self,
            Self::Lost(Error::Leaderless(_)) | Self::Record(StreamError::Refused(_, Error::Leaderless(_)))
        )
    }
}

fn lines(differences: &[Difference]) -> String {
    let line = |Difference { what, how }: &Difference| format!("  {what}: {how}");
    differences.iter().map(line).collect::<Vec<_>>().join("\n")
}

impl Difference {
    /// Describes a refused declaration of `what`, which is a `kind`.
    ///
    /// # Errors
    /// [`TopologyError::Lost`] if the error says nothing about the topology.
    pub(super) fn of(what: String, kind: &str, error: lapin::Error) -> Result<Self, TopologyError> {
        let lapin::ErrorKind::ProtocolError(refusal) = error.kind() else {
            return Err(Error::from(error).into());
        };
        let broker_says = refusal.get_message();
        let broker_says = broker_says.as_str();
        let how = match refusal.kind() {
            // RabbitMQ also answers 404 for a queue that exists and has no leader at the moment.
            AMQPErrorKind::Soft(AMQPSoftError::NOTFOUND) if !says_missing(broker_says) => {
                return Err(Error::from(error).into());
            }
            AMQPErrorKind::Soft(AMQPSoftError::NOTFOUND) => {
                "missing; run `hookswitch topology apply` to create it".to_owned()
            }
            AMQPErrorKind::Soft(AMQPSoftError::PRECONDITIONFAILED) => {
                let (how, name) = (mismatch(broker_says), what.split(' ').nth(1).unwrap_or_default());
                match kind {
                    "queue" => format!("{how}; run `hookswitch topology replace {name}`"),
                    _ => format!("{how}; delete the {kind}, then run `hookswitch topology apply`"),
                }
            }
            AMQPErrorKind::Soft(AMQPSoftError::ACCESSREFUSED) => {
                format!("{}; see docs/permissions.md", denied(&what, broker_says))
            }
            AMQPErrorKind::Soft(_) => broker_says.to_owned(),
            AMQPErrorKind::Hard(_) => return Err(Error::from(error).into()),
        };
        Ok(Self { what, how })
    }
}

/// Says which permission is missing on what. RabbitMQ 3.10 leaves out which one.
fn denied(what: &str, broker_says: &str) -> String {
    let object = || {
        let (_, rest) = broker_says.split_once("access to ")?;
        let (kind, rest) = rest.split_once(" '")?;
        let (name, _) = rest.split_once('\'')?;
        Some(format!("{kind} {name}"))
    };
    let Some(object) = object() else { return format!("not permitted ({broker_says})") };
    let named = ["configure", "write", "read"]
        .into_iter()
        .find(|right| broker_says.contains(&format!("ACCESS_REFUSED - {right} access to ")));
    // The broker also asks for rights on the exchanges that a queue is bound to or dead-letters to.
    let right = match named {
        Some(right) => format!("`{right}`"),
        None if object == what => "`configure`, `write` or `read`".to_owned(),
        None => "`write` or `read`".to_owned(),
    };
    format!("not permitted; grant the user {right} on {object}")
}

/// Says which property differs and how; the broker's own words where they have another form.
fn mismatch(broker_says: &str) -> String {
    let parts = || {
        let (_, rest) = broker_says.split_once("inequivalent arg '")?;
        let (property, rest) = rest.split_once('\'')?;
        let (_, rest) = rest.split_once("received ")?;
        let (needed, found) = rest.split_once(" but current is ")?;
        Some(format!("{property} is {}, but must be {}", value(found), value(needed)))
    };
    parts().unwrap_or_else(|| format!("different ({broker_says})"))
}

/// Returns a value in RabbitMQ's words without its type: `'direct'`, `the value '1000' of type 'signedint'`,
/// `none`.
fn value(broker_says: &str) -> &str {
    match broker_says.split('\'').nth(1) {
        Some(value) => value,
        None if broker_says == "none" => "unset",
        None => broker_says,
    }
}

#[cfg(test)]
mod tests {
    use super::{denied, mismatch};

    #[test]
    fn a_missing_permission_is_named_with_what_it_is_missing_on() {
        let says = |right: &str, object: &str| {
            denied(
                "queue raw.x",
                &format!("ACCESS_REFUSED - {right}access to {object} in vhost '/' refused for user 'u'"),
            )
        };
        let words = "not permitted; grant the user";
        assert_eq!(says("write ", "queue 'raw.x'"), format!("{words} `write` on queue raw.x"));
        assert_eq!(
            says("", "queue 'raw.x'"),
            format!("{words} `configure`, `write` or `read` on queue raw.x")
        );
        let exchange = "exchange 'hookswitch.dead'";
        assert_eq!(says("", exchange), format!("{words} `write` or `read` on exchange hookswitch.dead"));
        assert_eq!(says("read ", exchange), format!("{words} `read` on exchange hookswitch.dead"));
        assert_eq!(denied("queue x", "ACCESS_REFUSED - else"), "not permitted (ACCESS_REFUSED - else)");
    }

    #[test]
    fn a_mismatch_is_told_without_the_types_of_the_protocol() {
        let says = |received, current| {
            mismatch(&format!(
                "PRECONDITION_FAILED - inequivalent arg 'x-a' for queue 'raw.x' in vhost '/': \
                 received {received} but current is {current}"
            ))
        };
        let (quorum, classic) =
            ("the value 'quorum' of type 'longstr'", "the value 'classic' of type 'longstr'");
        let number = "the value '1000' of type 'signedint'";
        assert_eq!(says(quorum, classic), "x-a is classic, but must be quorum");
        assert_eq!(says(number, "none"), "x-a is unset, but must be 1000");
        assert_eq!(says("none", number), "x-a is 1000, but must be unset");
        assert_eq!(says("'topic'", "'direct'"), "x-a is direct, but must be topic");
        assert_eq!(mismatch("PRECONDITION_FAILED - else"), "different (PRECONDITION_FAILED - else)");
    }
}
