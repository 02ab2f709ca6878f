//! The ledger in Redis (see [`crate::core::ledger`]).
//!
//! `<namespace>:ledger`, the root, holds which Redis it is and since when it counts. All other keys have that
//! moment in their names, so that a loss of Redis is never added to what came later:
//!
//! | key, after the root | value |
//! | --- | --- |
//! | `:<since>:runs` | set of `<source>/<run>` |
//! | `:<since>:<source>/<run>` | hash: `through`, `closed`, `summed`, a count per state |
//! | `:<since>:<source>/<run>/<block>` | the states of 65,536 numbers, four bits each |
//! | `:<since>:total:<source>` | hash: the sum of the runs that are over |
//! | `:exporter` | the worker that exports the balance at present |
//!
//! On a Redis Cluster each bucket holds a ledger of its own, with a root, for the runs that are in it: what a
//! server forgets that takes over touches no other. The ledger of all is their sum.
//!
//! A run that is over is added to its source's total, and its `summed` says how much of it was. Runs that
//! began before `since` are left alone. Nothing lives longer than 35 days after it was last touched; a run
//! expires as a whole, so that the rest still balances.

use std::{
    collections::{BTreeMap, HashSet},
    time::Duration,
};

use futures_util::future::try_join_all;
use jiff::Timestamp;
use redis::{RedisError, RedisResult, aio::MultiplexedConnection};

use super::{
    error::StoreError,
    link::{Bucket, call_all},
    scripts::{CALL_MAX, millis},
    since::{BLOCK, Since, TTL},
    store::Store,
};
use crate::{
    core::{
        ledger::{Counts, Entry, Mark, NUMBER_MAX, RUN_MAX, Run, State, Sum},
        webhook::SourceName,
    },
    edge::trouble::Trouble,
};

/// Runs that are read in one round trip.
const AT_A_TIME: usize = 500;

/// Blocks that are read in one round trip: 2 MiB.
const BLOCKS_AT_A_TIME: usize = 64;

/// The time that reading the whole ledger may take. It holds up no delivery.
const READ_MAX: Duration = Duration::from_secs(10);

/// The age at which a run that is not closed has lost its receiver, in milliseconds.
const LONG_OVER: u128 = RUN_MAX.as_millis() * 4;

/// The ledger of all sources at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ledger {
    /// Runs that began before this are not counted: Redis was started then, or cleared.
    pub since: Timestamp,
    /// The sum of each source that was asked for, or that has a run.
    pub sources: BTreeMap<String, Sum>,
}

impl Store {
    /// Records the state of webhooks. It may be recorded again, and late.
    ///
    /// # Errors
    /// [`StoreError`]: recording again is safe.
    pub async fn record(
        &self,
        source: &SourceName,
        entries: impl Iterator<Item = Entry>,
        state: State,
    ) -> Result<(), StoreError> {
        let entries: Vec<Entry> = entries.collect();
        for entries in entries.chunks(CALL_MAX) {
            let recording = self.within_deadline(async |link| {
                let spread = link.spread(source);
                let shares = link.shares(entries.iter().copied(), |entry| spread.place_of(&entry.run));
                let calls = shares.into_iter().filter_map(|(bucket, entries)| {
                    let mut call = self.scripts().record.prepare_invoke();
                    call.arg(state as u8);
                    let counts = bucket.since.as_ref()?.add(&mut call, source, entries);
                    counts.then_some((bucket, call))
                });
                Ok(call_all::<Vec<String>>(calls).await?.concat())
            });
            self.report_overwritten(recording.await?);
        }
        Ok(())
    }

    /// Records how far a run has come.
    ///
    /// # Errors
    /// [`StoreError`]: recording again is safe.
    pub async fn mark(&self, source: &SourceName, mark: &Mark) -> Result<(), StoreError> {
        let refused = mark.refused.iter().map(|number| Entry { run: mark.run, number: *number });
        self.record(source, refused, State::Refused).await?;
        self.within_deadline(async |link| {
            let bucket = link.bucket_of_run(source, mark.run);
            let Some(since) = bucket.since.as_ref().filter(|since| since.counts(mark.run)) else {
                return Ok(());
            };
            let member = format!("{source}/{}", mark.run);
            let mut call = self.scripts().mark.prepare_invoke();
            call.key(since.run(&member)).key(since.runs()).key(since.root());
            call.arg(mark.through).arg(u8::from(mark.closed)).arg(member);
            call.arg(millis(TTL)).arg(since.millis());
            call.invoke_async(&mut bucket.connection()).await
        })
        .await
    }

    /// Returns whether anything was recorded of a run.
    ///
    /// # Errors
    /// [`StoreError`]
    pub async fn has_run(&self, source: &SourceName, run: Run) -> Result<bool, StoreError> {
        self.within_deadline(async |link| {
            let bucket = link.bucket_of_run(source, run);
            let Some(since) = &bucket.since else { return Ok(false) };
            let key = since.run(&format!("{source}/{run}"));
            redis::cmd("EXISTS").arg(key).query_async(&mut bucket.connection()).await
        })
        .await
    }

    /// Returns the ledger of `sources` and of every source that has a run; none where no ledger is kept. Sums
    /// up the runs that are over. `now` is in milliseconds since 1970.
    ///
    /// # Errors
    /// [`StoreError`]
    pub async fn ledger(
        &self,
        sources: impl Iterator<Item = &SourceName>,
        now: u64,
    ) -> Result<Option<Ledger>, StoreError> {
        let sources: Vec<String> = sources.map(ToString::to_string).collect();
        let link = self.link()?;
        let reading = link.buckets.iter().map(|bucket| self.ledger_in(bucket, &sources, now));
        let Some(ledgers) = try_join_all(reading).await?.into_iter().collect::<Option<Vec<_>>>() else {
            return Ok(None);
        };
        let add = |mut all: Ledger, one: Ledger| {
            all.since = all.since.max(one.since);
            for (source, sum) in one.sources {
                *all.sources.entry(source).or_default() += sum;
            }
            all
        };
        Ok(ledgers.into_iter().reduce(add))
    }

    /// Returns the ledger of the runs in one bucket; none where no ledger is kept.
    async fn ledger_in(
        &self,
        bucket: &Bucket,
        sources: &[String],
        now: u64,
    ) -> Result<Option<Ledger>, StoreError> {
        let Some(since) = &bucket.since else { return Ok(None) };
        let mut connection = bucket.connection();
        self.within_deadline(async |_| since.still_counts(&mut connection).await).await?;
        let reading = async {
            loop {
                if let Some(ledger) = self.read(&mut connection, since, sources, now).await? {
                    return Ok::<_, RedisError>(ledger);
                }
            }
        };
        match tokio::time::timeout(READ_MAX, reading).await {
            Ok(read) => Ok(Some(read?)),
            Err(_) => Err(StoreError::new(
                Trouble::StoreDown,
                format!("the ledger was not read within {READ_MAX:?}"),
            )),
        }
    }

    /// Makes this process the one that exports the balance for the next `lease`, unless another is. Returns
    /// whether it is. `owner` is a token as in [`ToClaim`](super::ToClaim).
    ///
    /// # Errors
    /// [`StoreError`]
    pub async fn lead(&self, owner: &str, lease: Duration) -> Result<bool, StoreError> {
        let answers: Vec<String> = self
            .at_home(async |home| {
                let mut call = self.scripts().claim.prepare_invoke();
                call.key(home.names.exporter()).arg(millis(lease)).arg(owner);
                call.invoke_async(&mut home.connection()).await
            })
            .await?;
        Ok(answers.first().is_some_and(|answer| answer == "claimed"))
    }

    /// Lets another process export the balance.
    ///
    /// # Errors
    /// [`StoreError`]: the lease ends by itself.
    pub async fn stop_leading(&self, owner: &str) -> Result<(), StoreError> {
        self.at_home(async |home| {
            let mut call = self.scripts().release.prepare_invoke();
            call.key(home.names.exporter()).arg(owner);
            call.invoke_async::<i64>(&mut home.connection()).await
        })
        .await
        .map(drop)
    }

    /// Reads the ledger and sums up what is over; none if another process summed up a run during it.
    async fn read(
        &self,
        connection: &mut MultiplexedConnection,
        since: &Since,
        sources: &[String],
        now: u64,
    ) -> RedisResult<Option<Ledger>> {
        let members: Vec<String> = redis::cmd("SMEMBERS").arg(since.runs()).query_async(connection).await?;
        let runs: Vec<(&String, &str, Run)> = members
            .iter()
            .filter_map(|member| {
                let (source, run) = member.split_once('/')?;
                Some((member, source, run.parse().ok()?))
            })
            .collect();
        let mut sums: BTreeMap<String, Sum> =
            sources.iter().cloned().map(|source| (source, Sum::default())).collect();
        for (_, source, _) in &runs {
            sums.entry((*source).to_owned()).or_default();
        }
        let totals = counts(connection, sums.keys().map(|source| since.total(source)).collect()).await?;
        for (sum, (total, _)) in sums.values_mut().zip(totals) {
            *sum = Sum::of_run(&total);
        }
        let of_runs = counts(connection, runs.iter().map(|(member, ..)| since.run(member)).collect()).await?;
        let mut over = Vec::new();
        for ((member, source, run), (counts, closed)) in runs.into_iter().zip(of_runs) {
            let mut sum = Sum::of_run(&counts);
            let orphaned = !closed && u128::from(now) > u128::from(run.began) + LONG_OVER;
            if orphaned {
                // Numbers that its receiver did not report must not make up for missing ones.
                sum.in_system = open_numbers(connection, since, member, counts.through).await?;
                sum.accepted = sum.done + sum.duplicate + sum.discarded + sum.dead + sum.in_system;
            }
            *sums.entry(source.to_owned()).or_default() += sum;
            if (closed || orphaned) && sum.in_system == 0 {
                over.push((member, source));
            }
        }
        let still: HashSet<String> = redis::cmd("SMEMBERS").arg(since.runs()).query_async(connection).await?;
        if !members.iter().all(|member| still.contains(member)) {
            return Ok(None);
        }
        for (member, source) in over {
            let mut call = self.scripts().sum_up.prepare_invoke();
            call.key(since.run(member)).key(since.runs()).key(since.total(source));
            call.arg(member).arg(millis(TTL)).invoke_async::<()>(connection).await?;
        }
        let since = i64::try_from(since.millis()).ok();
        let since = since.and_then(|since| Timestamp::from_millisecond(since).ok()).unwrap_or(Timestamp::MAX);
        Ok(Some(Ledger { since, sources: sums }))
    }
}

/// Counts the numbers of a run, up to `through`, that are not settled.
async fn open_numbers(
    connection: &mut MultiplexedConnection,
    since: &Since,
    member: &str,
    through: i64,
) -> RedisResult<i64> {
    let mut open = 0;
    let through = u64::try_from(through).unwrap_or(0).min(NUMBER_MAX);
    let blocks: Vec<u64> = (0..=through / BLOCK).collect();
    for some in blocks.chunks(BLOCKS_AT_A_TIME) {
        let mut pipe = redis::pipe();
        for block in some {
            pipe.cmd("GET").arg(since.block(member, *block));
        }
        let states: Vec<Vec<u8>> = pipe.query_async(connection).await?;
        for (block, states) in some.iter().zip(states) {
            let numbers = (through - block * BLOCK + 1).min(BLOCK);
            open += i64::try_from(open_in(&states, numbers)).unwrap_or(i64::MAX);
        }
    }
    // There is no number 0.
    Ok(if through > 0 { open - 1 } else { 0 })
}

/// Counts the zeros among the first `numbers` states of a block. States that are missing at its end are 0.
fn open_in(states: &[u8], numbers: u64) -> usize {
    let nibbles = states.iter().flat_map(|byte| [byte >> 4, byte & 0xf]).chain(std::iter::repeat(0));
    nibbles.take(usize::try_from(numbers).unwrap_or(usize::MAX)).filter(|state| *state == 0).count()
}

/// Returns the counts of runs or totals, and whether each is closed.
async fn counts(
    connection: &mut MultiplexedConnection,
    keys: Vec<String>,
) -> RedisResult<Vec<(Counts, bool)>> {
    let fields = ["through", "refused", "done", "duplicate", "discarded", "dead", "summed", "closed"];
    let mut all = Vec::with_capacity(keys.len());
    for keys in keys.chunks(AT_A_TIME) {
        let mut pipe = redis::pipe();
        for key in keys {
            pipe.cmd("HMGET").arg(key).arg(&fields);
        }
        let answers: Vec<Vec<Option<i64>>> = pipe.query_async(connection).await?;
        all.extend(answers.iter().map(|answer| {
            let count = |n: usize| answer.get(n).copied().flatten().unwrap_or(0);
            let [through, refused, done, duplicate, discarded, dead, summed] = std::array::from_fn(&count);
            (Counts { through, refused, done, duplicate, discarded, dead, summed }, count(7) == 1)
        }));
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_that_are_0_or_missing_are_open() {
        assert_eq!(open_in(&[0x01, 0x10, 0x55], 6), 2);
        assert_eq!(open_in(&[0x01], 6), 5);
        assert_eq!(open_in(&[0x01], 1), 1);
    }
}
