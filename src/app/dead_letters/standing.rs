//! Whether a letter's webhook has been done meanwhile: sent again by its provider, say.

use crate::{
    app::worker::read::{self, NormalizedWebhook},
    config::Config,
    core::{delivery::fault::Fault, events::key::BodyHash, letters::Letter, providers},
    edge::redis::{Store, StoreError},
};

/// What the worker of this version would make of a letter, without publishing anything.
///
/// # Errors
/// [`Fault`]: it would fail again.
pub(super) fn attempt(config: &Config, letter: &Letter) -> Result<NormalizedWebhook, Fault> {
    read::read(config, providers::normalize, &letter.queued.webhook)
}

/// How a letter stands with the keys that are done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Prior {
    /// Its key is not done, or it cannot be read and has none.
    Open,
    /// Done by a webhook with the same body: nothing is left to do.
    Done,
    /// Done by a webhook with the same key and another body: a worker would take this one for a duplicate.
    DoneByAnother,
}

/// How letters stand, given what became of trying them.
///
/// # Errors
/// [`StoreError`]
pub(super) async fn standings(
    store: &Store,
    tried: &[(&Letter, Result<NormalizedWebhook, Fault>)],
) -> Result<Vec<Prior>, StoreError> {
    let keys: Vec<_> = tried
        .iter()
        .filter_map(|(letter, read)| Some((&letter.queued.webhook.source, &read.as_ref().ok()?.key)))
        .collect();
    let mut done = store.done_by(&keys).await?.into_iter();
    let standing = |(letter, read): &(&Letter, Result<NormalizedWebhook, Fault>)| {
        let by = if read.is_ok() { done.next().flatten() } else { None };
        match by {
            None => Prior::Open,
            Some(by) if by == BodyHash::of(&letter.queued.webhook.body) => Prior::Done,
            Some(_) => Prior::DoneByAnother,
        }
    };
    Ok(tried.iter().map(standing).collect())
}
