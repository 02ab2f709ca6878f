//! The record of the queues that were ever declared: a stream in the broker, since it must live and die with
//! the queues that it lists.

use jiff::Timestamp;
use lapin::{
    Channel, Confirmation,
    options::{BasicPublishOptions, ConfirmSelectOptions},
    types::FieldTable,
};

use super::{
    difference::{Difference, TopologyError},
    spec::{Queue, Topology},
};
use crate::{
    core::applied::{Declared, TopologyRecord},
    edge::amqp::{
        Connection, Error,
        consume::stream::{Reading, Start, StreamError},
        message, names,
    },
};

/// Reads what was ever declared.
///
/// # Errors
/// [`TopologyError::Record`]
pub async fn declared(connection: &Connection) -> Result<Declared, TopologyError> {
    let mut reading = Reading::begin(connection, names::TOPOLOGY_LOG, Start::First).await?;
    let mut declared = Declared::default();
    while let Some(stored) = reading.next().await? {
        match serde_json::from_slice(&stored.body) {
            Ok(record) => declared.add(record),
            Err(error) => tracing::warn!(%error, "skipped a record of the topology that cannot be read"),
        }
    }
    reading.close().await;
    Ok(declared)
}

/// Reads what was ever declared, as far as is known: nothing before the first `topology apply`, and for a
/// user that may not read the record.
///
/// # Errors
/// [`TopologyError::Record`]
pub async fn known(connection: &Connection) -> Result<Declared, TopologyError> {
    match declared(connection).await {
        Err(TopologyError::Record(StreamError::Missing(_) | StreamError::Denied(..))) => {
            Ok(Declared::default())
        }
        read => read,
    }
}

/// Adds a record, and returns once it is confirmed.
///
/// # Errors
/// [`TopologyError::Lost`]
pub async fn add(connection: &Connection, record: &TopologyRecord) -> Result<(), TopologyError> {
    // Names, numbers and texts always serialize.
    let body = serde_json::to_vec(record).unwrap_or_default();
    let publish = async {
        let channel = connection.channel().await?;
        channel.confirm_select(ConfirmSelectOptions { nowait: false }).await?;
        let options = BasicPublishOptions { mandatory: true, immediate: false };
        let properties = message::record_properties(Timestamp::now()).with_type("topology".into());
        let (exchange, key) = (names::DEFAULT_EXCHANGE.into(), names::TOPOLOGY_LOG.into());
        let confirm = channel.basic_publish(exchange, key, options, &body, properties).await?.await?;
        channel.close(200, "done".into()).await?;
        Ok::<_, lapin::Error>(confirm)
    };
    if !matches!(publish.await.map_err(Error::from)?, Confirmation::Ack(None)) {
        Err(Error::Refused("the record of the topology was not stored".to_owned()))?;
    }
    Ok(())
}

/// Removes bindings of a queue.
pub(super) async fn unbind<'a>(
    channel: &Channel,
    queue: &str,
    bindings: impl Iterator<Item = &'a (String, String)>,
) -> Result<(), Error> {
    for (exchange, key) in bindings {
        let (name, from) = (queue.into(), exchange.as_str().into());
        channel.queue_unbind(name, from, key.as_str().into(), FieldTable::default()).await?;
    }
    Ok(())
}

/// Compares the bindings of queues with those on record, if there is a record.
fn compare_bindings<'a>(
    queues: impl Iterator<Item = &'a Queue>,
    declared: &Declared,
) -> Result<(), TopologyError> {
    if declared.since.is_none() {
        return Ok(());
    }
    let differing = queues.filter_map(|Queue { name, bindings, .. }| {
        let how = match declared.bindings(name) {
            Some(applied) if applied == bindings => return None,
            Some(_) => "bound as an earlier configuration wants it; run `hookswitch topology apply`",
            None => "missing; run `hookswitch topology apply` to create it",
        };
        Some(Difference { what: format!("queue {name}"), how: how.to_owned() })
    });
    let differing: Vec<_> = differing.collect();
    if differing.is_empty() { Ok(()) } else { Err(TopologyError::Differs(differing)) }
}

impl Topology {
    /// Checks that all queues have the bindings that they need, as far as the record says: it says nothing
    /// before the first `topology apply`, and to a user that may not read it.
    ///
    /// # Errors
    /// [`TopologyError::Differs`]
    pub fn check_bindings(&self, declared: &Declared) -> Result<(), TopologyError> {
        compare_bindings(self.queues.iter(), declared)
    }

    /// Checks the bindings that a worker needs before it uses this configuration.
    ///
    /// Workers choose what a queue with a filter or `redact` gets. They must do so before `topology apply`
    /// takes its other bindings away, or it would miss events: so those queues are left out.
    ///
    /// # Errors
    /// [`TopologyError::Differs`]
    pub fn check_applied(&self, declared: &Declared) -> Result<(), TopologyError> {
        compare_bindings(self.queues.iter().filter(|queue| !queue.is_addressed()), declared)
    }

    /// Removes the bindings that an earlier configuration gave to queues of this one, and records this one.
    /// Returns the bindings that were removed, in words.
    pub(super) async fn put_on_record(&self, connection: &Connection) -> Result<Vec<String>, TopologyError> {
        let declared = declared(connection).await?;
        let channel = connection.channel().await.map_err(Error::from)?;
        let mut removed = Vec::new();
        for queue in &self.queues {
            let outdated: Vec<_> = declared.outdated(&queue.name, &queue.bindings).collect();
            unbind(&channel, &queue.name, outdated.iter().copied()).await?;
            removed.extend(
                outdated.iter().map(|(from, key)| format!("{} to {from} by key `{key}`", queue.name)),
            );
        }
        channel.close(200, "done".into()).await.map_err(Error::from)?;
        let queues = self.queues.iter().map(|queue| (queue.name.clone(), Queue::declared(queue))).collect();
        if declared.current != queues {
            add(connection, &TopologyRecord::Applied { at: Timestamp::now(), queues }).await?;
        }
        Ok(removed)
    }
}
