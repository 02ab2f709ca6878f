//! The memory for webhooks: bounds the bodies that a worker holds, by their bytes, over all its lanes.
//!
//! RabbitMQ bounds unacked deliveries by number only, and reads that number when consuming starts. A body
//! that has no room is dropped as it arrives. The lane then finishes what it has and begins anew on another
//! channel, so that the broker requeues the rest, which costs each of those one of `retry.delivery_limit`.
//! From then on it asks for no more than its share holds if each body is as large as the largest of late.
//!
//! The prefetch is counted in webhooks, and RabbitMQ counts messages. So a lane asks for fewer messages where
//! they are bundles.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use tokio::sync::Notify;

use super::per_message::PerMessage;
use crate::edge::metrics::BytesHeld;

/// The part of `worker.memory_max` for bodies that wait.
const WAITING_PART: usize = 2;

/// The part of `worker.memory_max` for bodies in work. The bound of both parts is kept since a body in work
/// exists up to four times: as it came, in its events, in the frames to send, and in lapin's buffer.
const WORKING_PART: usize = 8;

/// Memory that a delivery takes beside its body.
const OVERHEAD: usize = 1 << 10;

/// Deliveries after which an earlier size no longer counts.
const MANY: usize = 512;

/// The memory of a worker.
#[derive(Debug)]
pub(super) struct Memory {
    lanes: AtomicUsize,
    waiting: Pool,
    working: Pool,
    freed: Notify,
    shown: BytesHeld,
}

/// A number of bytes, and how many of them are taken.
#[derive(Debug, Default)]
struct Pool {
    max: AtomicUsize,
    taken: AtomicUsize,
}

/// A lane's part of the memory. It is given back when this is dropped.
#[derive(Debug)]
pub(super) struct LaneMemory {
    all: Arc<Memory>,
    waiting: usize,
    working: usize,
    sizes: Sizes,
    per_message: PerMessage,
    /// The most webhooks to hold.
    prefetch_max: u16,
    /// The number of webhooks to hold: fewer after bodies had no room.
    prefetch: u16,
    /// The number of messages that the broker was asked for.
    messages: u16,
    /// About the size of the largest message that had no room and will come again; 0 if there is none.
    parked: usize,
}

/// The largest size of late.
#[derive(Debug, Default)]
struct Sizes {
    now: usize,
    before: usize,
    count: usize,
}

impl Memory {
    /// Creates a memory of `max` bytes for a number of lanes.
    pub(super) fn new(max: usize, lanes: usize, shown: BytesHeld) -> Arc<Self> {
        let (waiting, working) = (Pool::default(), Pool::default());
        let all = Self { lanes: AtomicUsize::default(), waiting, working, freed: Notify::new(), shown };
        all.resize(max, lanes);
        Arc::new(all)
    }

    /// Changes the size and the number of lanes. What is taken stays taken, even if it is more.
    pub(super) fn resize(&self, max: usize, lanes: usize) {
        self.lanes.store(lanes.max(1), Ordering::Relaxed);
        self.waiting.max.store(max / WAITING_PART, Ordering::Relaxed);
        self.working.max.store(max / WORKING_PART, Ordering::Relaxed);
        self.freed.notify_waiters();
    }

    /// Returns the share of a lane in the bodies that wait.
    fn waiting_share(&self) -> usize {
        self.waiting.max() / self.lanes.load(Ordering::Relaxed)
    }

    /// Returns the part of a lane.
    pub(super) fn lane(self: &Arc<Self>, prefetch_max: u16) -> LaneMemory {
        let per_message = PerMessage::default();
        LaneMemory {
            all: self.clone(),
            waiting: 0,
            working: 0,
            sizes: Sizes::default(),
            prefetch_max,
            prefetch: prefetch_max,
            messages: per_message.messages(prefetch_max),
            per_message,
            parked: 0,
        }
    }
}

impl Pool {
    fn max(&self) -> usize {
        self.max.load(Ordering::Relaxed)
    }

    fn taken(&self) -> usize {
        self.taken.load(Ordering::Relaxed)
    }
}

impl LaneMemory {
    /// Returns the memory that a delivery takes while it waits.
    pub(super) fn size(body: &[u8]) -> usize {
        body.len() + OVERHEAD
    }

    /// Returns the number of messages to ask the broker for.
    pub(super) fn messages(&self) -> u16 {
        self.messages
    }

    /// Returns how many webhooks may be in work: half where memory is short, so that the next ones arrive
    /// meanwhile.
    pub(super) fn concurrency_max(&self) -> usize {
        if self.prefetch == self.prefetch_max { usize::MAX } else { usize::from(self.prefetch.div_ceil(2)) }
    }

    /// Changes the largest prefetch.
    pub(super) fn set_prefetch_max(&mut self, prefetch_max: u16) {
        self.prefetch_max = prefetch_max;
    }

    /// Returns whether the prefetch must change: there were deliveries without room, or it is much smaller
    /// than it need be since there were, or than it may be now. Also if messages hold four times as many
    /// webhooks as before, or half as many and the lane, with `in_hand` webhooks, has about all that it may.
    /// A lane that begins anew processes nothing meanwhile, and a bundle that is on its way to it then comes
    /// back and waits for a second.
    pub(super) fn wants_other_prefetch(&self, in_hand: usize) -> bool {
        let [now, max] = [self.prefetch, self.prefetch_max].map(u32::from);
        let can_grow = || u32::from(self.fitting()) >= max.min(now * 2);
        let [asked, wanted] = [self.messages, self.per_message.messages(self.prefetch)].map(u32::from);
        let is_full = in_hand >= self.per_message.webhooks(self.messages) / 2;
        let differ = (wanted >= asked * 2 && is_full) || asked >= wanted * 4;
        self.parked > 0 || now > max || (now < max && can_grow()) || differ
    }

    /// Changes the prefetch. A lane whose share holds no single message waits until half of the memory is
    /// free.
    pub(super) async fn change_prefetch(&mut self) {
        if self.parked > 0 && self.sizes.largest().max(self.parked) > self.all.waiting_share() {
            self.all.wait_until(|all| all.waiting.taken() * 2 <= all.waiting.max()).await;
        }
        self.parked = 0;
        self.prefetch = self.fitting();
        self.messages = self.per_message.messages(self.prefetch);
    }

    fn fitting(&self) -> u16 {
        let fitting = self.all.waiting_share() / self.sizes.largest().max(1);
        u16::try_from(fitting).unwrap_or(u16::MAX).clamp(1, self.prefetch_max)
    }

    /// Notes a message of so many webhooks that has arrived. Returns the mean of late.
    pub(super) fn message(&mut self, webhooks: usize) -> f64 {
        self.per_message.note(webhooks)
    }

    /// Notes a delivery of `size` that has arrived and waits now.
    pub(super) fn arrived(&mut self, size: usize) {
        self.sizes.note(size);
        self.waiting += size;
        self.all.waiting.taken.fetch_add(size, Ordering::Relaxed);
        self.all.shown.add(size);
    }

    /// Returns whether the newest waiting delivery must be dropped. A lane that has less than its share keeps
    /// it, whatever others have.
    pub(super) fn is_over(&self) -> bool {
        self.all.waiting.taken() > self.all.waiting.max() && self.waiting > self.all.waiting_share()
    }

    /// Notes a waiting delivery that was dropped, of a message of so many webhooks. They are about as large.
    pub(super) fn dropped(&mut self, size: usize, webhooks: usize) {
        self.parked = self.parked.max(size * webhooks);
        self.leave_waiting(size);
    }

    /// Waits until work on `bytes` can begin.
    pub(super) async fn room_to_begin(&self, bytes: usize) {
        self.all.wait_until(|_| self.can_begin(bytes)).await;
    }

    fn can_begin(&self, bytes: usize) -> bool {
        let (max, lanes) = (self.all.working.max(), self.all.lanes.load(Ordering::Relaxed));
        let (taken, mine) = (self.all.working.taken(), self.working + bytes);
        // A lane with nothing in work waits only while the memory is overdrawn. The last condition leaves
        // room for other lanes if this one is stuck with what it has.
        (self.working == 0 && taken <= max)
            || mine <= max / lanes
            || (taken + bytes <= max && mine <= max / 2)
    }

    /// Notes waiting deliveries of `size` whose work begins.
    pub(super) fn begin(&mut self, size: usize) {
        self.leave_waiting(size);
        self.working += size;
        self.all.working.taken.fetch_add(size, Ordering::Relaxed);
        self.all.shown.add(size);
    }

    /// Notes deliveries of `size` that are no longer in work.
    pub(super) fn finished(&mut self, size: usize) {
        self.working -= size;
        self.all.working.taken.fetch_sub(size, Ordering::Relaxed);
        self.all.shown.subtract(size);
        self.all.freed.notify_waiters();
    }

    fn leave_waiting(&mut self, size: usize) {
        self.waiting -= size;
        self.all.waiting.taken.fetch_sub(size, Ordering::Relaxed);
        self.all.shown.subtract(size);
        self.all.freed.notify_waiters();
    }
}

impl Memory {
    async fn wait_until(&self, holds: impl Fn(&Self) -> bool) {
        while !holds(self) {
            let freed = self.freed.notified();
            tokio::pin!(freed);
            // From here on nothing that is freed goes unnoticed.
            freed.as_mut().enable();
            if holds(self) {
                return;
            }
            freed.await;
        }
    }
}

impl Drop for LaneMemory {
    fn drop(&mut self) {
        self.leave_waiting(self.waiting);
        self.finished(self.working);
    }
}

impl Sizes {
    fn note(&mut self, size: usize) {
        self.now = self.now.max(size);
        self.count += 1;
        if self.count == MANY {
            *self = Self { now: 0, before: self.now, count: 0 };
        }
    }

    fn largest(&self) -> usize {
        self.before.max(self.now)
    }
}

#[cfg(test)]
mod tests {
    use std::{
        pin::{Pin, pin},
        task::{Context, Waker},
    };

    use super::*;

    const MIB: usize = 1 << 20;

    fn is_ready(future: &mut Pin<&mut impl Future>) -> bool {
        future.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_ready()
    }

    fn memory(lanes: usize) -> Arc<Memory> {
        Memory::new(128 * MIB, lanes, BytesHeld::default())
    }

    #[test]
    fn a_lane_that_had_no_room_asks_for_what_its_share_holds() {
        for (lanes, prefetch) in [(1, 63), (5, 12), (20, 3), (1_000, 1)] {
            let mut lane = memory(lanes).lane(512);
            assert!(lane.prefetch == 512 && !lane.wants_other_prefetch(0));
            lane.arrived(MIB + OVERHEAD);
            lane.dropped(MIB + OVERHEAD, 1);
            assert!(lane.wants_other_prefetch(0) && is_ready(&mut pin!(lane.change_prefetch())));
            assert_eq!(lane.prefetch, prefetch, "{lanes} lanes");
        }
    }

    #[test]
    fn the_prefetch_grows_again_with_bodies_that_are_smaller() {
        let mut lane = memory(5).lane(512);
        lane.arrived(MIB);
        lane.dropped(MIB, 1);
        assert!(is_ready(&mut pin!(lane.change_prefetch())));
        let mut see = |size, count| {
            let changes = (0..count).filter_map(|_| {
                lane.arrived(size);
                lane.begin(size);
                lane.finished(size);
                let changes = lane.wants_other_prefetch(0);
                changes.then(|| assert!(is_ready(&mut pin!(lane.change_prefetch()))));
                changes.then_some(lane.prefetch)
            });
            changes.collect::<Vec<_>>()
        };
        assert!(see(2_000, MANY - 2).is_empty(), "too few to know");
        assert!(see(2_000, 1).is_empty(), "the large one still counts");
        assert_eq!(see(2_000, MANY), [512]);
        assert!(see(MIB, MANY).is_empty(), "while it has room it stays");
    }

    #[test]
    fn what_has_no_room_is_dropped_from_the_lanes_that_have_more_than_their_share() {
        let all = memory(4);
        let (mut small, mut large) = (all.lane(512), all.lane(512));
        small.arrived(MIB);
        (0..70).for_each(|_| large.arrived(MIB));
        assert!(large.is_over() && !small.is_over());
        let dropped = std::iter::from_fn(|| large.is_over().then(|| large.dropped(MIB, 1))).count();
        assert_eq!(dropped, 7);
        (0..32).for_each(|_| large.sizes.note(2_000));
        assert_eq!(large.fitting(), 16, "the largest of late still counts, and only the lane's share");
    }

    #[test]
    fn a_lane_begins_anew_when_half_is_free() {
        let all = memory(2);
        let (mut lane, mut other) = (all.lane(512), all.lane(512));
        lane.arrived(41 * MIB);
        other.arrived(33 * MIB);
        other.dropped(33 * MIB, 1);
        assert!(other.wants_other_prefetch(0));
        let mut room = pin!(other.change_prefetch());
        assert!(!is_ready(&mut room));
        lane.begin(9 * MIB);
        assert!(is_ready(&mut room));
    }

    #[test]
    fn a_lane_whose_share_holds_no_bundle_does_not_ask_for_it_again_and_again() {
        let all = memory(100);
        let (mut lane, mut other) = (all.lane(512), all.lane(512));
        lane.arrived(60 * MIB);
        for _ in 0..1_000 {
            other.arrived(2_000);
            other.dropped(2_000, 1_000);
        }
        let mut room = pin!(other.change_prefetch());
        assert!(!is_ready(&mut room));
        lane.begin(40 * MIB);
        assert!(is_ready(&mut room));
    }

    #[test]
    fn work_begins_while_it_has_room_and_one_is_always_in_work() {
        let all = memory(4);
        let (mut one, mut two) = (all.lane(512), all.lane(512));
        one.arrived(60 * MIB);
        two.arrived(4 * MIB);
        assert!(one.can_begin(20 * MIB), "one that has no room at all must still be processed");
        one.begin(7 * MIB);
        assert!(one.can_begin(MIB) && !one.can_begin(2 * MIB), "half of the room is left for others");
        one.begin(10 * MIB);
        assert!(two.can_begin(4 * MIB), "a lane has its share, whatever others have");
        assert!(!two.can_begin(5 * MIB));
        let mut room = pin!(two.room_to_begin(5 * MIB));
        assert!(!is_ready(&mut room));
        one.finished(7 * MIB);
        assert!(is_ready(&mut room));
    }

    #[test]
    fn a_memory_that_changes_its_size_and_a_prefetch_that_changes_its_maximum_count_at_once() {
        let all = memory(1);
        let mut lane = all.lane(512);
        lane.arrived(40 * MIB);
        assert!(!lane.is_over());
        all.resize(64 * MIB, 1);
        assert!(lane.is_over());
        all.resize(128 * MIB, 1);
        for prefetch in [16, 256] {
            lane.set_prefetch_max(prefetch);
            lane.sizes = Sizes::default();
            assert!(lane.wants_other_prefetch(0) && is_ready(&mut pin!(lane.change_prefetch())));
            assert_eq!(lane.prefetch, prefetch);
        }
    }

    #[test]
    fn the_prefetch_counts_webhooks_however_many_are_in_a_message() {
        let mut lane = memory(1).lane(512);
        assert_eq!(lane.messages(), 32, "before it is known");
        let mut see = |sizes: &[usize], in_hand| {
            let changes = (0..1_000).filter_map(|n| {
                lane.message(sizes[n % sizes.len()]);
                let changes = lane.wants_other_prefetch(in_hand);
                changes.then(|| assert!(is_ready(&mut pin!(lane.change_prefetch()))));
                changes.then(|| lane.messages())
            });
            changes.collect::<Vec<_>>().len()
        };
        assert_eq!(see(&[20, 12], 512), 0);
        assert_eq!(see(&[1], 8), 0, "it has little to do");
        assert!((1..8).contains(&see(&[1], 512)));
        assert_eq!(see(&[1, 2, 3, 2, 1], 512), 0, "what is about as large changes nothing");
        assert!((1..4).contains(&see(&[64], 16)));
        assert_eq!(see(&[48, 64, 30], 512), 0);
        assert!((8..32).contains(&lane.messages()), "{}", lane.messages());
        assert_eq!(lane.concurrency_max(), usize::MAX, "no body lacked room");
    }

    #[test]
    fn a_lane_that_ends_leaves_nothing_behind() {
        let all = memory(2);
        let mut lane = all.lane(512);
        lane.arrived(3 * MIB);
        lane.begin(MIB);
        drop(lane);
        assert_eq!((all.waiting.taken(), all.working.taken()), (0, 0));
    }
}
