//! One delivery: what is queued, what can be wrong with it, what to do next, and what becomes of it.

pub mod disposition;
pub mod fault;
pub mod lifecycle;
pub mod queued;
pub mod retry;
