//! One delivery: the webhook in its queue, its faults, its steps, and the decision about it.

pub mod bundle;
pub mod canary;
pub mod disposition;
pub mod fault;
pub mod head;
pub mod lifecycle;
pub mod queued;
pub mod retry;
mod written;
