//! What earlier configurations have left in the broker, and deleting it once it is empty.

use std::{cmp::Reverse, time::Duration};

use jiff::Timestamp;

use super::{
    declare::{bind_queue, delete_queue},
    difference::TopologyError,
    record::{add, declared, unbind},
    spec::{Queue, Topology},
};
use crate::{
    core::applied::{Declared, DeclaredQueue, RawQueueOf, TopologyRecord},
    edge::amqp::{
        Connection, Error,
        depth::{Depths, Look, look},
        names,
    },
};

/// Time after unbinding a queue in which messages that were routed before arrive in it.
pub(super) const ON_THEIR_WAY_MAX: Duration = Duration::from_secs(2);

/// A queue of an earlier configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeftOver {
    /// Its name.
    pub name: String,
    /// What is in it, and how many consume it.
    pub look: Look,
    /// Whether the configuration that was applied last needs it.
    pub is_applied: bool,
    /// What it holds raw webhooks of, if it does.
    pub raw: Option<RawQueueOf>,
    /// Whether it is a stream, which is never empty.
    pub stream: bool,
    bindings: Vec<(String, String)>,
}

/// What pruning did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pruned {
    /// The queues that were deleted.
    pub deleted: Vec<String>,
    /// The queues that stay, with the reason.
    pub kept: Vec<(String, String)>,
}

impl Topology {
    /// Returns the queues that earlier configurations declared and this one does not need, as far as they
    /// exist.
    ///
    /// # Errors
    /// [`TopologyError::Lost`]
    pub async fn left_over(
        &self,
        connection: &Connection,
        declared: &Declared,
    ) -> Result<Vec<LeftOver>, TopologyError> {
        let (mut depths, mut found) = (Depths::new(connection), Vec::new());
        for (name, queue) in declared.current.iter().chain(&declared.left_over) {
            if self.queues.iter().any(|needed| needed.name == *name) {
                continue;
            }
            let DeclaredQueue { bindings, raw, stream } = queue.clone();
            let (name, is_applied) = (name.clone(), declared.current.contains_key(name));
            match depths.look(&name).await {
                Ok(look) => found.push(LeftOver { name, look, is_applied, raw, stream, bindings }),
                Err(Error::Missing(_)) => {}
                Err(error) => return Err(error.into()),
            }
        }
        depths.close().await?;
        Ok(found)
    }

    /// Deletes the queues that earlier configurations have left, if they are empty and nothing can come back
    /// to them.
    ///
    /// # Errors
    /// [`TopologyError::NotApplied`] if this topology is not the one that was applied last: workers with
    /// another configuration may use the queues. [`TopologyError::Record`], [`TopologyError::Lost`]
    pub async fn prune(&self, connection: &Connection) -> Result<Pruned, TopologyError> {
        let declared = declared(connection).await?;
        let is_applied = |queue: &Queue| declared.current.contains_key(&queue.name);
        if declared.current.len() != self.queues.len() || !self.queues.iter().all(is_applied) {
            return Err(TopologyError::NotApplied);
        }
        let mut pruned = Pruned::default();
        let mut found = self.left_over(connection, &declared).await?;
        // Messages in delay queues of an earlier configuration come back, too.
        let old = found.iter().filter(|queue| queue.name.starts_with(names::RETRY_PREFIX));
        let old: u64 = old.map(|queue| u64::from(queue.look.ready)).sum();
        let waiting = self.waiting(connection).await? + old;
        // Raw queues dead-letter to their source's dead-letter queue, so that one goes last. The highest
        // shard goes first: workers look for shards up to the first missing one.
        found.sort_by_key(|queue| Reverse(queue.raw.as_ref().map(|raw| raw.shard)));
        for queue in found {
            let of_kept = |(kept, _): &(String, String)| {
                let raw = declared.left_over.get(kept).and_then(|declared| declared.raw.as_ref());
                raw.is_some_and(|raw| names::dead_queue(&raw.source) == queue.name)
            };
            let why = match pruned.kept.iter().find(|kept| of_kept(kept)) {
                Some((raw, _)) => Some(format!("queue {raw} dead-letters to it")),
                None if queue.raw.is_some() && waiting > 0 => Some(format!(
                    "{} in delay queues and may come back to it: try again later",
                    counted(waiting, "message waits", "messages wait")
                )),
                None if queue.stream => {
                    Some("it is a stream, whose events are history: delete it by hand".to_owned())
                }
                None => delete(connection, &queue).await?.map(|why| match &queue.raw {
                    Some(RawQueueOf { source, .. }) if declared.paused.contains_key(source) => {
                        format!("{why}, and its source is paused: `hookswitch resume {source}`")
                    }
                    _ => why,
                }),
            };
            match why {
                Some(why) => pruned.kept.push((queue.name, why)),
                None => pruned.deleted.push(queue.name),
            }
        }
        let kept = |name: &String| pruned.kept.iter().any(|(kept, _)| kept == name);
        let queues: Vec<_> = declared.left_over.keys().filter(|name| !kept(name)).cloned().collect();
        if !queues.is_empty() {
            add(connection, &TopologyRecord::Pruned { at: Timestamp::now(), queues }).await?;
        }
        Ok(pruned)
    }

    /// Returns how many messages are in delay queues.
    async fn waiting(&self, connection: &Connection) -> Result<u64, Error> {
        let (mut depths, mut waiting) = (Depths::new(connection), 0);
        for queue in self.queues.iter().filter(|queue| queue.name.starts_with(names::RETRY_PREFIX)) {
            waiting += u64::from(depths.of(&queue.name).await?);
        }
        depths.close().await?;
        Ok(waiting)
    }
}

/// Returns why a queue must stay for now, if it must.
fn in_use(look: Look) -> Option<String> {
    let ready = counted(look.ready.into(), "message is ready in it", "messages are ready in it");
    match look {
        Look { ready: 1.., consumers: 0 } => Some(ready),
        Look { consumers: 1.., .. } => Some(format!(
            "{ready}, and it has {}; workers let go of a removed source's queue once it is empty, and of a \
             shard when they stop",
            counted(look.consumers.into(), "consumer", "consumers")
        )),
        Look { ready: 0, consumers: 0 } => None,
    }
}

/// Returns a number with the words for one or for several.
fn counted(n: u64, one: &str, several: &str) -> String {
    format!("{n} {}", if n == 1 { one } else { several })
}

/// Deletes a queue that is not in use, or says why it is kept. Quorum queues cannot be deleted on condition
/// that they are empty, so it is unbound first, and bound again if something had still come.
async fn delete(connection: &Connection, queue: &LeftOver) -> Result<Option<String>, Error> {
    let why = in_use(queue.look);
    if why.is_some() {
        return Ok(why);
    }
    let channel = connection.channel().await?;
    let LeftOver { name, bindings, .. } = queue;
    unbind(&channel, name, bindings.iter()).await?;
    tokio::time::sleep(ON_THEIR_WAY_MAX).await;
    let why = in_use(look(connection, name).await?);
    match why {
        Some(_) => bind_queue(&channel, name, bindings).await?,
        None => delete_queue(&channel, name).await?,
    }
    channel.close(200, "done".into()).await?;
    Ok(why)
}
