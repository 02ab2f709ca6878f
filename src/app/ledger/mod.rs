//! The ledger's two ends: receivers number webhooks and report how far they are, workers keep the sum.

mod balance;
mod books;
mod delays;
mod keeper;
mod marks;
mod probe;

pub use self::{
    balance::{Balance, BalanceError},
    books::{Books, Open, REPORT_EVERY},
    probe::Probe,
};
pub(super) use self::{
    delays::Delays,
    keeper::{Keeper, Scope},
};
