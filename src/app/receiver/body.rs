//! Reading a body: within its limits of time, size and memory, and out of its content coding.

use std::{io::Read as _, time::Duration};

use axum::{
    body::Body,
    http::{HeaderMap, HeaderValue, header},
};
use bytes::Bytes;
use flate2::bufread::MultiGzDecoder;
use http_body_util::BodyExt as _;
use tokio::time::timeout;

use super::refusal::Refusal;
use crate::edge::http::Held;

/// The memory that a body takes first, unless it is known to be smaller.
const FIRST_BYTES: usize = 16 * 1024;

/// The content coding of a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Coding {
    /// None.
    Identity,
    /// RFC 1952.
    Gzip,
}

impl Coding {
    /// Returns the coding that the headers name.
    pub(super) fn of(headers: &HeaderMap) -> Result<Self, Refusal> {
        let values = headers.get_all(header::CONTENT_ENCODING).iter().map(HeaderValue::as_bytes);
        let mut codings = values
            .flat_map(|value| value.split(|b| *b == b','))
            .map(<[u8]>::trim_ascii)
            .filter(|coding| !coding.is_empty() && !coding.eq_ignore_ascii_case(b"identity"));
        match (codings.next(), codings.next()) {
            (None, _) => Ok(Self::Identity),
            (Some(coding), None) if is_gzip(coding) => Ok(Self::Gzip),
            (Some(_), _) => Err(Refusal::ContentCoding),
        }
    }

    /// Returns what the coding holds: at most `bytes_max`, however little it takes encoded.
    pub(super) fn decode(self, encoded: Bytes, bytes_max: usize, held: &mut Held) -> Result<Bytes, Refusal> {
        if self == Self::Identity {
            return Ok(encoded);
        }
        let mut decoder = MultiGzDecoder::new(&*encoded);
        let mut decoded = Buffer { bytes: Vec::new(), expected: bytes_max, bytes_max, held };
        let mut part = [0; 8 * 1024];
        loop {
            match decoder.read(&mut part).map_err(|_| Refusal::Undecodable)? {
                0 => return decoded.finish(),
                length => decoded.push(&part[..length])?,
            }
        }
    }
}

fn is_gzip(coding: &[u8]) -> bool {
    coding.eq_ignore_ascii_case(b"gzip") || coding.eq_ignore_ascii_case(b"x-gzip")
}

/// Reads the whole body within `time_max`. Its bytes are counted as they arrive, since a chunked body has no
/// length, and one that claims a length need not send it.
pub(super) async fn read(
    mut body: Body,
    length: Option<u64>,
    bytes_max: usize,
    time_max: Duration,
    held: &mut Held,
) -> Result<Bytes, Refusal> {
    let expected = length.and_then(|length| usize::try_from(length).ok()).unwrap_or(bytes_max);
    let mut whole = Buffer { bytes: Vec::new(), expected, bytes_max, held };
    let reading = async {
        while let Some(frame) = body.frame().await {
            if let Ok(data) = frame.map_err(|_| Refusal::Broken)?.into_data() {
                whole.push(&data)?;
            }
        }
        whole.finish()
    };
    timeout(time_max, reading).await.unwrap_or(Err(Refusal::Slow))
}

/// Keeps a body's place in the budget until the last copy of the body is gone: the broker's link may hold one
/// for longer than the request lasts.
pub(super) fn keep(bytes: Bytes, held: Held) -> Bytes {
    struct Kept {
        bytes: Bytes,
        _held: Held,
    }

    impl AsRef<[u8]> for Kept {
        fn as_ref(&self) -> &[u8] {
            &self.bytes
        }
    }

    Bytes::from_owner(Kept { bytes, _held: held })
}

/// A body that grows, and its place in the budget of bytes.
struct Buffer<'h> {
    bytes: Vec<u8>,
    /// The length that it is expected to have.
    expected: usize,
    bytes_max: usize,
    held: &'h mut Held,
}

impl Buffer<'_> {
    fn push(&mut self, data: &[u8]) -> Result<(), Refusal> {
        let length = self.bytes.len() + data.len();
        if length > self.bytes_max {
            return Err(Refusal::TooLarge);
        }
        let capacity = self.bytes.capacity();
        if length > capacity {
            // What a sender claims to send takes no memory before it is sent.
            let next = (2 * capacity).max(FIRST_BYTES).min(self.expected).max(length);
            self.held.grow(next - capacity).map_err(|_| Refusal::NoMemory)?;
            self.bytes.reserve_exact(next - self.bytes.len());
        }
        self.bytes.extend_from_slice(data);
        Ok(())
    }

    fn finish(self) -> Result<Bytes, Refusal> {
        if self.bytes.is_empty() { Err(Refusal::Empty) } else { Ok(self.bytes.into()) }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use flate2::{Compression, write::GzEncoder};

    use super::*;
    use crate::edge::http::Memory;

    fn gzip(bytes: &[u8]) -> Bytes {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap().into()
    }

    fn decode(encoded: Bytes, bytes_max: usize) -> Result<Bytes, Refusal> {
        Coding::Gzip.decode(encoded, bytes_max, &mut Memory::new(1 << 20).hold())
    }

    #[test]
    fn only_one_gzip_is_decoded() {
        let coding = |values: &[&'static str]| {
            let line = |value: &&'static str| (header::CONTENT_ENCODING, HeaderValue::from_static(value));
            Coding::of(&values.iter().map(line).collect::<Vec<_>>().into_iter().fold(
                HeaderMap::new(),
                |mut headers, (name, value)| {
                    headers.append(name, value);
                    headers
                },
            ))
        };
        for values in [&[] as &[_], &["identity"], &[""], &["Identity, identity"]] {
            assert_eq!(coding(values), Ok(Coding::Identity), "{values:?}");
        }
        for values in [&["gzip"] as &[_], &["GZip"], &["x-gzip"], &["identity, gzip"], &["gzip", "identity"]]
        {
            assert_eq!(coding(values), Ok(Coding::Gzip), "{values:?}");
        }
        for values in [&["gzip, gzip"] as &[_], &["gzip", "gzip"], &["br"], &["deflate"], &["zstd"], &["*"]] {
            assert_eq!(coding(values), Err(Refusal::ContentCoding), "{values:?}");
        }
    }

    #[test]
    fn a_gzipped_body_is_decoded_within_the_limit() {
        let body = [b'x'; 5_000];
        assert_eq!(decode(gzip(&body), 5_000), Ok(Bytes::from_static(&[b'x'; 5_000])));
        assert_eq!(decode(gzip(&body), 4_999), Err(Refusal::TooLarge));
        let members = [gzip(b"{\"a\""), gzip(b":1}")].concat();
        assert_eq!(decode(members.into(), 100), Ok(Bytes::from_static(b"{\"a\":1}")));
        assert_eq!(decode(gzip(b""), 100), Err(Refusal::Empty));
    }

    #[test]
    fn what_is_not_whole_gzip_is_refused() {
        let whole = gzip(b"{\"a\":1}");
        for broken in [whole.slice(..whole.len() - 1), whole.slice(1..), Bytes::from_static(b"{}")] {
            assert_eq!(decode(broken, 100), Err(Refusal::Undecodable));
        }
        assert_eq!(decode([&whole, b"rest".as_slice()].concat().into(), 100), Err(Refusal::Undecodable));
    }

    #[test]
    fn a_body_keeps_its_memory_until_its_last_copy_is_gone() {
        let memory = Memory::new(10);
        let mut held = memory.hold();
        held.grow(10).unwrap();
        let body = keep(Bytes::from_static(b"{}"), held);
        let copy = body.clone();
        drop(body);
        assert!(copy == b"{}".as_slice() && !memory.has_room_for(1));
        drop(copy);
        assert!(memory.has_room_for(10));
    }

    #[test]
    fn a_bomb_ends_at_the_limit_or_at_the_budget() {
        let bomb = gzip(&vec![0; 64 << 20]);
        assert!(bomb.len() < 100_000);
        assert_eq!(decode(bomb.clone(), 100_000), Err(Refusal::TooLarge));
        assert_eq!(decode(bomb, 32 << 20), Err(Refusal::NoMemory));
    }
}
