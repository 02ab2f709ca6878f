use super::{NormalizeError, Normalized};
use crate::core::webhook::Webhook;

pub(super) const HEADERS: &[&str] = &[];

pub(super) fn normalize(webhook: &Webhook) -> Result<Normalized<'_>, NormalizeError> {
    let _ = webhook;
    Err(NormalizeError::unsupported("event"))
}
