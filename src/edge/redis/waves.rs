//! The fates of the letters of a wave (see [`crate::core::letters::Ramp`]): workers record them, a replay
//! waits for them.

use std::{collections::HashMap, time::Duration};

use super::{error::StoreError, scripts::millis, store::Store};
use crate::core::{delivery::disposition::Disposition, letters::WaveCounts, webhook::DeliveryId};

/// The time for which a wave is kept if no replay fetches it.
const KEPT: Duration = Duration::from_secs(3_600);

/// The fate of a letter that counts as a duplicate of a webhook with another body: its own facts are not
/// published.
const SWALLOWED: &str = "duplicate_of_another";

impl Store {
    /// Records the fate of a letter that was replayed in `wave`. A letter that waits for a busy key or a full
    /// queue has no fate yet.
    ///
    /// # Errors
    /// [`StoreError`]: the replay that waits for the fate does not see it.
    pub async fn note_fate(
        &self,
        wave: &str,
        letter: DeliveryId,
        disposition: &Disposition,
    ) -> Result<(), StoreError> {
        if matches!(disposition, Disposition::Retry { error: None, .. }) {
            return Ok(());
        }
        let mut call = self.scripts().note_fate.prepare_invoke();
        let swallowed = matches!(disposition, Disposition::Duplicate { other_body: true });
        let word = if swallowed { SWALLOWED } else { disposition.as_str() };
        self.at_home(async |home| {
            call.key(home.names.wave(wave)).arg(letter.to_string()).arg(word).arg(millis(KEPT));
            call.invoke_async(&mut home.connection()).await
        })
        .await
    }

    /// Returns the fates so far of a wave of `sent` letters.
    ///
    /// # Errors
    /// [`StoreError`]
    pub async fn fates(&self, wave: &str, sent: u64) -> Result<WaveCounts, StoreError> {
        let words: Vec<String> = self
            .at_home(async |home| {
                let name = home.names.wave(wave);
                redis::cmd("HVALS").arg(name).query_async(&mut home.connection()).await
            })
            .await?;
        let mut counts: HashMap<&str, u64> = HashMap::new();
        for word in &words {
            *counts.entry(word).or_default() += 1;
        }
        let count = |word| counts.get(word).copied().unwrap_or_default();
        let failed = count("dead_letter") + count("retry") + count(SWALLOWED);
        Ok(WaveCounts { sent, done: count("done"), duplicate: count("duplicate"), failed })
    }

    /// Forgets a wave.
    ///
    /// # Errors
    /// [`StoreError`]: it is forgotten in an hour.
    pub async fn forget_wave(&self, wave: &str) -> Result<(), StoreError> {
        self.at_home(async |home| {
            redis::cmd("DEL").arg(home.names.wave(wave)).query_async(&mut home.connection()).await
        })
        .await
    }
}
