//! What became of the letters of a wave (see [`crate::core::letters::Ramp`]): workers note it, a replay waits for it.

use std::{collections::HashMap, time::Duration};

use super::{Store, StoreError, millis};
use crate::core::{
    delivery::disposition::Disposition,
    events::key::IdempotencyKey,
    letters::WaveCounts,
    webhook::{DeliveryId, SourceName},
};

/// How long what became of a wave is kept if nobody fetches it.
const KEPT: Duration = Duration::from_secs(3_600);

/// The letter counts as a duplicate of a webhook with another body: its own facts are published nowhere.
const SWALLOWED: &str = "duplicate_of_another";

/// Notes a fate. A retry is not the last word; after any other nothing changes, since the copy of a letter that comes
/// later is only a duplicate.
pub(super) const NOTE: &str = r"
local v = redis.call('HGET', KEYS[1], ARGV[1])
if not v or v == 'retry' then
  redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
  redis.call('PEXPIRE', KEYS[1], ARGV[3])
end";

fn name(wave: &str) -> String {
    format!("hookswitch:wave:{wave}")
}

impl Store {
    /// Notes what became of a letter that was sent back in `wave`. Waiting for a busy key or a full queue is no news.
    ///
    /// # Errors
    /// [`StoreError`]: then whoever waits for it hears nothing.
    pub async fn note_fate(
        &self,
        wave: &str,
        letter: DeliveryId,
        disposition: &Disposition,
    ) -> Result<(), StoreError> {
        if matches!(disposition, Disposition::Retry { error: None, .. }) {
            return Ok(());
        }
        let mut call = self.shared.note_fate.prepare_invoke();
        let swallowed = matches!(disposition, Disposition::Duplicate { other_body: true });
        let word = if swallowed { SWALLOWED } else { disposition.as_str() };
        call.key(name(wave)).arg(letter.to_string()).arg(word).arg(millis(KEPT));
        self.within_deadline(async |link| call.invoke_async(&mut link.connection).await).await
    }

    /// What became so far of a wave of `sent` letters.
    ///
    /// # Errors
    /// [`StoreError`]
    pub async fn fates(&self, wave: &str, sent: u64) -> Result<WaveCounts, StoreError> {
        let mut call = redis::cmd("HVALS");
        call.arg(name(wave));
        let words: Vec<String> =
            self.within_deadline(async |link| call.query_async(&mut link.connection).await).await?;
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
    /// [`StoreError`]: then it is forgotten in an hour.
    pub async fn forget_wave(&self, wave: &str) -> Result<(), StoreError> {
        let mut call = redis::cmd("DEL");
        call.arg(name(wave));
        self.within_deadline(async |link| call.query_async(&mut link.connection).await).await
    }

    /// For each key the fingerprint of the body that was done under it; none where it is not done.
    ///
    /// # Errors
    /// [`StoreError`]
    pub async fn done_by(
        &self,
        keys: &[(&SourceName, &IdempotencyKey)],
    ) -> Result<Vec<Option<u64>>, StoreError> {
        if keys.is_empty() {
            return Ok(Vec::new());
        }
        let mut call = redis::cmd("MGET");
        for (source, key) in keys {
            call.arg(key.store_name(source).as_slice());
        }
        let values: Vec<Option<Vec<u8>>> =
            self.within_deadline(async |link| call.query_async(&mut link.connection).await).await?;
        // What is no number is somebody's claim, or was overwritten: the worker will see.
        let done = |value: Option<Vec<u8>>| str::from_utf8(&value?).ok()?.parse().ok();
        Ok(values.into_iter().map(done).collect())
    }
}
