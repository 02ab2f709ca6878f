//! Idempotency keys: what is claimed, and what is done. Beside them, how far the events about an object are.
//!
//! A key holds nothing, a claim (its owner's token, with a lease) or a done mark (the hash of the published
//! body, a number). Anything else is the value of another program: an answer of this key alone.
//!
//! Most keys are free when they are claimed, and every done mark is written over whatever is there. A command
//! does either for less than a script, and on a Redis Cluster a script reaches only a part of a batch. So a
//! script only looks at keys that are not free.
//!
//! An object holds the highest [`Sequence`] among the events about it that were published and marked. It is
//! read with the claims and raised after the done marks in the same message, so it costs no round trip. It is
//! a hint: where it is lost or unreadable, nothing is known.

use std::{cmp::Reverse, time::Duration};

use futures_util::future::try_join_all;
use redis::{Cmd, RedisResult, ToRedisArgs, Value};

use super::{
    error::{StoreError, is_overwritten},
    link::{Batch, Link, call_all},
    names::Names,
    scripts::{CALL_MAX, millis},
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

/// The arguments of the longest `SET`, and about as many bytes as they have.
const SET_ARGS: usize = 6;
const SET_BYTES: usize = 128;

/// What the answer of a command is for.
enum Asked {
    /// The claim at this place.
    Claim(usize),
    /// Objects, each with the place of its claim.
    Objects(Vec<(usize, ObjectKey)>),
}

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
            let bucket = link.bucket_of(&key);
            let (mut connection, name) = (bucket.connection(), bucket.names.mark(&key));
            let value = redis::cmd("GET").arg(name).query_async(&mut connection).await;
            // No mark is empty, so that this is one that hookswitch did not write.
            let overwritten = Some(Vec::new());
            let value: Option<Vec<u8>> =
                value.or_else(|error| if is_overwritten(&error) { Ok(overwritten) } else { Err(error) })?;
            let left: i64 = redis::cmd("PTTL").arg(name).query_async(&mut connection).await?;
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

    /// Claims keys, up to `CALL_MAX` in one round trip, or two if some are held, and returns an answer for
    /// each. A webhook whose key is done is recorded in the ledger as a duplicate.
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
            let claimed =
                self.within_deadline(async |link| self.claim_some(link, source, claims, lease).await);
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

    /// Claims as many keys as one call may have. Most are free, which a command each finds out. The script
    /// looks at the others.
    async fn claim_some(
        &self,
        link: &Link,
        source: &SourceName,
        claims: &[ToClaim<'_>],
        lease: Duration,
    ) -> RedisResult<Vec<Claim>> {
        let mut batch = Batch::new(link, None);
        for (n, ToClaim { key, owner, .. }) in claims.iter().enumerate() {
            let bucket = link.bucket_of(key);
            let mut command = set(&bucket.names, key, *owner, lease);
            command.arg("NX");
            batch.add(bucket, Asked::Claim(n), command);
        }
        let spread = link.spread(source);
        let objects = claims.iter().enumerate().filter_map(|(n, claim)| Some((n, claim.object?)));
        for (bucket, objects) in link.shares(objects, |(_, object)| spread.place_of(object)) {
            let mut command = redis::cmd("MGET");
            for (_, object) in &objects {
                command.arg(bucket.names.object(object));
            }
            batch.add(bucket, Asked::Objects(objects), command);
        }
        let (mut published, mut held) = (vec![None; claims.len()], Vec::new());
        for (asked, value) in batch.send().await? {
            match asked {
                Asked::Claim(_) if value == Value::Okay => {}
                Asked::Claim(n) => held.push(n),
                Asked::Objects(objects) => {
                    let values: Vec<Option<Vec<u8>>> = redis::from_redis_value(value)?;
                    for ((n, object), value) in objects.into_iter().zip(values) {
                        published[n] = value.and_then(|value| place_of(object, &value));
                    }
                }
            }
        }
        let claimed = |published: &Option<Place>| Claim::Claimed { published: *published };
        let mut answers: Vec<Claim> = published.iter().map(claimed).collect();
        for (n, answer) in self.claim_held(link, claims, held, lease).await? {
            answers[n] = answer;
        }
        Ok(answers)
    }

    /// Looks at keys that are held, which are named by their places among the claims. Returns the answers of
    /// those that are not claimed now.
    async fn claim_held(
        &self,
        link: &Link,
        claims: &[ToClaim<'_>],
        held: Vec<usize>,
        lease: Duration,
    ) -> RedisResult<Vec<(usize, Claim)>> {
        let shares = link.shares(held, |n| link.place_of(&claims[*n].key));
        let calls = shares.iter().map(|(bucket, held)| {
            let mut call = self.scripts().claim.prepare_invoke();
            call.arg(millis(lease));
            for claim in held.iter().map(|n| &claims[*n]) {
                call.key(bucket.names.mark(&claim.key)).arg(claim.owner);
            }
            (*bucket, call)
        });
        let said: Vec<Vec<String>> = call_all(calls).await?;
        let answers = shares.iter().zip(&said).flat_map(|((bucket, held), words)| {
            held.iter()
                .zip(words)
                .filter_map(|(n, word)| Some((*n, answer_of(&bucket.names, claims[*n].key, word)?)))
        });
        Ok(answers.collect())
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
            let marking = self.within_deadline(async |link| self.mark_some(link, source, marks, ttl).await);
            self.report_overwritten(marking.await?);
        }
        Ok(())
    }

    /// Marks as many keys done as one call may have. Returns the keys of the ledger that were overwritten.
    async fn mark_some(
        &self,
        link: &Link,
        source: &SourceName,
        marks: &[ToMark],
        ttl: Duration,
    ) -> RedisResult<Vec<String>> {
        let mut batch = Batch::new(link, Some(&self.scripts().raise));
        for mark in marks {
            let bucket = link.bucket_of(&mark.key);
            batch.add(bucket, (), set(&bucket.names, &mark.key, mark.body.as_u64(), ttl));
        }
        let spread = link.spread(source);
        let places = link.divide(furthest(marks), |place| spread.place_of(&place.object));
        let entries =
            link.divide(marks.iter().filter_map(|mark| mark.entry), |entry| spread.place_of(&entry.run));
        for (bucket, (places, entries)) in link.buckets.iter().zip(places.into_iter().zip(entries)) {
            let mut call = self.scripts().raise.prepare_invoke();
            call.arg(places.len()).arg(millis(ttl.min(OBJECT_TTL_MAX)));
            for Place { object, sequence } in &places {
                call.key(bucket.names.object(object)).arg(sequence.as_u64());
            }
            let counts = bucket.since.as_ref().is_some_and(|since| since.add(&mut call, source, entries));
            if !places.is_empty() || counts {
                batch.call(bucket, (), &call);
            }
        }
        let mut overwritten = Vec::new();
        for ((), answer) in batch.send().await? {
            // Only the script answers with a list.
            if matches!(answer, Value::Array(_)) {
                overwritten.extend(redis::from_redis_value::<Vec<String>>(answer)?);
            }
        }
        Ok(overwritten)
    }

    /// Gives a claim back, so that a retry need not wait for the end of the lease.
    ///
    /// # Errors
    /// [`StoreError`]: the lease ends by itself.
    pub async fn release(&self, key: StoreKey, owner: &str) -> Result<(), StoreError> {
        self.within_deadline(async |link| {
            let bucket = link.bucket_of(&key);
            let mut call = self.scripts().release.prepare_invoke();
            call.key(bucket.names.mark(&key)).arg(owner);
            call.invoke_async::<i64>(&mut bucket.connection()).await
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
            let bucket = link.bucket_of(&key);
            redis::cmd("DEL").arg(bucket.names.mark(&key)).query_async::<i64>(&mut bucket.connection()).await
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
        let mut done = Vec::with_capacity(keys.len());
        for keys in keys.chunks(CALL_MAX) {
            done.extend(self.within_deadline(async |link| done_some(link, keys).await).await?);
        }
        Ok(done)
    }
}

/// Reads as many keys as one call may have.
async fn done_some(
    link: &Link,
    keys: &[(&SourceName, &IdempotencyKey)],
) -> RedisResult<Vec<Option<BodyHash>>> {
    let keys = keys.iter().map(|(source, key)| key.store_key(source)).enumerate();
    let mut done = vec![None; keys.len()];
    let shares = link.shares(keys, |(_, key)| link.place_of(key));
    let reading = shares.iter().map(async |(bucket, keys)| {
        let mut call = redis::cmd("MGET");
        for (_, key) in keys {
            call.arg(bucket.names.mark(key));
        }
        call.query_async::<Vec<Option<Vec<u8>>>>(&mut bucket.connection()).await
    });
    for ((_, keys), values) in shares.iter().zip(try_join_all(reading).await?) {
        for ((n, _), value) in keys.iter().zip(values) {
            // A value that is not a number is a claim, or was overwritten: the worker will see.
            done[*n] = value.and_then(|value| str::from_utf8(&value).ok()?.parse().ok());
        }
    }
    Ok(done)
}

/// Returns the command that writes a claim or a mark. It has room for all of its arguments: a batch has many.
fn set(names: &Names, key: &StoreKey, value: impl ToRedisArgs, ttl: Duration) -> Cmd {
    let mut command = Cmd::with_capacity(SET_ARGS, SET_BYTES);
    command.arg("SET").arg(names.mark(key)).arg(value).arg("PX").arg(millis(ttl));
    command
}

/// Returns the last place of each object.
fn furthest(marks: &[ToMark]) -> Vec<Place> {
    let mut places: Vec<Place> = marks.iter().filter_map(|mark| mark.place).collect();
    places.sort_unstable_by_key(|place| (place.object, Reverse(place.sequence)));
    places.dedup_by_key(|place| place.object);
    places
}

/// Returns the answer to the claim of a held key, by the word of the script; none if it is claimed now.
fn answer_of(names: &Names, key: StoreKey, word: &str) -> Option<Claim> {
    match word {
        "claimed" => None,
        "busy" => Some(Claim::Busy),
        done => Some(match done.parse() {
            Ok(body) => Claim::Done { body },
            Err(_) => Claim::Unreadable { key: names.shown_mark(key).into() },
        }),
    }
}

/// Returns the place that an object's value tells; none if hookswitch did not write it.
fn place_of(object: ObjectKey, value: &[u8]) -> Option<Place> {
    let number: u64 = str::from_utf8(value).ok()?.parse().ok()?;
    Some(Place { object, sequence: Sequence::from(number) })
}
