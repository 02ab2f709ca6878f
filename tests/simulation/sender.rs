//! Senders, and the receiver that publishes for them: each posts a webhook until it is answered 200, or gives
//! up.

use hookswitch::core::delivery::lifecycle::Answer;

use crate::{
    broker::{By, Message, Place, What},
    clock::Event,
    stats::Count,
    world::{Ill, Webhook, World},
};

impl World<'_> {
    /// Draws a webhook.
    pub(crate) fn make_webhook(&mut self) -> Webhook {
        let key = self.random.count(0, self.plan.keys - 1);
        let ill = self.random.chance(self.plan.unreadable);
        let poison = ill && self.random.chance(self.plan.poison);
        let kind = self.random.pick(&[Ill::Unsupported, Ill::Invalid, Ill::Panics]);
        let for_ever = self.random.coin();
        let ill_for = if poison || for_ever { u32::MAX } else { self.random.within(1, 3) as u32 };
        Webhook {
            source: key % self.plan.sources,
            key,
            fingerprint: u64::from(self.random.chance(900)),
            ill: if poison { Ill::Poison } else { kind },
            ill_for: if ill { ill_for } else { 0 },
            accepted: false,
            copies: 0,
            dead: 0,
        }
    }

    /// Posts a webhook.
    pub(crate) fn post(&mut self, webhook: usize) {
        let message = self.broker.make(Message { webhook, ..Message::default() });
        trace!(self, "webhook {webhook} is posted: {:?}", self.webhooks[webhook]);
        match &mut self.gathering[self.webhooks[webhook].source] {
            Some(gathered) => gathered.push(message),
            None => self.store(vec![message]),
        }
    }

    /// Publishes new webhooks of one source, as one message.
    fn store(&mut self, messages: Vec<usize>) {
        let message = messages[0];
        let webhook = self.broker.messages[message].webhook;
        if messages.len() > 1 {
            self.stats.count(Count::Bundles);
            for part in messages {
                self.broker.messages[part].bundle = Some(message);
            }
        }
        self.gathering[self.webhooks[webhook].source] = Some(Vec::new());
        self.publish(By::Receiver { webhook }, What::Copy { message, to: Place::Raw });
    }

    /// Lets the receiver hear what became of its message: each of its senders is answered, and what has
    /// gathered goes out.
    pub(crate) fn stored(&mut self, what: What, webhook: usize, answer: Answer) {
        let source = self.webhooks[webhook].source;
        if let What::Copy { message, .. } = what {
            for part in self.bundle_of(message) {
                self.answered(self.broker.messages[part].webhook, answer.clone());
            }
        }
        let gathered = self.gathering[source].take().unwrap_or_default();
        if !gathered.is_empty() {
            self.store(gathered);
        }
    }

    /// Perhaps posts a webhook again, as providers do: with a new delivery id.
    fn post_again(&mut self, webhook: usize) {
        self.stats.count(Count::Indeterminate);
        if self.webhooks.len() < 2 * self.plan.webhooks && self.random.coin() {
            let again = Webhook { accepted: false, copies: 0, dead: 0, ..self.webhooks[webhook] };
            self.webhooks.push(again);
            let delay = self.random.within(10, 5_000);
            self.after(delay, Event::Post(self.webhooks.len() - 1));
        }
    }

    /// Lets a sender receive the result of its post.
    fn answered(&mut self, webhook: usize, answer: Answer) {
        if answer != Answer::Confirmed {
            return self.post_again(webhook);
        }
        trace!(self, "webhook {webhook} is answered 200");
        self.stats.count(Count::Accepted);
        self.webhooks[webhook].accepted = true;
    }

    /// Breaks the receiver's connection for publishing.
    pub(crate) fn cut_receiver(&mut self) {
        self.receiver_link += 1;
        for op in 0..self.broker.ops.len() {
            let it = &self.broker.ops[op];
            if matches!(it.by, By::Receiver { .. }) && !it.told {
                self.after(0, Event::Told { op, answer: Answer::Trouble });
            }
        }
    }
}
