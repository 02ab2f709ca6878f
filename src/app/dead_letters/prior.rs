//! The state of a letter's idempotency key: its webhook may have been done meanwhile, sent again by its
//! provider.

use crate::{
    app::worker::read::{self, NormalizedWebhook},
    config::Config,
    core::{delivery::fault::Fault, events::key::BodyHash, letters::Letter, providers},
    edge::redis::{Store, StoreError},
};

/// Normalizes a letter as a worker of this version would, without publishing anything.
///
/// # Errors
/// [`Fault`]: the letter would fail again.
pub(super) fn normalize(config: &Config, letter: &Letter) -> Result<NormalizedWebhook, Fault> {
    read::read(config, providers::normalize, &letter.queued.webhook)
}

/// The state of a letter's idempotency key before the letter is replayed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Prior {
    /// Not done, or the letter cannot be normalized and has no key.
    Open,
    /// Done by a webhook with the same body: nothing is left to do.
    Done,
    /// Done by a webhook with another body: a worker would take this letter for a duplicate.
    DoneByAnother,
}

/// Looks up the keys of letters in Redis, given the results of normalizing them.
///
/// # Errors
/// [`StoreError`]
pub(super) async fn look_up(
    store: &Store,
    normalized: &[(&Letter, Result<NormalizedWebhook, Fault>)],
) -> Result<Vec<Prior>, StoreError> {
    let keys: Vec<_> = normalized
        .iter()
        .filter_map(|(letter, result)| Some((&letter.queued.webhook.source, &result.as_ref().ok()?.key)))
        .collect();
    let mut done = store.done_by(&keys).await?.into_iter();
    let prior = |(letter, result): &(&Letter, Result<NormalizedWebhook, Fault>)| {
        let by = if result.is_ok() { done.next().flatten() } else { None };
        match by {
            None => Prior::Open,
            Some(by) if by == BodyHash::of(&letter.queued.webhook.body) => Prior::Done,
            Some(_) => Prior::DoneByAnother,
        }
    };
    Ok(normalized.iter().map(prior).collect())
}
