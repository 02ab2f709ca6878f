//! Whom a namespace belongs to. Two deployments that shared one would drop each other's webhooks as
//! duplicates.

use std::sync::{Arc, Mutex, PoisonError};

use redis::{RedisResult, aio::MultiplexedConnection};

use super::{
    error::StoreError,
    names::{self, MarkNames},
    scripts,
};
use crate::{core::identity::BrokerIdentity, edge::trouble::Trouble};

/// The broker and virtual host that a process works with.
#[derive(Clone, Debug)]
pub(super) struct Owner {
    pub(super) broker: BrokerIdentity,
    /// Set if the process takes a namespace that belongs to nobody.
    pub(super) takes: bool,
}

/// The owner that a process works for, as far as it is known.
#[derive(Clone, Default)]
pub(super) struct KnownOwner(Arc<Mutex<Option<Owner>>>);

impl KnownOwner {
    pub(super) fn get(&self) -> Option<Owner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn set(&self, owner: Owner) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(owner);
    }
}

/// What Redis knows about a namespace.
#[derive(Clone, Debug)]
pub(super) struct Record {
    /// The broker and virtual host that it belongs to; none if it is free.
    broker: Option<BrokerIdentity>,
    pub(super) marks: MarkNames,
}

impl Record {
    /// Reads the record, and takes the namespace if it is free and `owner` takes one.
    pub(super) async fn read(
        connection: &mut MultiplexedConnection,
        namespace: &str,
        owner: Option<&Owner>,
    ) -> RedisResult<Self> {
        let script = scripts::own();
        let mut call = script.key(names::owner(namespace));
        call.key(names::ledger(namespace));
        call.arg(owner.map_or("", |owner| &owner.broker.names))
            .arg(owner.and_then(|owner| owner.broker.topology.as_deref()).unwrap_or_default())
            .arg(u8::from(owner.is_some_and(|owner| owner.takes)));
        let (names, topology, marks): (String, String, String) = call.invoke_async(connection).await?;
        let topology = Some(topology).filter(|topology| !topology.is_empty());
        let broker = BrokerIdentity { names, topology, version: String::new() };
        let broker = Some(broker).filter(|broker| !broker.names.is_empty());
        Ok(Self { broker, marks: MarkNames::of_word(&marks) })
    }

    /// Fails if the namespace belongs to another owner.
    ///
    /// # Errors
    /// Says who has it, and what to do.
    pub(super) fn check(&self, namespace: &str, owner: Option<&Owner>) -> Result<(), StoreError> {
        let (Some(theirs), Some(Owner { broker: ours, .. })) = (&self.broker, owner) else { return Ok(()) };
        if theirs.is(ours) {
            return Ok(());
        }
        let (theirs, ours) = (&theirs.names, &ours.names);
        let text = format!(
            "the keys `{namespace}:*` belong to {theirs}, and this is {ours}: give each deployment a \
             redis.namespace or a database of its own; only if the other one is gone for good, run `HDEL {} \
             broker topology` in redis-cli",
            names::owner(namespace)
        );
        Err(StoreError::new(Trouble::StoreForeign, text))
    }
}
