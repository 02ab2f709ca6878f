//! The consumer of a raw queue.

use std::time::Duration;

use futures_util::{FutureExt, StreamExt};
use jiff::Timestamp;
use lapin::{
    Consumer,
    options::{BasicCancelOptions, BasicNackOptions},
};

use super::{Mode, acks::Settler, consume, delivery::Delivery};
use crate::{
    core::{
        delivery::queued::QueuedWebhook,
        providers::Provider,
        shard::Shard,
        webhook::{Headers, SourceName},
    },
    edge::amqp::{Connection, Error, carriable, invalid::InvalidMessage, message, names},
};

/// Time that ending a consumer may take. The broker may never answer for a queue that has no leader.
const END_MAX: Duration = Duration::from_secs(30);

/// Spare capacity that a body may keep. lapin appends one frame after the other, which can leave as much
/// unused as the body has.
const SPARE_MAX: usize = 16 << 10;

/// The consumer of a source's shard, on a channel of its own.
#[derive(Debug)]
pub struct RawConsumer {
    consumer: Consumer,
    source: SourceName,
    shard: Shard,
    provider: Provider,
    settler: Settler,
    /// The largest frame of its connection.
    frame_max: u32,
}

impl RawConsumer {
    /// Starts consuming. At most `prefetch` deliveries are unacked at a time.
    ///
    /// # Errors
    /// [`Error`]: the queue is missing, or the channel or connection failed.
    pub async fn open(
        connection: &Connection,
        source: SourceName,
        shard: Shard,
        provider: Provider,
        prefetch: u16,
    ) -> Result<Self, Error> {
        let (channel, consumer) =
            consume(connection, &names::raw_queue(&source, shard), Mode::Acked { prefetch }).await?;
        let (settler, frame_max) = (Settler::new(channel), connection.frame_max());
        Ok(Self { consumer, source, shard, provider, settler, frame_max })
    }

    /// Starts consuming the same queue with another prefetch, over another channel. RabbitMQ reads a prefetch
    /// only when consuming starts. A consumer's late deliveries, which lapin ignores, go back with its
    /// channel.
    ///
    /// # Errors
    /// As [`RawConsumer::open`].
    pub async fn again(&self, connection: &Connection, prefetch: u16) -> Result<Self, Error> {
        let opening = Self::open(connection, self.source.clone(), self.shard, self.provider, prefetch);
        let late = |_| Error::Lost(format!("consuming could not begin again within {END_MAX:?}"));
        tokio::time::timeout(END_MAX, opening).await.map_err(late)?
    }

    /// Stops consuming for good, and hands over what arrives meanwhile: it may be much, and lapin buffers it
    /// without bound. Even later deliveries stay unsettled until [`RawConsumer::close`].
    ///
    /// # Errors
    /// [`Error`]: the channel or connection failed.
    pub async fn cancel(&mut self, mut arrived: impl FnMut(Delivery)) -> Result<(), Error> {
        let (channel, tag) = (self.settler.channel.clone(), self.consumer.tag());
        let cancelling = in_time(channel.basic_cancel(tag, BasicCancelOptions { nowait: false }));
        tokio::pin!(cancelling);
        let mut ended = false;
        let cancelled = loop {
            tokio::select! {
                biased;
                next = self.consumer.next(), if !ended => match next {
                    Some(Ok(message)) => self.accept(message, &mut arrived),
                    // After its cancel it just ends; what failed is said by the other future.
                    Some(Err(_)) | None => ended = true,
                },
                cancelled = &mut cancelling => break cancelled,
            }
        };
        while let Some(Some(Ok(message))) = self.consumer.next().now_or_never() {
            self.accept(message, &mut arrived);
        }
        cancelled.inspect_err(|_| self.settler.gone.cancel())
    }

    /// Closes the channel: the broker requeues what is not settled.
    ///
    /// # Errors
    /// [`Error`]: the connection failed.
    pub async fn close(&self) -> Result<(), Error> {
        self.settler.gone.cancel();
        in_time(self.settler.channel.close(200, "done".into())).await
    }

    /// Returns the settler of its deliveries.
    pub fn settler(&self) -> Settler {
        self.settler.clone()
    }

    /// Waits for messages and returns the deliveries of all that have arrived; none when the channel is gone,
    /// for whatever cause.
    pub async fn next(&mut self) -> Option<Vec<Delivery>> {
        // lapin reports the end once, and that may have been right behind the last deliveries.
        if self.settler.gone.is_cancelled() {
            return None;
        }
        let first = self.consumer.next().await;
        let mut deliveries = Vec::new();
        self.read(first, &mut deliveries)?;
        while let Some(next) = self.consumer.next().now_or_never() {
            // If the channel is gone, the next call returns none.
            let Some(()) = self.read(next, &mut deliveries) else { break };
        }
        Some(deliveries)
    }

    fn read(
        &self,
        next: Option<lapin::Result<lapin::message::Delivery>>,
        deliveries: &mut Vec<Delivery>,
    ) -> Option<()> {
        match next {
            Some(Ok(message)) => {
                self.accept(message, |delivery| deliveries.push(delivery));
                Some(())
            }
            Some(Err(error)) => {
                tracing::warn!(source = %self.source, %error, "the consumer of a raw queue failed");
                self.settler.gone.cancel();
                None
            }
            None => {
                self.settler.gone.cancel();
                None
            }
        }
    }

    /// Hands over the deliveries of a message: one, or those of a bundle.
    fn accept(&self, mut message: lapin::message::Delivery, mut take: impl FnMut(Delivery)) {
        if message.data.capacity() - message.data.len() > SPARE_MAX {
            message.data.shrink_to_fit();
        }
        match message::decode_bundle(&message.properties, &message.data) {
            Some(Ok(webhooks)) => self.accept_bundle(&message, webhooks, take),
            Some(Err(invalid)) => take(self.accept_one(message, Some(InvalidMessage::Bundle(invalid)))),
            None => take(self.accept_one(message, None)),
        }
    }

    fn accept_bundle(
        &self,
        message: &lapin::message::Delivery,
        webhooks: Vec<QueuedWebhook>,
        mut take: impl FnMut(Delivery),
    ) {
        let (tag, redeliveries) = (message.delivery_tag, message::redeliveries(&message.properties));
        let (of, came_back) = (webhooks.len(), message.redelivered || redeliveries > 0);
        self.settler.give_out(tag, of);
        for (place, queued) in webhooks.into_iter().enumerate() {
            let is_long = message::is_long(&queued);
            let (queued, invalid) = self.check(queued, None, is_long);
            take(Delivery { queued, invalid, redeliveries, place, of, came_back, tag });
        }
    }

    fn accept_one(&self, message: lapin::message::Delivery, invalid: Option<InvalidMessage>) -> Delivery {
        let (tag, properties) = (message.delivery_tag, message.properties);
        self.settler.give_out(tag, 1);
        let decoded = match invalid {
            Some(invalid) => Err((invalid, message.data)),
            None => message::decode(&properties, message.data),
        };
        let (queued, invalid) = match decoded {
            Ok(queued) => (queued, None),
            Err((error, body)) => {
                let now = Timestamp::now();
                let queued = message::salvage(&properties, body, &self.source, self.provider, now);
                (queued, Some(error))
            }
        };
        let (queued, invalid) = self.check(queued, invalid, message::may_grow(&properties));
        let redeliveries = message::redeliveries(&properties);
        Delivery { queued, invalid, redeliveries, place: 0, of: 1, came_back: false, tag }
    }

    /// Checks that a webhook can be sent on, and is of this queue. Makes it so if not, and says what was
    /// wrong.
    fn check(
        &self,
        mut queued: QueuedWebhook,
        mut invalid: Option<InvalidMessage>,
        may_be_too_large: bool,
    ) -> (QueuedWebhook, Option<InvalidMessage>) {
        if may_be_too_large && let Err(uncarriable) = carriable::check(&queued, self.frame_max) {
            // Sent on as it is, it would end the connection of the publisher, again and again.
            queued.webhook.headers = Headers::default();
            queued.history.past = Vec::new();
            invalid.get_or_insert(InvalidMessage::Unreadable(uncarriable.to_string()));
        }
        if queued.webhook.source != self.source {
            let named = self.adopt(&mut queued);
            invalid.get_or_insert(InvalidMessage::OtherSource(named));
        }
        (QueuedWebhook { shard: self.shard, ..queued }, invalid)
    }

    /// Makes a webhook that names another source one of this queue's, and returns the other's name. Its place
    /// in the other's ledger means nothing in this one's.
    fn adopt(&self, queued: &mut QueuedWebhook) -> SourceName {
        queued.webhook.provider = self.provider;
        queued.entry = None;
        std::mem::replace(&mut queued.webhook.source, self.source.clone())
    }

    /// Stops consuming, and requeues what was delivered and is not being processed: `waiting`, and what
    /// [`RawConsumer::next`] has not returned yet.
    pub async fn stop(&mut self, waiting: impl IntoIterator<Item = Delivery>) {
        let mut waiting: Vec<Delivery> = waiting.into_iter().collect();
        // If this fails the channel is gone, and the broker requeues the messages anyway. So it does below.
        if self.cancel(|delivery| waiting.push(delivery)).await.is_err() {
            return;
        }
        for tag in self.settler.give_back(waiting.iter()) {
            let options = BasicNackOptions { multiple: false, requeue: true };
            drop(self.settler.channel.basic_nack(tag, options).await);
        }
    }
}

async fn in_time(ending: impl Future<Output = lapin::Result<()>>) -> Result<(), Error> {
    let late = |_| Error::Lost(format!("a consumer could not be ended within {END_MAX:?}"));
    Ok(tokio::time::timeout(END_MAX, ending).await.map_err(late)??)
}

impl Drop for RawConsumer {
    fn drop(&mut self) {
        self.settler.gone.cancel();
    }
}
