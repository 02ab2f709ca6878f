//! What today's normalizer makes of letters, without publishing anything.

use std::collections::BTreeMap;

use super::{DeadLetterError, DeadLetters, Prior, Progress, attempt, standings};
use crate::{
    app::worker::read::NormalizedWebhook,
    config::Config,
    core::{
        delivery::fault::{Fault, Reason},
        letters::{Filter, Fingerprint, Letter},
    },
    edge::redis::{Store, StoreError},
};

/// Letters that are tried together: one question to Redis.
const BATCH: usize = 64;

/// What trying letters came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Trial {
    /// How many were tried.
    pub letters: u64,
    /// Those that would succeed.
    pub succeed: u64,
    /// Those whose webhook has been done meanwhile.
    pub already_done: u64,
    /// Those whose key is done by another body.
    pub held_back: u64,
    /// Those that would fail: how many of each kind, and the error text of one of them.
    pub fail: BTreeMap<(Reason, Fingerprint), (u64, String)>,
}

impl Trial {
    /// Tries more letters; `each` sees those that would succeed. Without a store nobody knows what is done meanwhile.
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
        let tried: Vec<_> = letters.iter().map(|letter| (letter, attempt(config, letter))).collect();
        let standings = match store {
            Some(store) => standings(store, &tried).await?,
            None => vec![Prior::Open; tried.len()],
        };
        for ((letter, read), standing) in tried.iter().zip(standings) {
            self.letters += 1;
            match (read, standing) {
                (Ok(read), Prior::Open) => {
                    self.succeed += 1;
                    each(letter, read);
                }
                (Ok(_), Prior::Done) => self.already_done += 1,
                (Ok(_), Prior::DoneByAnother) => self.held_back += 1,
                (Err(fault), _) => self.fails(letter, fault),
            }
        }
        Ok(())
    }

    fn fails(&mut self, letter: &Letter, fault: &Fault) {
        let (reason, error) = (fault.reason(), fault.to_string());
        let fingerprint = Fingerprint::of(letter.queued.webhook.provider, Some(reason), &error);
        self.fail.entry((reason, fingerprint)).or_insert((0, error)).0 += 1;
    }
}

impl DeadLetters<'_> {
    /// Tries the letters that `filter` means, at most `limit`; `each` sees those that would succeed.
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
