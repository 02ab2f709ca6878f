//! Idempotency keys: what is claimed, and what is done.
//!
//! A key holds nothing, a claim (its owner's token, with a lease) or a done mark (the hash of the published
//! body, a number). Anything else is the value of another program: an answer of this key alone.

use std::time::Duration;

use super::{error::StoreError, scripts::millis, store::Store};
use crate::core::{
    delivery::lifecycle::Claim,
    events::key::{BodyHash, IdempotencyKey, StoreKey},
    ledger::{Entry, State},
    webhook::SourceName,
};

/// A key to claim.
#[derive(Clone, Copy, Debug)]
pub struct ToClaim<'a> {
    /// The key.
    pub key: StoreKey,
    /// The token of the claim: `o`, then hexadecimal digits and `-`. It is unique to a delivery.
    pub owner: &'a str,
    /// The webhook's place in the ledger.
    pub entry: Option<Entry>,
}

/// A key to mark done.
#[derive(Clone, Copy, Debug)]
pub struct ToMark {
    /// The key.
    pub key: StoreKey,
    /// The hash of the body that was published.
    pub body: BodyHash,
    /// The webhook's place in the ledger.
    pub entry: Option<Entry>,
}

impl Store {
    /// Claims keys, all in one round trip, and returns an answer for each. A webhook whose key is done is
    /// recorded in the ledger as a duplicate.
    ///
    /// # Errors
    /// [`StoreError`]: the claims may or may not have been made; claiming again with the same owners is safe.
    pub async fn claim(
        &self,
        source: &SourceName,
        claims: &[ToClaim<'_>],
        lease: Duration,
    ) -> Result<Vec<Claim>, StoreError> {
        let mut call = self.scripts().claim.prepare_invoke();
        call.arg(millis(lease));
        for claim in claims {
            call.key(claim.key.as_bytes()).arg(claim.owner);
        }
        let answers: Vec<String> =
            self.within_deadline(async |link| call.invoke_async(&mut link.connection).await).await?;
        let read = |(claim, answer): (&ToClaim<'_>, String)| match answer.as_str() {
            "claimed" => Claim::Claimed,
            "busy" => Claim::Busy,
            done => match done.parse() {
                Ok(body) => Claim::Done { body },
                Err(_) => Claim::Unreadable { key: claim.key },
            },
        };
        let answers: Vec<Claim> = claims.iter().zip(answers).map(read).collect();
        let done = |(claim, answer): (&ToClaim<'_>, &Claim)| match answer {
            Claim::Done { .. } => claim.entry,
            Claim::Claimed | Claim::Busy | Claim::Unmarked | Claim::Unreadable { .. } => None,
        };
        let duplicates: Vec<Entry> = claims.iter().zip(&answers).filter_map(done).collect();
        if !duplicates.is_empty() {
            self.record(source, duplicates.into_iter(), State::Duplicate).await?;
        }
        Ok(answers)
    }

    /// Marks keys done for `ttl`, all in one round trip and regardless of their owners: the confirm of the
    /// events has made it true. Records their entries in the ledger as done.
    ///
    /// # Errors
    /// [`StoreError`]: they may or may not be marked; marking again is safe.
    pub async fn mark_done(
        &self,
        source: &SourceName,
        marks: &[ToMark],
        ttl: Duration,
    ) -> Result<(), StoreError> {
        let mut call = self.scripts().done.prepare_invoke();
        call.arg(marks.len()).arg(millis(ttl));
        for mark in marks {
            call.key(mark.key.as_bytes()).arg(mark.body.as_u64());
        }
        let overwritten: Vec<String> = self
            .within_deadline(async |link| {
                if let Some(since) = link.since {
                    since.add(&mut call, source, marks.iter().filter_map(|mark| mark.entry));
                }
                call.invoke_async(&mut link.connection).await
            })
            .await?;
        self.report_overwritten(overwritten);
        Ok(())
    }

    /// Gives a claim back, so that a retry need not wait for the end of the lease.
    ///
    /// # Errors
    /// [`StoreError`]: the lease ends by itself.
    pub async fn release(&self, key: StoreKey, owner: &str) -> Result<(), StoreError> {
        let mut call = self.scripts().release.prepare_invoke();
        call.key(key.as_bytes()).arg(owner);
        self.within_deadline(async |link| call.invoke_async::<i64>(&mut link.connection).await)
            .await
            .map(drop)
    }

    /// Forgets that `key` is done, so that a replay of it is not dropped as a duplicate.
    ///
    /// # Errors
    /// [`StoreError`]: it may or may not be forgotten.
    pub async fn forget(&self, source: &SourceName, key: &IdempotencyKey) -> Result<(), StoreError> {
        let key = key.store_key(source);
        let mut call = redis::cmd("DEL");
        call.arg(key.as_bytes());
        self.within_deadline(async |link| call.query_async::<i64>(&mut link.connection).await).await.map(drop)
    }

    /// Returns for each key the hash of the body that was done under it; none where it is not done.
    ///
    /// # Errors
    /// [`StoreError`]
    pub async fn done_by(
        &self,
        keys: &[(&SourceName, &IdempotencyKey)],
    ) -> Result<Vec<Option<BodyHash>>, StoreError> {
        if keys.is_empty() {
            return Ok(Vec::new());
        }
        let mut call = redis::cmd("MGET");
        for (source, key) in keys {
            call.arg(key.store_key(source).as_bytes());
        }
        let values: Vec<Option<Vec<u8>>> =
            self.within_deadline(async |link| call.query_async(&mut link.connection).await).await?;
        // A value that is not a number is a claim, or was overwritten: the worker will see.
        let done = |value: Option<Vec<u8>>| str::from_utf8(&value?).ok()?.parse().ok();
        Ok(values.into_iter().map(done).collect())
    }
}
