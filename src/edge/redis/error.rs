//! The errors of Redis.

use redis::RedisError;

/// The advice that follows on the error of a key of hookswitch's that another program has overwritten.
pub(super) const OVERWRITTEN: &str = "; another program has overwritten one of hookswitch's keys: see \
                                      \"A key in Redis was overwritten\" in the runbook";

/// Redis is down, slow, or refuses the command (out of memory, read only, loading).
#[derive(Debug, thiserror::Error)]
#[error("Redis: {0}")]
pub struct StoreError(pub(super) String);

impl From<RedisError> for StoreError {
    fn from(error: RedisError) -> Self {
        let advice = if is_overwritten(&error) { OVERWRITTEN } else { "" };
        Self(format!("{error}{advice}"))
    }
}

/// Returns whether the error says that another program has overwritten one of our keys.
pub(super) fn is_overwritten(error: &RedisError) -> bool {
    error.code() == Some("WRONGTYPE")
}
