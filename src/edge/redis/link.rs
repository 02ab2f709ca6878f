//! The connections to Redis, and which of them holds what.

use std::{sync::Arc, time::Duration};

use futures_util::future::try_join_all;
use redis::{
    Cmd, ErrorKind, FromRedisValue, Pipeline, RedisError, RedisResult, Script, ScriptInvocation,
    ServerErrorKind, Value, aio::MultiplexedConnection,
};
use sha1::{Digest, Sha1};

use super::{cluster::SPREAD, names::Names, since::Since};
use crate::core::{
    events::{key::StoreKey, order::ObjectKey},
    ledger::Run,
    webhook::SourceName,
};

/// A part of what Redis holds, on one server: all of it on a single Redis, one of many on a Redis Cluster.
pub(super) struct Bucket {
    /// The place of its server among those of the link.
    pub(super) server: usize,
    pub(super) connection: MultiplexedConnection,
    pub(super) names: Names,
    /// Where it keeps the ledger; none if no ledger is kept.
    pub(super) since: Option<Since>,
}

impl Bucket {
    /// Returns its connection.
    pub(super) fn connection(&self) -> MultiplexedConnection {
        self.connection.clone()
    }
}

/// What is held in a bucket of its source that it chooses itself, by 8 evenly distributed bits.
pub(super) trait Held {
    fn bits(&self) -> u8;
}

impl Held for ObjectKey {
    fn bits(&self) -> u8 {
        self.as_bytes().last().copied().unwrap_or_default()
    }
}

/// The ledger of a run is in one bucket, so that it is lost as a whole if it is lost.
impl Held for Run {
    fn bits(&self) -> u8 {
        self.nonce as u8
    }
}

/// The connections to Redis, and what is where.
#[derive(Clone)]
pub struct Link {
    /// Tells it from those before it.
    pub(super) number: u64,
    /// The time that a command may take.
    pub(super) timeout: Duration,
    /// A connection to each server.
    pub(super) servers: Arc<[MultiplexedConnection]>,
    /// At least one; the first is the home.
    pub(super) buckets: Arc<[Bucket]>,
}

impl Link {
    /// Returns the bucket that holds what is not divided.
    pub(super) fn home(&self) -> &Bucket {
        &self.buckets[0]
    }

    /// Returns the bucket that holds a claim or a done mark. All of them share these, since no script is
    /// needed to write many.
    pub(super) fn bucket_of(&self, key: &StoreKey) -> &Bucket {
        &self.buckets[self.place_of(key)]
    }

    /// Returns the place of that bucket.
    pub(super) fn place_of(&self, key: &StoreKey) -> usize {
        usize::from(key.as_bytes().last().copied().unwrap_or_default()) % self.buckets.len()
    }

    /// Returns the bucket that holds a run of a source.
    pub(super) fn bucket_of_run(&self, source: &SourceName, run: Run) -> &Bucket {
        &self.buckets[self.spread(source).place_of(&run)]
    }

    /// Returns the buckets that hold the objects and the ledger of a source.
    pub(super) fn spread(&self, source: &SourceName) -> Spread {
        Spread::of(source, self.buckets.len())
    }

    /// Divides items among the buckets, each to the place that `place` returns.
    pub(super) fn divide<T>(
        &self,
        items: impl IntoIterator<Item = T>,
        place: impl Fn(&T) -> usize,
    ) -> Vec<Vec<T>> {
        let mut shares: Vec<Vec<T>> = self.buckets.iter().map(|_| Vec::new()).collect();
        for item in items {
            shares[place(&item)].push(item);
        }
        shares
    }

    /// Divides items as [`Link::divide`] does, and returns the buckets that get any.
    pub(super) fn shares<T>(
        &self,
        items: impl IntoIterator<Item = T>,
        place: impl Fn(&T) -> usize,
    ) -> Vec<(&Bucket, Vec<T>)> {
        let shares = self.buckets.iter().zip(self.divide(items, place));
        shares.filter(|(_, share)| !share.is_empty()).collect()
    }
}

/// The buckets of a source: `count` of them, each `step` further than the one before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Spread {
    first: usize,
    step: usize,
    count: usize,
}

impl Spread {
    /// Returns the buckets of a source, out of `all`. Its name chooses the first.
    fn of(source: &SourceName, all: usize) -> Self {
        let count = SPREAD.min(all);
        let step = all / count;
        let first = if step > 1 { usize::from(Sha1::digest(source.as_str())[0]) % step } else { 0 };
        Self { first, step, count }
    }

    /// Returns the place of the bucket that holds `what`.
    pub(super) fn place_of(self, what: &impl Held) -> usize {
        self.first + usize::from(what.bits()) % self.count * self.step
    }
}

/// Calls scripts in their buckets, all at the same time, and returns their answers. If one fails, the others
/// may or may not be done.
pub(super) async fn call_all<T: FromRedisValue>(
    calls: impl IntoIterator<Item = (&Bucket, ScriptInvocation<'_>)>,
) -> RedisResult<Vec<T>> {
    let calling =
        calls.into_iter().map(async |(bucket, call)| call.invoke_async(&mut bucket.connection()).await);
    try_join_all(calling).await
}

/// Commands on several buckets. Each server gets its own in one message, whichever buckets they are on. `T`
/// is what the answer of a command is for.
pub(super) struct Batch<'l, T> {
    link: &'l Link,
    /// The script that some of the commands call.
    script: Option<&'l Script>,
    /// For each server its commands, and what their answers are for.
    parts: Vec<(Pipeline, Vec<T>)>,
}

impl<'l, T> Batch<'l, T> {
    pub(super) fn new(link: &'l Link, script: Option<&'l Script>) -> Self {
        let parts = link.servers.iter().map(|_| (Pipeline::new(), Vec::new())).collect();
        Self { link, script, parts }
    }

    /// Adds a command on a bucket.
    pub(super) fn add(&mut self, bucket: &Bucket, of: T, command: Cmd) {
        let (pipe, asked) = &mut self.parts[bucket.server];
        pipe.add_command(command);
        asked.push(of);
    }

    /// Adds a call of the script on a bucket.
    pub(super) fn call(&mut self, bucket: &Bucket, of: T, call: &ScriptInvocation<'_>) {
        let (pipe, asked) = &mut self.parts[bucket.server];
        pipe.invoke_script(call);
        asked.push(of);
    }

    /// Sends all at the same time, and returns each answer with what it is for. If a command fails, the
    /// others may or may not be done.
    pub(super) async fn send(self) -> RedisResult<Vec<(T, Value)>> {
        let Self { link, script, parts } = self;
        let parts = link.servers.iter().zip(parts).filter(|(_, (pipe, _))| !pipe.is_empty());
        let sending = parts.map(async |(server, (mut pipe, asked))| {
            pipe.ignore_errors();
            Ok::<_, RedisError>(asked.into_iter().zip(send(&pipe, server.clone(), script).await?))
        });
        Ok(try_join_all(sending).await?.into_iter().flatten().collect())
    }
}

/// Sends commands in one message. A server that does not know the script gets it, and everything once more.
async fn send(
    pipe: &Pipeline,
    mut server: MultiplexedConnection,
    script: Option<&Script>,
) -> RedisResult<Vec<Value>> {
    let mut answers: Vec<RedisResult<Value>> = pipe.query_async(&mut server).await?;
    let unknown = ErrorKind::Server(ServerErrorKind::NoScript);
    let is_unknown = |answer: &RedisResult<Value>| matches!(answer, Err(error) if error.kind() == unknown);
    if let Some(script) = script.filter(|_| answers.iter().any(is_unknown)) {
        script.load_async(&mut server).await?;
        answers = pipe.query_async(&mut server).await?;
    }
    answers.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::edge::redis::cluster::BUCKETS;

    fn source(name: &str) -> SourceName {
        name.parse().expect("a name")
    }

    #[test]
    fn a_source_has_a_few_buckets_far_from_each_other_and_all_sources_have_all() {
        let mut all = BTreeSet::new();
        for n in 0..100 {
            let spread = Spread::of(&source(&format!("tenant-{n}")), BUCKETS);
            let its: BTreeSet<_> = (0..=255).map(|nonce| spread.place_of(&Run { began: 1, nonce })).collect();
            let its: Vec<_> = its.into_iter().collect();
            assert_eq!(its.len(), SPREAD);
            assert!(its.windows(2).all(|pair| pair[1] - pair[0] == BUCKETS / SPREAD), "{its:?}");
            all.extend(its);
        }
        assert_eq!(all.len(), BUCKETS);
        let single = Spread::of(&source("tenant-1"), 1);
        assert!((0..=255).all(|nonce| single.place_of(&Run { began: 1, nonce }) == 0));
    }

    #[test]
    fn another_version_finds_what_this_one_has_written() {
        let first = |name| Spread::of(&source(name), BUCKETS).first;
        assert_eq!(["salpre", "wavix-eu", "bench"].map(first), [2, 2, 1]);
    }
}
