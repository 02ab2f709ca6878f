//! Whether a letter's webhook has been done meanwhile: sent again by its provider, say.

use crate::{
    app::reading::{self, Readout},
    config::Config,
    core::{disposition::Fault, key, letters::Letter, providers},
    edge::store::{Store, StoreError},
};

/// What the worker of this version would make of a letter, without publishing anything.
///
/// # Errors
/// [`Fault`]: it would fail again.
pub(super) fn attempt(config: &Config, letter: &Letter) -> Result<Readout, Fault> {
    reading::read(config, providers::normalize, &letter.inbound.webhook)
}

/// How a letter stands with the keys that are done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
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
    tried: &[(&Letter, Result<Readout, Fault>)],
) -> Result<Vec<Standing>, StoreError> {
    let keys: Vec<_> = tried
        .iter()
        .filter_map(|(letter, read)| Some((&letter.inbound.webhook.source, &read.as_ref().ok()?.key)))
        .collect();
    let mut done = store.done_by(&keys).await?.into_iter();
    let standing = |(letter, read): &(&Letter, Result<Readout, Fault>)| {
        let by = if read.is_ok() { done.next().flatten() } else { None };
        match by {
            None => Standing::Open,
            Some(by) if by == key::body_fingerprint(&letter.inbound.webhook.body) => Standing::Done,
            Some(_) => Standing::DoneByAnother,
        }
    };
    Ok(tried.iter().map(standing).collect())
}
