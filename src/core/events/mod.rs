//! Normalized events: their data, types, ids and envelope.

mod attributes;
pub mod classification;
pub mod cloudevent;
pub mod data;
pub mod event;
pub mod filter;
pub mod key;
pub mod order;
mod percent;
pub mod phone;
pub mod redaction;
pub mod topic;
