//! Creating the topology, and checking it.

use lapin::{
    Channel,
    options::{
        ExchangeBindOptions, ExchangeDeclareOptions, QueueBindOptions, QueueDeclareOptions,
        QueueDeleteOptions,
    },
    types::{AMQPValue, FieldTable},
};

use super::{
    difference::{Difference, TopologyError},
    spec::{Argument, Exchange, Queue, Topology},
};
use crate::edge::amqp::{Connection, Error};

/// One thing to declare.
enum Step<'a> {
    Exchange(&'a Exchange),
    Queue(&'a Queue),
}

impl Step<'_> {
    /// Returns its kind and name.
    fn name(&self) -> String {
        let name = match self {
            Self::Exchange(exchange) => &exchange.name,
            Self::Queue(queue) => &queue.name,
        };
        format!("{} {name}", self.kind())
    }

    fn kind(&self) -> &'static str {
        match self {
            Self::Exchange(_) => "exchange",
            Self::Queue(_) => "queue",
        }
    }

    async fn declare(&self, channel: &Channel, passive: bool) -> lapin::Result<()> {
        match self {
            Self::Exchange(exchange) => declare_exchange(channel, exchange, passive).await,
            Self::Queue(queue) => declare_queue(channel, queue, passive).await,
        }
    }

    /// Binds a queue to its exchanges. One that gets redacted copies is bound later.
    async fn bind(&self, channel: &Channel) -> lapin::Result<()> {
        match self {
            Self::Exchange(_) => Ok(()),
            Self::Queue(queue) if queue.is_redacted() => Ok(()),
            Self::Queue(queue) => bind_queue(channel, &queue.name, &queue.bindings).await,
        }
    }
}

/// What applying the topology did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Applied {
    /// How many exchanges and queues were created or found.
    pub present: usize,
    /// The bindings of earlier configurations that were removed, in words.
    pub unbound: Vec<String>,
}

/// What a check of the topology found to be right.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Checked {
    /// Exchanges and queues with the right properties.
    pub whole: usize,
    /// Exchanges and queues that exist. The user may not configure them, so nothing else is known.
    pub by_name: usize,
    /// Exchanges and queues of which nothing is known: RabbitMQ from 4.2.6 on does not even tell a user
    /// without any permission on them that they exist.
    pub unseen: usize,
}

impl Topology {
    fn steps(&self) -> impl Iterator<Item = Step<'_>> {
        let exchanges = self.exchanges.iter().map(Step::Exchange);
        exchanges.chain(self.queues.iter().map(Step::Queue))
    }

    /// Creates what is missing, and removes bindings that an earlier configuration gave to these queues;
    /// changes nothing else that exists.
    ///
    /// Nothing is bound while anything differs: the record would not say so. The exchanges are bound to each
    /// other last: until all queues are bound to an exchange that is made anew, messages wait at their
    /// publishers.
    ///
    /// A queue that gets redacted copies is bound to them only after its other bindings are removed. Workers
    /// publish an event's copies before the event: so one that finds the queue bound sends no plain event to
    /// it.
    ///
    /// # Errors
    /// [`TopologyError::Differs`] lists everything that exists with other properties.
    pub async fn apply(&self, connection: &Connection) -> Result<Applied, TopologyError> {
        let mut channel = connection.channel().await.map_err(Error::from)?;
        let (mut present, mut differences) = (0, Vec::new());
        for step in self.steps() {
            match step.declare(&channel, false).await {
                Ok(()) => present += 1,
                Err(error) => {
                    differences.push(Difference::of(step.name(), step.kind(), error)?);
                    channel = connection.channel().await.map_err(Error::from)?;
                }
            }
        }
        if differences.is_empty() {
            for step in self.steps() {
                if let Err(error) = step.bind(&channel).await {
                    differences.push(Difference::of(step.name(), step.kind(), error)?);
                    channel = connection.channel().await.map_err(Error::from)?;
                }
            }
        }
        if differences.is_empty() {
            for exchange in &self.exchanges {
                if let Err(error) = bind_exchange(&channel, exchange).await {
                    differences.push(Difference::of(
                        format!("exchange {}", exchange.name),
                        "exchange",
                        error,
                    )?);
                    channel = connection.channel().await.map_err(Error::from)?;
                }
            }
        }
        if !differences.is_empty() {
            return Err(TopologyError::Differs(differences));
        }
        let unbound = self.put_on_record(connection).await?;
        for queue in self.queues.iter().filter(|queue| queue.is_redacted()) {
            bind_queue(&channel, &queue.name, &queue.bindings).await.map_err(Error::from)?;
        }
        Ok(Applied { present, unbound })
    }

    /// Checks that everything exists with the right properties; changes nothing.
    ///
    /// The broker compares properties only for a user that may configure. After its first refusal the others
    /// are only looked up by name. A user that may not even do that learns what is missing when it uses it.
    ///
    /// Bindings cannot be read over AMQP. Where one is missing, a `mandatory` publish is returned to the
    /// publisher, and at-least-once dead-lettering keeps the message.
    ///
    /// # Errors
    /// [`TopologyError::Differs`] lists everything that is missing or different.
    pub async fn check(&self, connection: &Connection) -> Result<Checked, TopologyError> {
        let mut channel = connection.channel().await.map_err(Error::from)?;
        let (mut checked, mut differences) = (Checked::default(), Vec::new());
        for step in self.steps() {
            let compares = checked.by_name + checked.unseen == 0;
            // Declared in full only after it was found, so that nothing is created.
            let (seen, result) = match step.declare(&channel, true).await {
                Ok(()) if compares => (true, step.declare(&channel, false).await),
                found => (found.is_ok(), found),
            };
            let Err(error) = result else {
                *if compares { &mut checked.whole } else { &mut checked.by_name } += 1;
                continue;
            };
            if is_denied(&error) {
                *if seen { &mut checked.by_name } else { &mut checked.unseen } += 1;
            } else {
                differences.push(Difference::of(step.name(), step.kind(), error)?);
            }
            channel = connection.channel().await.map_err(Error::from)?;
        }
        if differences.is_empty() { Ok(checked) } else { Err(TopologyError::Differs(differences)) }
    }
}

/// Returns whether the broker refused because of a permission.
fn is_denied(error: &lapin::Error) -> bool {
    matches!(error.clone().into(), Error::Denied(_))
}

/// Binds a queue to exchanges, each by a key.
pub(super) async fn bind_queue(
    channel: &Channel,
    queue: &str,
    bindings: &[(String, String)],
) -> lapin::Result<()> {
    for (exchange, key) in bindings {
        let options = QueueBindOptions { nowait: false };
        let (name, from) = (queue.into(), exchange.as_str().into());
        channel.queue_bind(name, from, key.as_str().into(), options, FieldTable::default()).await?;
    }
    Ok(())
}

/// Deletes a queue, whatever is in it.
pub(super) async fn delete_queue(channel: &Channel, queue: &str) -> lapin::Result<()> {
    let options = QueueDeleteOptions { if_unused: false, if_empty: false, nowait: false };
    channel.queue_delete(queue.into(), options).await?;
    Ok(())
}

/// Binds an exchange to the one that forwards to it, if there is one.
async fn bind_exchange(channel: &Channel, exchange: &Exchange) -> lapin::Result<()> {
    let Some(from) = exchange.bound_to else { return Ok(()) };
    let options = ExchangeBindOptions { nowait: false };
    let to = exchange.name.as_str().into();
    channel.exchange_bind(to, from.into(), "".into(), options, FieldTable::default()).await
}

async fn declare_exchange(channel: &Channel, exchange: &Exchange, passive: bool) -> lapin::Result<()> {
    let options =
        ExchangeDeclareOptions { passive, durable: true, auto_delete: false, internal: false, nowait: false };
    let mut arguments = FieldTable::default();
    if let Some(alternate) = exchange.alternate {
        arguments.insert("alternate-exchange".into(), AMQPValue::LongString(alternate.into()));
    }
    channel.exchange_declare(exchange.name.as_str().into(), exchange.kind.clone(), options, arguments).await
}

/// Declares a queue.
pub(super) async fn declare_queue(channel: &Channel, queue: &Queue, passive: bool) -> lapin::Result<()> {
    let options =
        QueueDeclareOptions { passive, durable: true, exclusive: false, auto_delete: false, nowait: false };
    let mut arguments = FieldTable::default();
    for (key, value) in &queue.arguments {
        let value = match value {
            Argument::Text(text) => AMQPValue::LongString(text.as_str().into()),
            Argument::Number(number) => AMQPValue::LongLongInt(*number),
        };
        arguments.insert((*key).into(), value);
    }
    channel.queue_declare(queue.name.as_str().into(), options, arguments).await.map(drop)
}
