//! How many webhooks a message holds, so that a prefetch that counts webhooks can be asked for in messages.

/// The webhooks that a message is taken to hold before it is known.
const PER_MESSAGE: f64 = 16.0;

/// The messages after which it is known: each change costs what is on its way a delivery.
const MANY: u32 = 64;

/// The fewest messages to ask for, so that the next one arrives meanwhile.
const MESSAGES_MIN: u16 = 4;

/// The number of webhooks in a message, on average, of late.
#[derive(Debug, Default)]
pub(super) struct PerMessage {
    mean: f64,
    /// The messages in the mean, at most [`MANY`].
    messages: u32,
}

impl PerMessage {
    /// Notes a message. Returns the mean of late.
    pub(super) fn note(&mut self, webhooks: usize) -> f64 {
        self.messages = MANY.min(self.messages + 1);
        self.mean += (webhooks as f64 - self.mean) / f64::from(self.messages);
        self.mean
    }

    /// Returns the number of messages that hold so many webhooks.
    pub(super) fn messages(&self, webhooks: u16) -> u16 {
        let messages = (f64::from(webhooks) / self.known()).round() as u16;
        messages.max(MESSAGES_MIN).min(webhooks)
    }

    /// Returns the number of webhooks in so many messages.
    pub(super) fn webhooks(&self, messages: u16) -> usize {
        (f64::from(messages) * self.known()) as usize
    }

    fn known(&self) -> f64 {
        if self.messages < MANY { PER_MESSAGE } else { self.mean.max(1.0) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_few_messages_are_asked_for_however_large_they_are() {
        let mut large = PerMessage::default();
        assert_eq!(large.messages(512), 32, "before it is known");
        assert!((0..1_000).all(|_| large.note(1_000) == 1_000.0));
        assert_eq!(large.messages(512), MESSAGES_MIN);
        assert_eq!(large.messages(1), 1, "never more than webhooks");
    }

    #[test]
    fn what_it_is_told_of_counts_once_it_is_many_messages() {
        let mut single = PerMessage::default();
        let wanted = (0..MANY).map(|_| {
            single.note(1);
            single.messages(512)
        });
        let wanted: Vec<_> = wanted.collect();
        assert_eq!((wanted[62], wanted[63]), (32, 512), "one step, not many");
        assert_eq!((single.webhooks(32), PerMessage::default().webhooks(32)), (32, 512));
    }

    #[test]
    fn the_mean_is_that_of_what_was_seen() {
        let mut mixed = PerMessage::default();
        assert_eq!(mixed.note(1), 1.0);
        assert_eq!(mixed.note(3), 2.0);
        let mean = (0..2_000).map(|n| mixed.note(1 + n % 3)).last();
        assert!(mean.is_some_and(|mean| (1.9..2.1).contains(&mean)), "{mean:?}");
    }
}
