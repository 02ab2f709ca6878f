//! Normalized events: their data, types, ids and envelope.

pub mod cloudevent;
pub mod data;
pub mod event;
pub mod key;
mod percent;
pub mod phone;
