//! RabbitMQ: connecting, the topology, messages, publishing with confirms, and consuming.
//!
//! lapin is used only in this module. Its automatic recovery stays off: on the first error the owner of a
//! connection drops everything that belongs to it and starts over (see docs/design/lapin.md for the defects
//! of lapin 4.12.3 that this avoids).

pub mod carriable;
mod connect;
pub mod consume;
pub mod depth;
mod error;
mod frames;
mod identity;
pub mod invalid;
pub mod message;
pub mod names;
pub mod publish;
pub mod routes;
pub mod topology;

pub use self::{
    connect::{ConnectError, Connection, connect, vhost},
    error::Error,
    identity::{Greeting, greeting, identity},
};
