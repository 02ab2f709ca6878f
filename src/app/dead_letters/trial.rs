//! Trying letters with the normalizer of this build, without publishing anything.

use std::collections::BTreeMap;

use super::{
    error::DeadLetterError,
    handle::DeadLetters,
    prior::{Prior, look_up, normalize},
    progress::Progress,
};
use crate::{
    app::worker::read::NormalizedWebhook,
    config::Config,
    core::{
        delivery::fault::{Fault, Reason},
        letters::{Filter, Fingerprint, Letter},
    },
    edge::redis::{Store, StoreError},
};

/// The number of letters tried together, with one request to Redis.
const BATCH: usize = 64;

/// The result of trying letters.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Trial {
    /// The number of letters tried.
    pub letters: u64,
    /// The number of letters that would succeed.
    pub succeed: u64,
    /// The number of letters whose webhook has been done meanwhile.
    pub already_done: u64,
    /// The number of letters whose key is done by another body.
    pub held_back: u64,
    /// The letters that would fail: the number of each failure, and the error text of one of them.
    pub fail: BTreeMap<(Reason, Fingerprint), (u64, String)>,
}

impl Trial {
    /// Tries more letters, and calls `each` for those that would succeed. Without a store, none counts as
    /// done.
    ///
    /// # Errors
    /// [`StoreError`]
    pub async fn add(
        &mut self,
        config: &Config,
        store: Option<&Store>,
        letters: &[Letter],
        each: &mut dyn FnMut(&Letter, &NormalizedWebhook),
    ) -> Result<(), StoreError> {
        let tried: Vec<_> = letters.iter().map(|letter| (letter, normalize(config, letter))).collect();
        let priors = match store {
            Some(store) => look_up(store, &tried).await?,
            None => vec![Prior::Open; tried.len()],
        };
        for ((letter, normalized), prior) in tried.iter().zip(priors) {
            self.letters += 1;
            match (normalized, prior) {
                (Ok(normalized), Prior::Open) => {
                    self.succeed += 1;
                    each(letter, normalized);
                }
                (Ok(_), Prior::Done) => self.already_done += 1,
                (Ok(_), Prior::DoneByAnother) => self.held_back += 1,
                (Err(fault), _) => self.add_failure(letter, fault),
            }
        }
        Ok(())
    }

    fn add_failure(&mut self, letter: &Letter, fault: &Fault) {
        let (reason, error) = (fault.reason(), fault.to_string());
        let fingerprint = Fingerprint::of(letter.queued.webhook.provider, Some(reason), &error);
        self.fail.entry((reason, fingerprint)).or_insert((0, error)).0 += 1;
    }
}

impl DeadLetters<'_> {
    /// Tries the letters that match `filter`, at most `limit`, and calls `each` for those that would succeed.
    ///
    /// # Errors
    /// [`DeadLetterError`]
    pub async fn try_all(
        &self,
        store: Option<&Store>,
        (filter, limit): (Filter, u64),
        each: &mut dyn FnMut(&Letter, &NormalizedWebhook),
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Trial, DeadLetterError> {
        let mut browsing = self.browse(filter, None).await?;
        let (mut trial, mut batch) = (Trial::default(), Vec::with_capacity(BATCH));
        loop {
            let wanted = trial.letters + (batch.len() as u64) < limit;
            let letter = if wanted { browsing.next().await? } else { None };
            let at_end = letter.is_none();
            batch.extend(letter.map(|(_, letter)| letter));
            if at_end || batch.len() == BATCH {
                trial.add(self.config, store, &batch, each).await?;
                batch.clear();
                progress(Progress::Letters(trial.letters));
            }
            if at_end {
                browsing.close().await;
                return Ok(trial);
            }
        }
    }
}
