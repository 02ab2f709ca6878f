//! Bundles: several new webhooks in the body of one message.
//!
//! RabbitMQ's cost is one of messages, not of bytes. So a receiver that has several webhooks for one raw
//! queue puts them into one message. Each is a line of JSON, then its body as it came, then a line break:
//!
//! ```text
//! {"id":"0199…","content_type":"application/json","bytes":17,"head":{"source":"wavix-eu",…}}
//! {"event":"call"}
//! ```
//!
//! The lines can be read in RabbitMQ's management page. The length decides where a body ends, so that a body
//! may hold any bytes.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use super::{head::Head, queued::QueuedWebhook};
use crate::core::webhook::DeliveryId;

/// The version of the form in which bundles are written.
pub const VERSION: u32 = 1;

/// A webhook's weight beside its headers and its body.
const LINE_WEIGHT: usize = 256;

/// What a bundle's message says about itself, as JSON in the header that holds the [`Head`] of a webhook.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BundleHead {
    /// The version of its form.
    pub bundle: u32,
    /// The number of webhooks.
    pub webhooks: usize,
}

/// The line before a webhook's body.
#[derive(Debug, Serialize, Deserialize)]
struct Line<'a> {
    id: DeliveryId,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    content_type: Option<Cow<'a, str>>,
    /// The length of the body.
    bytes: usize,
    head: Head<'a>,
}

/// Why a message is no bundle that can be taken apart.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidBundle {
    /// A later version wrote it.
    #[error("a bundle of version {0}, and this build reads version {VERSION}: a newer receiver has sent it")]
    Version(u32),
    /// The line before a webhook's body is no such line.
    #[error("the line of webhook {0} is malformed")]
    Line(usize),
    /// It ends within a webhook.
    #[error("it ends within webhook {0}")]
    Cut(usize),
    /// It holds another number of webhooks than its head says.
    #[error("its head says {said} webhooks, and it holds another number")]
    Count {
        /// The number that its head says.
        said: usize,
    },
}

impl BundleHead {
    /// Returns the head of a bundle of so many webhooks.
    pub fn of(webhooks: usize) -> Self {
        Self { bundle: VERSION, webhooks }
    }

    /// Returns the head as JSON, without line breaks.
    pub fn to_json(self) -> String {
        // Numbers always serialize.
        serde_json::to_string(&self).unwrap_or_default()
    }

    /// Reads a head; `None` if the JSON is none of a bundle.
    pub fn from_json(json: &[u8]) -> Option<Self> {
        serde_json::from_slice(json).ok()
    }
}

/// Returns about how many bytes a webhook takes in a bundle.
pub fn weight(queued: &QueuedWebhook) -> usize {
    let headers = queued.webhook.headers.iter().map(|(name, value)| name.len() + value.len());
    LINE_WEIGHT + headers.sum::<usize>() + queued.webhook.body.len()
}

/// Writes the body of a bundle. A webhook keeps its place in it.
pub fn write(webhooks: &[QueuedWebhook]) -> Vec<u8> {
    let mut bundle = Vec::with_capacity(webhooks.iter().map(weight).sum());
    for queued in webhooks {
        let line = Line {
            id: queued.webhook.delivery_id,
            content_type: queued.content_type.as_deref().map(Cow::Borrowed),
            bytes: queued.webhook.body.len(),
            head: Head::of(queued),
        };
        // Names, numbers and texts always serialize, and memory always takes them.
        drop(serde_json::to_writer(&mut bundle, &line));
        bundle.push(b'\n');
        bundle.extend_from_slice(&queued.webhook.body);
        bundle.push(b'\n');
    }
    bundle
}

/// Reads the webhooks of a bundle. All of them or none: a bundle of which a part cannot be read stays whole.
///
/// # Errors
/// [`InvalidBundle`]
pub fn read(head: BundleHead, bundle: &[u8]) -> Result<Vec<QueuedWebhook>, InvalidBundle> {
    if head.bundle != VERSION {
        return Err(InvalidBundle::Version(head.bundle));
    }
    let (mut rest, mut webhooks) = (bundle, Vec::new());
    while !rest.is_empty() && webhooks.len() < head.webhooks {
        let number = webhooks.len() + 1;
        let cut = InvalidBundle::Cut(number);
        let end = rest.iter().position(|byte| *byte == b'\n').ok_or(InvalidBundle::Line(number))?;
        let line: Line<'_> = serde_json::from_slice(&rest[..end]).map_err(|_| InvalidBundle::Line(number))?;
        let (body, after) = rest[end + 1..].split_at_checked(line.bytes).ok_or(cut.clone())?;
        rest = after.strip_prefix(b"\n").ok_or(cut)?;
        let mut queued = line.head.into_queued(line.id, line.content_type.map(Cow::into_owned));
        // A copy, so that a webhook that waits holds none of the others in memory.
        queued.webhook.body = body.to_vec().into();
        webhooks.push(queued);
    }
    if webhooks.is_empty() || webhooks.len() < head.webhooks || !rest.is_empty() {
        return Err(InvalidBundle::Count { said: head.webhooks });
    }
    Ok(webhooks)
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use proptest::prelude::*;
    use uuid::Uuid;

    use super::*;
    use crate::core::{
        delivery::queued::History,
        providers::Provider,
        shard::Shard,
        webhook::{Headers, Webhook},
    };

    fn queued(
        n: u128,
        body: &[u8],
        content_type: Option<&str>,
        headers: &[(String, String)],
    ) -> QueuedWebhook {
        let webhook = Webhook {
            delivery_id: DeliveryId::new(Uuid::from_u128(n)),
            source: "wavix-eu".parse().expect("a name"),
            provider: Provider::Wavix,
            received_at: Timestamp::UNIX_EPOCH,
            headers: Headers::from_iter(headers.iter().map(|(name, value)| (name.as_str(), value.as_str()))),
            body: body.to_vec().into(),
        };
        let content_type = content_type.map(str::to_owned);
        let (entry, shard, history) = (None, Shard::FIRST, History::default());
        QueuedWebhook { webhook, content_type, entry, shard, trace: None, history }
    }

    fn read_all(bundle: &[u8], webhooks: usize) -> Result<Vec<QueuedWebhook>, InvalidBundle> {
        read(BundleHead::of(webhooks), bundle)
    }

    #[test]
    fn a_bundle_can_be_read_by_people() {
        let all = [queued(1, b"{}", Some("text/json"), &[]), queued(2, b"", None, &[])];
        let bundle = String::from_utf8(write(&all)).expect("text");
        let head = r#""head":{"source":"wavix-eu","provider":"wavix","received_at":"1970-01-01T00:00:00Z"}"#;
        let id = "00000000-0000-0000-0000-00000000000";
        let expected = format!(
            "{{\"id\":\"{id}1\",\"content_type\":\"text/json\",\"bytes\":2,{head}}}\n{{}}\n\
             {{\"id\":\"{id}2\",\"bytes\":0,{head}}}\n\n"
        );
        assert_eq!(bundle, expected);
        assert_eq!(BundleHead::of(2).to_json(), r#"{"bundle":1,"webhooks":2}"#);
        assert_eq!(BundleHead::from_json(br#"{"bundle":1,"webhooks":2,"new":1}"#), Some(BundleHead::of(2)));
    }

    #[test]
    fn what_is_no_bundle_is_told_by_what_is_wrong() {
        let all = [queued(1, b"{}", None, &[]), queued(2, b"\n", None, &[])];
        let bundle = write(&all);
        assert_eq!(read_all(&bundle[..bundle.len() - 1], 2), Err(InvalidBundle::Cut(2)));
        assert_eq!(read_all(&bundle[..bundle.len() - 4], 2), Err(InvalidBundle::Line(2)));
        assert_eq!(read_all(&bundle, 3), Err(InvalidBundle::Count { said: 3 }));
        assert_eq!(read_all(b"", 0), Err(InvalidBundle::Count { said: 0 }));
        let later = BundleHead { bundle: 2, webhooks: 2 };
        assert_eq!(read(later, &bundle), Err(InvalidBundle::Version(2)));
        let huge = bundle.iter().copied().map(|byte| if byte == b'2' { b'9' } else { byte });
        assert!(read_all(&huge.collect::<Vec<_>>(), 2).is_err());
    }

    proptest! {
        #[test]
        fn bytes_stay_bytes(
            parts in proptest::collection::vec(
                (
                    any::<u128>(),
                    proptest::collection::vec(any::<u8>(), 0..200),
                    proptest::option::of("[ -~é]{0,40}"),
                    proptest::collection::vec(("[a-z-]{1,10}", "[\\t -~é]{0,40}"), 0..4),
                ),
                1..70,
            ),
        ) {
            let all: Vec<_> = parts
                .iter()
                .map(|(id, body, content_type, headers)| queued(*id, body, content_type.as_deref(), headers))
                .collect();
            let bundle = write(&all);
            prop_assert_eq!(read_all(&bundle, all.len()), Ok(all.clone()));
            // The reader of one that was cut off knows.
            prop_assert!(read_all(&bundle[..bundle.len() / 2], all.len()).is_err());
        }

        #[test]
        fn any_bytes_are_read_or_refused(
            bytes in proptest::collection::vec(any::<u8>(), 0..400),
            place in 0_usize..1_000,
            webhooks in 0_usize..4,
        ) {
            drop(read_all(&bytes, webhooks));
            let mut bundle = write(&[queued(1, b"{\"a\":1}", None, &[]), queued(2, &bytes, None, &[])]);
            let place = place % bundle.len();
            bundle[place] ^= 1 << (place % 8);
            drop(read_all(&bundle, 2));
        }
    }
}
