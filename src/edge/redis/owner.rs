//! Whom a namespace belongs to. Two deployments that shared one would drop each other's webhooks as
//! duplicates.

use redis::{RedisResult, aio::MultiplexedConnection};

use super::{
    error::StoreError,
    names::{self, MarkNames},
    scripts,
};
use crate::edge::trouble::Trouble;

/// The broker and virtual host that a process works with.
#[derive(Clone, Debug)]
pub(super) struct Owner {
    /// Their names, as [`crate::edge::amqp::identity`] returns them.
    pub(super) broker: String,
    /// Set if the process takes a namespace that belongs to nobody.
    pub(super) takes: bool,
}

/// What Redis knows about a namespace.
#[derive(Clone, Debug)]
pub(super) struct Record {
    /// The broker and virtual host that it belongs to; empty if to none.
    broker: String,
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
        call.arg(owner.map_or("", |owner| &owner.broker))
            .arg(u8::from(owner.is_some_and(|owner| owner.takes)));
        let (broker, marks): (String, String) = call.invoke_async(connection).await?;
        Ok(Self { broker, marks: MarkNames::of_word(&marks) })
    }

    /// Fails if the namespace belongs to another owner.
    ///
    /// # Errors
    /// Says who has it, and what to do.
    pub(super) fn check(&self, namespace: &str, owner: Option<&Owner>) -> Result<(), StoreError> {
        let theirs = &self.broker;
        let Some(Owner { broker: ours, .. }) = owner else { return Ok(()) };
        if theirs.is_empty() || theirs == ours {
            return Ok(());
        }
        let text = format!(
            "the keys `{namespace}:*` belong to {theirs}, and this is {ours}: give each deployment a \
             redis.namespace or a database of its own; only if the other one is gone for good, run `HDEL {} \
             broker` in redis-cli",
            names::owner(namespace)
        );
        Err(StoreError::new(Trouble::StoreForeign, text))
    }
}
