//! Who may post to a source: pure checks over the raw bytes, in constant time, failing closed.

/// How a source authenticates its sender.
#[derive(Clone, Debug)]
pub enum Auth {
    /// Nobody is asked. Must be said explicitly.
    None,
}
