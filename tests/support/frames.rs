//! Cutting a byte stream into the frames of AMQP 0-9-1.

use amq_protocol::frame::{AMQPFrame, parse_frame};
use bytes::{Buf, Bytes, BytesMut};

/// Bytes around a frame's payload: type, channel and size before it, an end mark after it.
const AROUND_PAYLOAD: usize = 7 + 1;

/// Takes the next whole frame off a stream: its bytes as they came, and the parsed frame.
pub fn next(stream: &mut BytesMut) -> Option<(Bytes, AMQPFrame)> {
    let bytes = next_unparsed(stream)?;
    let frame = parse(&bytes);
    Some((bytes, frame))
}

/// Parses a whole frame.
pub fn parse(bytes: &[u8]) -> AMQPFrame {
    let (rest, frame) = parse_frame(bytes).expect("a frame");
    assert!(rest.is_empty());
    frame
}

/// Takes the next whole frame off a stream.
///
/// A client's first eight bytes, the protocol's name and version, count as one.
pub fn next_unparsed(stream: &mut BytesMut) -> Option<Bytes> {
    let head: [u8; 7] = stream.get(..7)?.try_into().unwrap();
    let size = u32::from_be_bytes(head[3..].try_into().unwrap()) as usize;
    let length = if head.starts_with(b"AMQP") { 8 } else { size + AROUND_PAYLOAD };
    if stream.remaining() < length {
        return None;
    }
    Some(stream.split_to(length).freeze())
}
