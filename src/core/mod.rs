//! The core: pure rules, with no I/O, no clock, no async and no logging.
//!
//! [`providers::normalize`] turns a [`webhook::Webhook`] into events and an [`events::key::IdempotencyKey`],
//! [`events::cloudevent::encode`] writes the events as CloudEvents, [`delivery::lifecycle::Life`] decides the
//! next step, and [`delivery::disposition::Disposition`] is the final decision about the delivery.
//!
//! # Glossary
//!
//! - **Provider**: a webhook format. Its [`providers::Adapter`] is all that hookswitch knows of it.
//! - **Source**: one configured endpoint: a name, a provider, a path, its authentication, its limits.
//! - **Shard**: one of a source's raw queues, where a source has several.
//! - **Webhook**: one HTTP POST as it was received: body, captured headers, source, time of receipt, delivery
//!   id.
//! - **Delivery id**: a webhook's own id, a UUIDv7 that the receiver assigns.
//! - **Delivery**: one handing-over of a webhook by the broker to a worker. A requeued webhook is delivered
//!   again.
//! - **Idempotency key**: identifies the fact that a webhook states. Webhooks of one source with the same key
//!   are duplicates.
//! - **Claim**: the temporary right of one worker to process a key. A key that is claimed but not done is
//!   retried later.
//! - **Done mark**: the record in Redis that a key's events were published.
//! - **Event**: one normalized fact, a CloudEvents 1.0 envelope with typed data. A webhook yields one or
//!   more.
//! - **Unmapped**: every leaf of a payload that no typed field holds. The event carries it as it was written.
//! - **Drift**: an unmapped leaf that the adapter does not expect.
//! - **Disposition**: the decision about a delivery: done, duplicate, retry later, or dead-letter.
//! - **Settle**: to ack a delivery, only once its outcome is confirmed elsewhere, or to requeue it.
//! - **Dead letter**: a webhook that is not retried by itself: body and headers, plus reason, error,
//!   attempts, times.

pub mod applied;
pub mod auth;
pub mod comparison;
pub mod contract;
pub mod delivery;
pub mod events;
pub mod identity;
pub mod json;
pub mod ledger;
pub mod letters;
pub mod pointer;
pub mod printable;
pub mod provenance;
pub mod providers;
pub mod rabbitmq;
pub mod redact;
pub mod shard;
pub mod sign;
pub mod trace;
pub mod webhook;
