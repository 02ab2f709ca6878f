//! The connections to Redis, and which of them holds what.

use std::{sync::Arc, time::Duration};

use futures_util::future::try_join_all;
use redis::{
    Cmd, ErrorKind, FromRedisValue, Pipeline, RedisError, RedisResult, Script, ScriptInvocation,
    ServerErrorKind, Value, aio::MultiplexedConnection,
};

use super::{names::Names, since::Since};
use crate::core::{
    events::{key::StoreKey, order::ObjectKey},
    ledger::Run,
};

/// A part of what Redis holds, on one server: all of it on a single Redis, a sixteenth on a Redis Cluster.
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

/// What is held in the bucket that it chooses itself, by 8 evenly distributed bits.
pub(super) trait Held {
    fn bits(&self) -> u8;
}

impl Held for StoreKey {
    fn bits(&self) -> u8 {
        self.as_bytes().last().copied().unwrap_or_default()
    }
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

    /// Returns the bucket that holds `what`.
    pub(super) fn bucket_of(&self, what: &impl Held) -> &Bucket {
        &self.buckets[self.index_of(what)]
    }

    fn index_of(&self, what: &impl Held) -> usize {
        usize::from(what.bits()) % self.buckets.len()
    }

    /// Divides items among the buckets that hold what `held` takes out of them.
    pub(super) fn divide<T, H: Held>(
        &self,
        items: impl IntoIterator<Item = T>,
        held: impl Fn(&T) -> H,
    ) -> Vec<Vec<T>> {
        let mut shares: Vec<Vec<T>> = self.buckets.iter().map(|_| Vec::new()).collect();
        for item in items {
            shares[self.index_of(&held(&item))].push(item);
        }
        shares
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

    /// Sends all at the same time, and returns each answer with what it is for. If a command fails, the others
    /// may or may not be done.
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
