//! Canaries: messages that are sent through a delay queue to learn whether the broker lets any out of it.
//!
//! A message whose delay is over leaves the messages that are ready, even if the broker then never delivers
//! it: no client can see it any more, nor take it. So how late a delay queue is shows only in what comes out.

use std::time::Duration;

use uuid::Uuid;

use super::retry::Tier;

/// Time between two canaries. It doubles while none comes back: one may have been lost, and if the queue is
/// stuck they all stay in it.
const EVERY: Duration = Duration::from_secs(30);

/// The canaries of one delay queue that have not come back. Every moment is the time since the watch began.
#[derive(Debug)]
pub struct Canaries {
    tier: Tier,
    /// No canary is sent before.
    next: Duration,
    /// In the order in which they were sent.
    out: Vec<Canary>,
}

#[derive(Debug)]
struct Canary {
    id: Uuid,
    /// The moment at which it must be on its way back.
    due: Duration,
}

impl Canaries {
    /// Begins without any.
    pub fn new(tier: Tier, now: Duration) -> Self {
        Self { tier, next: now + EVERY, out: Vec::new() }
    }

    /// Returns the delay queue that they are sent through.
    pub fn tier(&self) -> Tier {
        self.tier
    }

    /// Returns whether to send one now.
    pub fn wants(&self, now: Duration) -> bool {
        now >= self.next && self.out.first().is_none_or(|first| now >= first.due)
    }

    /// Notes one whose storing was confirmed. It leaves its queue with the messages before it, at the latest.
    pub fn sent(&mut self, id: Uuid, now: Duration) {
        self.out.push(Canary { id, due: now + self.tier.delay });
        self.next = now + EVERY * 2_u32.saturating_pow(u32::try_from(self.out.len() - 1).unwrap_or(u32::MAX));
    }

    /// Notes that nothing in the queue is ready: those that were sent before have left it.
    pub fn queue_is_empty(&mut self, now: Duration) {
        for canary in &mut self.out {
            canary.due = canary.due.min(now);
        }
    }

    /// Notes one that came back. It may be another worker's. If it is not, the queue works, and no older one
    /// is waited for.
    pub fn returned(&mut self, id: Uuid, now: Duration) {
        if self.out.iter().any(|canary| canary.id == id) {
            *self = Self::new(self.tier, now);
        }
    }

    /// Returns how long the oldest is overdue.
    pub fn overdue(&self, now: Duration) -> Duration {
        self.out.first().map_or(Duration::ZERO, |canary| now.saturating_sub(canary.due))
    }

    /// Returns how many are among the messages of the queue that are ready.
    pub fn waiting(&self, now: Duration) -> usize {
        self.out.iter().filter(|canary| now < canary.due).count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    /// Canaries of a tier of an hour, the moment at which they begin, and the id of the first one.
    fn one_sent() -> (Canaries, Duration, Uuid) {
        let (began, id) = (seconds(7), Uuid::now_v7());
        let mut canaries = Canaries::new(Tier { delay: seconds(3600) }, began);
        let now = began + EVERY;
        assert!(!canaries.wants(began) && canaries.wants(now));
        canaries.sent(id, now);
        (canaries, now, id)
    }

    #[test]
    fn behind_webhooks_a_canary_is_late_after_the_delay_and_in_an_empty_queue_at_once() {
        let (mut canaries, now, _) = one_sent();
        assert_eq!(
            (canaries.overdue(now + seconds(3600)), canaries.waiting(now + seconds(15))),
            (seconds(0), 1)
        );
        assert_eq!(canaries.overdue(now + seconds(3607)), seconds(7));
        canaries.queue_is_empty(now + seconds(15));
        canaries.queue_is_empty(now + seconds(30));
        assert_eq!(
            (canaries.overdue(now + seconds(45)), canaries.waiting(now + seconds(45))),
            (seconds(30), 0)
        );
    }

    #[test]
    fn one_that_comes_back_ends_the_delay_and_makes_room_for_the_next() {
        let (mut canaries, now, id) = one_sent();
        canaries.queue_is_empty(now);
        canaries.returned(Uuid::now_v7(), now);
        assert_eq!(canaries.overdue(now + seconds(9)), seconds(9));
        canaries.returned(id, now + seconds(9));
        assert_eq!(canaries.overdue(now + seconds(9)), seconds(0));
        assert!(!canaries.wants(now + seconds(38)) && canaries.wants(now + seconds(39)));
    }

    #[test]
    fn while_a_queue_is_stuck_canaries_are_sent_less_and_less_often_and_any_of_them_ends_it() {
        let (mut canaries, now, _) = one_sent();
        assert!(!canaries.wants(now + seconds(3599)), "it is not late yet");
        canaries.queue_is_empty(now);
        let mut sent = Vec::new();
        for second in 0..86_400 {
            let now = now + seconds(second);
            canaries.queue_is_empty(now);
            if canaries.wants(now) {
                sent.push((second, Uuid::now_v7()));
                canaries.sent(sent[sent.len() - 1].1, now);
            }
        }
        let times: Vec<_> = sent.iter().map(|(second, _)| *second).collect();
        assert_eq!(times[..4], [30, 90, 210, 450]);
        assert!(times.len() < 13, "{times:?}");
        canaries.returned(sent[2].1, now);
        assert_eq!(canaries.overdue(now + seconds(86_400)), seconds(0));
    }
}
