//! The frames from the broker, checked before lapin parses them.
//!
//! lapin 4.12.3 gives up the whole connection over one message that it cannot parse, and it parses nested
//! tables by recursion, which overflows its thread's stack. Whoever may publish to one queue could so stop
//! all of them. So every connection reads through a [`filter`], which replaces the properties of such a
//! message and names the cause in the header [`UNREADABLE`].

mod filter;
mod repair;
#[cfg(test)]
mod tests;
mod transport;
mod walk;

pub(super) use self::{
    repair::UNREADABLE,
    transport::{open, socket},
};
