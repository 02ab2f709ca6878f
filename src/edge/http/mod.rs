//! HTTP: a server that outlives hostile clients, and a small client for the program's own endpoints.

mod client;
mod server;

pub use client::{Client, ClientError, Reply};
pub use server::{Drained, Limits, bind, serve};
