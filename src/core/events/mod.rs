//! Normalized events: their data, their types, their ids, and their envelope.

pub mod cloudevent;
pub mod data;
pub mod event;
pub mod key;
