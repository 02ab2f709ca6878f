//! HTTP: a server that outlives hostile clients, and a small client for the program's own endpoints.

mod client;
mod memory;
mod rejected;
mod server;
mod stream;

pub use client::{Client, ClientError, Reply};
pub use memory::{Held, Memory, MemoryFull};
pub use rejected::Rejected;
pub use server::{Drained, Limits, Server, bind};
