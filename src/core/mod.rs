//! What hookswitch knows, without anything that touches the world: no I/O, no clock, no async, no logging.
//!
//! A [`webhook::Webhook`] goes in, [`providers::normalize`] turns it into events with an
//! [`key::IdempotencyKey`], [`envelope::encode`] writes them as CloudEvents,
//! [`lifecycle::Life`] says what to do next, and [`disposition::Disposition::decide`] what becomes of the delivery.

pub mod auth;
pub mod delivery;
pub mod events;
pub mod json;
pub mod ledger;
pub mod letters;
pub mod providers;
pub mod redact;
pub mod shard;
pub mod webhook;
