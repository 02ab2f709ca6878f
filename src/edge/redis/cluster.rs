//! Redis Cluster: which server holds which keys.
//!
//! A script reaches only keys of one hash slot. So the keys of a namespace are divided into [`BUCKETS`]
//! buckets, each with a hash tag. Their slots are spread evenly over all slots, so that as many masters share
//! the work. To a bucket, its tag is part of the namespace, and everything in it is as on a single Redis: see
//! [`Bucket`](super::link::Bucket).
//!
//! Claims and done marks are written without a script, so that a batch may have them in all buckets. Objects
//! and the ledger need one. So those of a source are in [`SPREAD`] buckets, as far from each other as can be.
//! A server gets one message, whatever it holds of a batch: see [`Batch`](super::link::Batch).
//!
//! redis-rs has a client for clusters too. It reconnects and follows a key to another server by itself, and
//! tells nobody. But a server must be looked at before it is used: one that was promoted may have forgotten
//! what the ledger has counted. So each master gets a connection here, and whatever it answers that is no
//! result, as that a key has moved, replaces all of them.

use std::{ops::RangeInclusive, time::Duration};

use redis::{RedisResult, Value, from_redis_value};

use super::{error::StoreError, node::Node};
use crate::edge::trouble::Trouble;

/// The number of buckets. Another number would put what is done where it is not found.
pub(super) const BUCKETS: usize = 16;

/// The number of buckets that hold the objects and the ledger of a source: enough that three masters share
/// the work of one, and few enough for small batches. Another number would lose what is in them.
pub(super) const SPREAD: usize = 4;

/// The hash tag of each bucket, and its slot: in the middle of each sixteenth of the 16,384.
const TAGS: [(&str, u16); BUCKETS] = [
    ("18", 511),
    ("5x", 1_535),
    ("dj", 2_562),
    ("3r", 3_603),
    ("d2", 4_607),
    ("pv", 5_640),
    ("uh", 6_658),
    ("iy", 7_692),
    ("ly", 8_697),
    ("h9", 9_721),
    ("uv", 10_749),
    ("q6", 11_773),
    ("9s", 12_793),
    ("5f", 13_824),
    ("dt", 14_845),
    ("ha", 15_876),
];

/// Asks a server of the cluster which masters hold the buckets of a namespace. Returns them in the order of
/// the buckets, each with the namespace and the tag.
///
/// # Errors
/// It is no server of a cluster, or knows of no master for some of them.
pub(super) async fn places(
    node: &Node,
    namespace: &str,
    timeout: Duration,
) -> Result<Vec<(Node, String)>, StoreError> {
    let mut connection = node.connect(timeout).await?;
    let ranges: Vec<Vec<Value>> = redis::cmd("CLUSTER").arg("SLOTS").query_async(&mut connection).await?;
    let ranges = ranges.into_iter().map(Range::read).collect::<RedisResult<Vec<_>>>()?;
    let place = |(tag, slot): &(&str, u16)| {
        let range = ranges.iter().find(|range| range.slots.contains(slot)).ok_or_else(|| {
            StoreError::new(Trouble::StoreCluster, format!("no master holds the hash slot {slot}"))
        })?;
        let master = node.at(range.host.as_deref().unwrap_or(node.host()), range.port)?;
        Ok((master, format!("{namespace}:{{{tag}}}")))
    };
    TAGS.iter().map(place).collect()
}

/// Hash slots that follow each other, and their master.
#[derive(Debug)]
struct Range {
    slots: RangeInclusive<u16>,
    /// None if it is the host of the server that answers.
    host: Option<String>,
    port: u16,
}

impl Range {
    /// Reads an item of the answer to `CLUSTER SLOTS`: the first slot, the last one, the master, replicas.
    fn read(item: Vec<Value>) -> RedisResult<Self> {
        let mut item = item.into_iter();
        let mut next = || item.next().unwrap_or(Value::Nil);
        let slots = from_redis_value(next())?..=from_redis_value(next())?;
        let mut master = from_redis_value::<Vec<Value>>(next())?.into_iter();
        let mut next = || master.next().unwrap_or(Value::Nil);
        let (host, port) = (from_redis_value::<Option<String>>(next())?, from_redis_value(next())?);
        Ok(Self { slots, host: host.filter(|host| !host.is_empty()), port })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// CRC16 as XMODEM has it, which Redis takes.
    fn crc16(bytes: &[u8]) -> u16 {
        bytes.iter().fold(0, |crc, byte| {
            let step = |crc: u16, _| if crc & 0x8000 > 0 { crc << 1 ^ 0x1021 } else { crc << 1 };
            (0..8).fold(crc ^ u16::from(*byte) << 8, step)
        })
    }

    #[test]
    fn the_slots_of_the_tags_are_spread_evenly() {
        assert_eq!(crc16(b"123456789"), 0x31c3);
        for (n, (tag, slot)) in TAGS.iter().enumerate() {
            assert_eq!(crc16(tag.as_bytes()) % 16_384, *slot, "{tag}");
            let middle = 1_024 * n as u16 + 512;
            assert!(slot.abs_diff(middle) < 20, "{tag}");
        }
    }

    #[test]
    fn a_master_without_a_host_has_that_of_the_server_that_answers() {
        let text = |text: &str| Value::BulkString(text.as_bytes().to_vec());
        let range = |host| {
            let master = Value::Array(vec![host, Value::Int(6379), text("id"), Value::Array(Vec::new())]);
            Range::read(vec![Value::Int(0), Value::Int(5_460), master]).expect("it is one")
        };
        assert_eq!(range(text("10.0.0.1")).host.as_deref(), Some("10.0.0.1"));
        assert_eq!((range(text("")).host, range(Value::Nil).host), (None, None));
        assert_eq!((range(Value::Nil).slots, range(Value::Nil).port), (0..=5_460, 6379));
        assert!(Range::read(vec![Value::Int(0)]).is_err());
    }
}
