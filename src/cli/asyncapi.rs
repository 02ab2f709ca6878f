//! `hookswitch asyncapi`

use super::{exit::OK, output::print_line};
use crate::{core::contract::asyncapi, edge::amqp::names::EVENTS_EXCHANGE};

pub(super) fn run() -> anyhow::Result<u8> {
    print_line(asyncapi(EVENTS_EXCHANGE, env!("CARGO_PKG_VERSION")).pretty().trim_end())?;
    Ok(OK)
}
