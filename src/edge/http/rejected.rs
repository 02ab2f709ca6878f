//! Clients that are refused outside of a request: the router never hears of them.

/// The reason why a client was refused before its request was complete, or after its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rejected {
    /// The request line and headers exceed the limit.
    HeadTooLarge,
    /// The bytes are no HTTP request.
    Malformed,
    /// The head did not arrive in time.
    SlowHead,
    /// No memory is left for the head.
    NoMemory,
    /// The client takes nothing of its answers.
    SlowReader,
    /// The client speaks no TLS, or does not accept the certificate.
    Handshake,
    /// The handshake of TLS did not end in time.
    SlowHandshake,
}

impl Rejected {
    /// All reasons.
    pub const ALL: [Self; 7] = [
        Self::HeadTooLarge,
        Self::Malformed,
        Self::SlowHead,
        Self::NoMemory,
        Self::SlowReader,
        Self::Handshake,
        Self::SlowHandshake,
    ];

    /// Returns the word used in metrics and logs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::HeadTooLarge => "head_too_large",
            Self::Malformed => "malformed_request",
            Self::SlowHead => "slow_head",
            Self::NoMemory => "no_memory",
            Self::SlowReader => "slow_reader",
            Self::Handshake => "tls_handshake",
            Self::SlowHandshake => "slow_tls_handshake",
        }
    }

    /// Returns the status of the answer; none if the client has got its answers before, or cannot get one.
    pub fn status(self) -> Option<u16> {
        match self {
            Self::HeadTooLarge => Some(431),
            Self::Malformed => Some(400),
            Self::SlowHead => Some(408),
            Self::NoMemory => Some(503),
            Self::SlowReader | Self::Handshake | Self::SlowHandshake => None,
        }
    }

    /// Returns the whole answer; none if hyper writes it, or there is none.
    pub(super) fn answer(self) -> Option<&'static str> {
        match self {
            Self::SlowHead => {
                Some("HTTP/1.1 408 Request Timeout\r\nconnection: close\r\ncontent-length: 0\r\n\r\n")
            }
            Self::NoMemory => Some(
                "HTTP/1.1 503 Service Unavailable\r\nretry-after: 5\r\nconnection: close\r\n\
                 content-length: 0\r\n\r\n",
            ),
            Self::HeadTooLarge
            | Self::Malformed
            | Self::SlowReader
            | Self::Handshake
            | Self::SlowHandshake => None,
        }
    }
}
