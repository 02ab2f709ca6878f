//! Disasters: faults of a whole process or service, as opposed to those of a single step.

use crate::{clock::Event, plan::Time, stats::Count, world::World};

/// A fault of a whole process or service, at a time of its own.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Disaster {
    BrokerRestart,
    StoreRestart,
    StoreLoss,
    StoreClockJump,
    DownstreamFull,
    TopologyGone,
    WorkerCrash,
    WorkerFreeze,
    WorkerClockStop,
    WorkerCut,
    ReceiverCut,
}

impl Disaster {
    pub(crate) const ALL: [Self; 11] = [
        Self::BrokerRestart,
        Self::StoreRestart,
        Self::StoreLoss,
        Self::StoreClockJump,
        Self::DownstreamFull,
        Self::TopologyGone,
        Self::WorkerCrash,
        Self::WorkerFreeze,
        Self::WorkerClockStop,
        Self::WorkerCut,
        Self::ReceiverCut,
    ];
}

impl World<'_> {
    /// Lets one of the plan's disasters happen, and schedules the next.
    pub(crate) fn disaster(&mut self) {
        if self.healed {
            return;
        }
        let next = self.random.within(1, self.plan.peace);
        self.after(next, Event::Disaster);
        let which = self.random.count(0, Disaster::ALL.len() - 1);
        let Some(disaster) = self.plan.disasters[which] else { return };
        let worker = self.random.count(0, self.plan.workers - 1);
        let time = self.random.within(1, self.plan.lease * 2);
        trace!(self, "{disaster:?}");
        match disaster {
            Disaster::BrokerRestart => self.broker_down(time),
            Disaster::StoreRestart => self.store_down(time),
            Disaster::StoreLoss => {
                self.stats.count(Count::StoreLosses);
                for key in 0..self.plan.keys {
                    if self.random.coin() {
                        self.store.lose(key, self.clock.now);
                    }
                }
                self.store_down(time);
            }
            Disaster::StoreClockJump => {
                self.stats.count(Count::StoreClockJumps);
                self.store.jump(time, self.clock.now);
            }
            Disaster::DownstreamFull => self.broker.full_until = self.clock.now + time,
            Disaster::TopologyGone => self.broker.unbound_until = self.clock.now + time,
            Disaster::WorkerCrash => self.crash(worker),
            Disaster::WorkerFreeze => self.freeze(worker),
            Disaster::WorkerClockStop => {
                self.freeze(worker);
                let it = &mut self.workers[worker];
                it.lag += it.frozen_until.saturating_sub(self.clock.now);
                it.stopped_at = Some(self.clock.now);
            }
            Disaster::WorkerCut => match self.random.below(3) {
                0 => self.cut_link(worker),
                1 => self.cut_wire(worker),
                _ => self.cut(worker),
            },
            Disaster::ReceiverCut => self.cut_receiver(),
        }
    }

    fn store_down(&mut self, time: Time) {
        self.stats.count(Count::StoreRestarts);
        if std::mem::replace(&mut self.store.up, false) {
            self.after(time, Event::StoreUp);
        }
    }
}
