//! How many webhooks a message holds, so that a prefetch that counts webhooks can be asked for in messages.

/// The webhooks that a message is taken to hold before it is known.
const PER_MESSAGE: f64 = 16.0;

/// The weight of one message in the mean number of webhooks in a message.
const NEWEST: f64 = 1.0 / 64.0;

/// The fewest messages to ask for, so that the next one arrives meanwhile.
const MESSAGES_MIN: u16 = 4;

/// The number of webhooks in a message, on average, of late.
#[derive(Debug)]
pub(super) struct PerMessage {
    /// Begins with [`PER_MESSAGE`], so that the first few messages change nothing.
    assumed: f64,
    /// Begins with the first message; none before.
    seen: Option<f64>,
}

impl Default for PerMessage {
    fn default() -> Self {
        Self { assumed: PER_MESSAGE, seen: None }
    }
}

impl PerMessage {
    /// Notes a message. Returns the mean of late.
    pub(super) fn note(&mut self, webhooks: usize) -> f64 {
        let webhooks = webhooks as f64;
        let moved = |mean: f64| mean + (webhooks - mean) * NEWEST;
        let (assumed, seen) = (moved(self.assumed), self.seen.map_or(webhooks, moved));
        *self = Self { assumed, seen: Some(seen) };
        seen
    }

    /// Returns the number of messages that hold so many webhooks.
    pub(super) fn messages(&self, webhooks: u16) -> u16 {
        let messages = (f64::from(webhooks) / self.assumed.max(1.0)).round() as u16;
        messages.max(MESSAGES_MIN).min(webhooks)
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
    fn the_mean_is_that_of_what_was_seen() {
        let mut mixed = PerMessage::default();
        assert_eq!(mixed.note(1), 1.0);
        let mean = (0..2_000).map(|n| mixed.note(1 + n % 3)).last();
        assert!(mean.is_some_and(|mean| (1.9..2.1).contains(&mean)), "{mean:?}");
    }
}
