//! Idempotency keys: what is claimed, and what is done. Beside them, how far the events about an object are.
//!
//! A key holds nothing, a claim (its owner's token, with a lease) or a done mark (the hash of the published
//! body, a number). Anything else is the value of another program: an answer of this key alone.
//!
//! An object holds the highest [`Sequence`] among the events about it that were published and marked. It is
//! read with the claims and raised with the done marks, so it costs no round trip. It is a hint: where it is
//! lost or unreadable, nothing is known.

use std::time::Duration;

use super::{
    error::{StoreError, is_overwritten},
    names::Names,
    scripts::{CALL_MAX, Claimed, millis},
    store::Store,
};
use crate::core::{
    delivery::lifecycle::Claim,
    events::{
        key::{BodyHash, IdempotencyKey, StoreKey},
        order::{ObjectKey, Place, Sequence},
    },
    ledger::{Entry, State},
    webhook::SourceName,
};

/// The longest time for which it is known how far the events about an object are.
const OBJECT_TTL_MAX: Duration = Duration::from_hours(24);

/// A key to claim.
#[derive(Clone, Copy, Debug)]
pub struct ToClaim<'a> {
    /// The key.
    pub key: StoreKey,
    /// The token of the claim: `o`, then hexadecimal digits and `-`. It is unique to a delivery.
    pub owner: &'a str,
    /// The webhook's place in the ledger.
    pub entry: Option<Entry>,
    /// The object that its events are about.
    pub object: Option<ObjectKey>,
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
    /// The last place of its events.
    pub place: Option<Place>,
}

/// What Redis holds under a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mark {
    /// Nothing: no webhook with this key is in work or was done within the time that marks are kept.
    Nothing,
    /// A worker's claim.
    Claimed,
    /// The mark that a webhook with this body was done.
    Done(BodyHash),
    /// A value that hookswitch did not write.
    Unreadable,
}

impl Store {
    /// Returns what is held under a key, and for how much longer.
    ///
    /// # Errors
    /// [`StoreError`]
    pub async fn mark_of(
        &self,
        source: &SourceName,
        key: &IdempotencyKey,
    ) -> Result<(Mark, Option<Duration>), StoreError> {
        let key = key.store_key(source);
        let reading = self.within_deadline(async |link| {
            let name = link.names.mark(&key);
            let value = redis::cmd("GET").arg(name).query_async(&mut link.connection).await;
            // No mark is empty, so that this is one that hookswitch did not write.
            let overwritten = Some(Vec::new());
            let value: Option<Vec<u8>> =
                value.or_else(|error| if is_overwritten(&error) { Ok(overwritten) } else { Err(error) })?;
            let left: i64 = redis::cmd("PTTL").arg(name).query_async(&mut link.connection).await?;
            Ok((value, left))
        });
        let (value, left) = reading.await?;
        let mark = match value.as_deref().map(str::from_utf8) {
            None => Mark::Nothing,
            Some(Ok(text)) if text.starts_with('o') => Mark::Claimed,
            Some(Ok(text)) => text.parse().map_or(Mark::Unreadable, Mark::Done),
            Some(Err(_)) => Mark::Unreadable,
        };
        Ok((mark, u64::try_from(left).ok().map(Duration::from_millis)))
    }

    /// Claims keys, up to `CALL_MAX` in one round trip, and returns an answer for each. A webhook whose key
    /// is done is recorded in the ledger as a duplicate.
    ///
    /// # Errors
    /// [`StoreError`]: the claims may or may not have been made; claiming again with the same owners is safe.
    pub async fn claim(
        &self,
        source: &SourceName,
        claims: &[ToClaim<'_>],
        lease: Duration,
    ) -> Result<Vec<Claim>, StoreError> {
        let mut answers = Vec::with_capacity(claims.len());
        for claims in claims.chunks(CALL_MAX) {
            let claimed = self.within_deadline(async |link| {
                let mut call = self.scripts().claim.prepare_invoke();
                call.arg(millis(lease));
                for claim in claims {
                    call.key(link.names.mark(&claim.key)).arg(claim.owner);
                }
                for object in claims.iter().filter_map(|claim| claim.object.as_ref()) {
                    call.key(link.names.object(object));
                }
                let said = call.invoke_async(&mut link.connection).await?;
                Ok(answers_of(&link.names, claims, said))
            });
            answers.extend(claimed.await?);
        }
        let done = |(claim, answer): (&ToClaim<'_>, &Claim)| match answer {
            Claim::Done { .. } => claim.entry,
            Claim::Claimed { .. } | Claim::Busy | Claim::Unmarked | Claim::Unreadable { .. } => None,
        };
        let duplicates: Vec<Entry> = claims.iter().zip(&answers).filter_map(done).collect();
        if !duplicates.is_empty() {
            self.record(source, duplicates.into_iter(), State::Duplicate).await?;
        }
        Ok(answers)
    }

    /// Marks keys done for `ttl`, up to `CALL_MAX` in one round trip and regardless of their owners: the
    /// confirm of the events has made it true. Records their entries in the ledger as done, and how far the
    /// objects of their events are.
    ///
    /// # Errors
    /// [`StoreError`]: they may or may not be marked; marking again is safe.
    pub async fn mark_done(
        &self,
        source: &SourceName,
        marks: &[ToMark],
        ttl: Duration,
    ) -> Result<(), StoreError> {
        for marks in marks.chunks(CALL_MAX) {
            let marking = self.within_deadline(async |link| {
                let mut call = self.scripts().done.prepare_invoke();
                let places = || marks.iter().filter_map(|mark| mark.place.as_ref());
                call.arg(marks.len()).arg(millis(ttl));
                call.arg(places().count()).arg(millis(ttl.min(OBJECT_TTL_MAX)));
                for mark in marks {
                    call.key(link.names.mark(&mark.key)).arg(mark.body.as_u64());
                }
                for Place { object, sequence } in places() {
                    call.key(link.names.object(object)).arg(sequence.as_u64());
                }
                if let Some(since) = &link.since {
                    since.add(&mut call, source, marks.iter().filter_map(|mark| mark.entry));
                }
                call.invoke_async(&mut link.connection).await
            });
            self.report_overwritten(marking.await?);
        }
        Ok(())
    }

    /// Gives a claim back, so that a retry need not wait for the end of the lease.
    ///
    /// # Errors
    /// [`StoreError`]: the lease ends by itself.
    pub async fn release(&self, key: StoreKey, owner: &str) -> Result<(), StoreError> {
        self.within_deadline(async |link| {
            let mut call = self.scripts().release.prepare_invoke();
            call.key(link.names.mark(&key)).arg(owner);
            call.invoke_async::<i64>(&mut link.connection).await
        })
        .await
        .map(drop)
    }

    /// Forgets that `key` is done, so that a replay of it is not dropped as a duplicate.
    ///
    /// # Errors
    /// [`StoreError`]: it may or may not be forgotten.
    pub async fn forget(&self, source: &SourceName, key: &IdempotencyKey) -> Result<(), StoreError> {
        let key = key.store_key(source);
        self.within_deadline(async |link| {
            redis::cmd("DEL").arg(link.names.mark(&key)).query_async::<i64>(&mut link.connection).await
        })
        .await
        .map(drop)
    }

    /// Returns for each key the hash of the body that was done under it; none where it is not done.
    ///
    /// # Errors
    /// [`StoreError`]
    pub async fn done_by(
        &self,
        keys: &[(&SourceName, &IdempotencyKey)],
    ) -> Result<Vec<Option<BodyHash>>, StoreError> {
        let mut values: Vec<Option<Vec<u8>>> = Vec::with_capacity(keys.len());
        for keys in keys.chunks(CALL_MAX) {
            let reading = self.within_deadline(async |link| {
                let mut call = redis::cmd("MGET");
                for (source, key) in keys {
                    call.arg(link.names.mark(&key.store_key(source)));
                }
                call.query_async::<Vec<_>>(&mut link.connection).await
            });
            values.extend(reading.await?);
        }
        // A value that is not a number is a claim, or was overwritten: the worker will see.
        let done = |value: Option<Vec<u8>>| str::from_utf8(&value?).ok()?.parse().ok();
        Ok(values.into_iter().map(done).collect())
    }
}

/// Returns the answers to claims.
fn answers_of(names: &Names, claims: &[ToClaim<'_>], (words, published): Claimed) -> Vec<Claim> {
    let mut published = published.into_iter();
    let answers = claims.iter().zip(words).map(|(claim, word)| {
        let published = claim.object.and_then(|object| place_of(object, published.next()??));
        match word.as_str() {
            "claimed" => Claim::Claimed { published },
            "busy" => Claim::Busy,
            done => match done.parse() {
                Ok(body) => Claim::Done { body },
                Err(_) => Claim::Unreadable { key: names.shown_mark(claim.key).into() },
            },
        }
    });
    answers.collect()
}

/// Returns the place that an object's value tells; none if hookswitch did not write it.
fn place_of(object: ObjectKey, value: Vec<u8>) -> Option<Place> {
    let number: u64 = str::from_utf8(&value).ok()?.parse().ok()?;
    Some(Place { object, sequence: Sequence::from(number) })
}
