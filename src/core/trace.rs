//! Traces: which webhook belongs to which trace, and which traces are recorded.
//!
//! All of it follows from the webhook: a delivery that is processed again gives the same events, and these
//! say to which span they belong. Without a trace of the sender, a webhook's trace has the delivery id as
//! its id. So whoever knows the delivery id finds the trace.

use std::{fmt, str::FromStr};

use uuid::Uuid;

use super::webhook::{DeliveryId, Headers, Webhook};

/// The header of W3C Trace Context that names a span.
pub const TRACE_PARENT: &str = "traceparent";

/// The header in which the systems that took part in a trace add what they like.
pub const TRACE_STATE: &str = "tracestate";

/// The flag of a trace that is recorded.
const SAMPLED: u8 = 1;

/// The flag of a trace whose id ends in 56 random bits, as those of delivery ids do.
const RANDOM: u8 = 2;

/// The number of random bits at the end of a trace's id.
const RANDOM_BITS: u32 = 56;

/// A span as other systems name it (`traceparent` of W3C Trace Context).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TraceParent {
    /// The id of the trace.
    pub trace: [u8; 16],
    /// The id of the span.
    pub span: [u8; 8],
    /// Those that the standard defines.
    flags: u8,
}

impl TraceParent {
    /// Parses the text of the header. `None` for any other form: what is not understood begins no trace.
    fn parse(text: &str) -> Option<Self> {
        let parts: [&str; 4] = text.split('-').collect::<Vec<_>>().try_into().ok()?;
        let is_lower = |part: &&str| !part.bytes().any(|byte| byte.is_ascii_uppercase());
        let [version, trace, span, flags] = parts;
        if version.len() != 2 || version == "ff" || !parts.iter().all(is_lower) {
            return None;
        }
        let mut bytes = ([0; 1], [0; 16], [0; 8], [0; 1]);
        hex::decode_to_slice(version, &mut bytes.0).ok()?;
        hex::decode_to_slice(trace, &mut bytes.1).ok()?;
        hex::decode_to_slice(span, &mut bytes.2).ok()?;
        hex::decode_to_slice(flags, &mut bytes.3).ok()?;
        let (_, trace, span, [flags]) = bytes;
        // The others may mean anything in a later version, and are not handed on.
        let flags = flags & (SAMPLED | RANDOM);
        (trace != [0; 16] && span != [0; 8]).then_some(Self { trace, span, flags })
    }

    /// Returns true if the trace is recorded.
    pub fn is_sampled(&self) -> bool {
        self.flags & SAMPLED != 0
    }

    /// Returns the flags that the standard defines.
    pub fn flags(&self) -> u8 {
        self.flags
    }
}

/// A text that is not a [`TraceParent`].
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a traceparent of W3C Trace Context")]
pub struct InvalidTraceParent;

impl FromStr for TraceParent {
    type Err = InvalidTraceParent;

    fn from_str(text: &str) -> Result<Self, InvalidTraceParent> {
        Self::parse(text).ok_or(InvalidTraceParent)
    }
}

impl fmt::Display for TraceParent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { trace, span, flags } = self;
        write!(f, "00-{}-{}-{:02x}", hex::encode(trace), hex::encode(span), flags)
    }
}

/// The share of traces that are recorded, of those that begin here.
///
/// The trace's id decides, so that all processes record the same traces. A higher share records all those
/// of a lower one.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SampleRatio(f64);

impl SampleRatio {
    /// Every trace.
    pub const ALL: Self = Self(1.0);
    /// One in a hundred.
    pub const HUNDREDTH: Self = Self(0.01);

    /// Creates a ratio; `None` unless it is from 0 to 1.
    pub fn new(ratio: f64) -> Option<Self> {
        (0.0..=1.0).contains(&ratio).then_some(Self(ratio))
    }

    /// Returns the ratio as a number from 0 to 1.
    pub fn get(self) -> f64 {
        self.0
    }

    /// Returns true if the trace with this id is recorded.
    pub fn samples(self, trace: &[u8; 16]) -> bool {
        let [.., a, b, c, d, e, f, g] = *trace;
        let random = u64::from_be_bytes([0, a, b, c, d, e, f, g]) as f64;
        random >= (1.0 - self.0) * 2f64.powi(RANDOM_BITS as i32)
    }
}

/// A trace that is recorded, as far as a webhook belongs to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trace {
    /// The id of the trace.
    pub id: [u8; 16],
    /// The span under which those of hookswitch are; none if the trace begins here.
    pub parent: Option<[u8; 8]>,
    flags: u8,
}

impl Trace {
    /// Returns the trace of a webhook that is just accepted, or was by a receiver without tracing; none if
    /// it is not recorded. The sender decides if it takes part in a trace, otherwise `ratio`.
    pub fn of(webhook: &Webhook, ratio: SampleRatio) -> Option<Self> {
        match sender(&webhook.headers) {
            Some(sender) => Self::under(sender),
            None => Self::root(webhook.delivery_id.uuid(), ratio),
        }
    }

    /// Returns the trace of a span of another process; none if it is not recorded.
    pub fn under(parent: TraceParent) -> Option<Self> {
        let TraceParent { trace, span, flags } = parent;
        parent.is_sampled().then_some(Self { id: trace, parent: Some(span), flags })
    }

    /// Returns a trace that begins here; none if it is not recorded. `id` ends in 56 random bits, as a
    /// UUID of version 4 or 7 does.
    pub fn root(id: Uuid, ratio: SampleRatio) -> Option<Self> {
        let id = id.into_bytes();
        ratio.samples(&id).then_some(Self { id, parent: None, flags: SAMPLED | RANDOM })
    }

    /// Names a span of this trace for others.
    pub fn span(&self, span: [u8; 8]) -> TraceParent {
        TraceParent { trace: self.id, span, flags: self.flags }
    }

    /// Returns the webhook as its events show it: their `traceparent` names the span that published them.
    pub fn hand_on(&self, webhook: &Webhook) -> Webhook {
        let parent = self.span(span_of(webhook.delivery_id, SpanOf::Publishing)).to_string();
        // The state of a trace that is not continued says nothing about this one.
        let continued = sender(&webhook.headers).is_some_and(|sender| sender.trace == self.id);
        let is_kept = |name: &str| name != TRACE_PARENT && (continued || name != TRACE_STATE);
        let others = webhook.headers.iter().filter(|(name, _)| is_kept(name));
        let headers = others.chain([(TRACE_PARENT, parent.as_str())]).collect();
        Webhook { headers, ..webhook.clone() }
    }
}

/// Returns the sender's span.
fn sender(headers: &Headers) -> Option<TraceParent> {
    TraceParent::parse(headers.get(TRACE_PARENT)?)
}

/// The spans of which a webhook has one each, whatever happens to it.
#[derive(Clone, Copy, Debug)]
pub enum SpanOf {
    /// The request that brought it.
    Receiving,
    /// Its storing in a raw queue.
    Storing,
    /// The publishing of its events. If they are published again, so is this span.
    Publishing,
}

/// Returns the id of a span that a webhook has once.
pub fn span_of(webhook: DeliveryId, span: SpanOf) -> [u8; 8] {
    let name: &[u8] = match span {
        SpanOf::Receiving => b"receive",
        SpanOf::Storing => b"store",
        SpanOf::Publishing => b"publish",
    };
    first_half(Uuid::new_v5(&webhook.uuid(), name))
}

/// Returns the id of any other span, from a random UUID or one of a hash. It is never all zeros: the
/// version of the UUID is in it.
pub fn first_half(uuid: Uuid) -> [u8; 8] {
    let [a, b, c, d, e, f, g, h, ..] = uuid.into_bytes();
    [a, b, c, d, e, f, g, h]
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::core::providers::Provider;

    const SENDER: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    const ALL: SampleRatio = SampleRatio::ALL;
    const NONE: SampleRatio = SampleRatio(0.0);

    fn webhook(headers: &[(&str, &str)]) -> Webhook {
        Webhook {
            delivery_id: "01a2b3c4-d5e6-7f70-8123-456789abcdef".parse().expect("an id"),
            source: "morph".parse().expect("a name"),
            provider: Provider::Morph,
            received_at: jiff::Timestamp::UNIX_EPOCH,
            headers: Headers::from_iter(headers.iter().copied()),
            body: Bytes::new(),
        }
    }

    #[test]
    fn only_the_form_of_the_standard_is_a_trace() {
        assert_eq!(TraceParent::parse(SENDER).map(|parent| parent.to_string()).as_deref(), Some(SENDER));
        let of = |from: &str, to: &str| TraceParent::parse(&SENDER.replacen(from, to, 1));
        assert!(of("00-", "01-").is_some() && of("-01", "-00").is_some_and(|parent| !parent.is_sampled()));
        for (from, to) in [
            ("00-", "ff-"),
            ("00-", "0-"),
            ("af", "AF"),
            ("0af7", "0a"),
            ("b7ad6b7169203331", "0000000000000000"),
            ("0af7651916cd43dd8448eb211c80319c", "00000000000000000000000000000000"),
            ("-01", ""),
            ("-01", "-01-more"),
            ("af", "é"),
        ] {
            assert_eq!(of(from, to), None, "{to}");
        }
    }

    #[test]
    fn a_span_is_equal_to_the_one_that_is_read_of_its_text() {
        for flags in 0..=u8::MAX {
            let parent = TraceParent::parse(&SENDER.replace("-01", &format!("-{flags:02x}"))).expect("valid");
            assert_eq!(TraceParent::parse(&parent.to_string()), Some(parent));
            assert_eq!(parent.flags(), flags & 3);
        }
    }

    #[test]
    fn the_sender_decides_whether_its_trace_is_recorded_and_the_ratio_about_others() {
        let of = |parent: &str, ratio| Trace::of(&webhook(&[("traceparent", parent)]), ratio);
        let continued = of(SENDER, NONE).expect("the sender records it");
        assert_eq!(hex::encode(continued.parent.expect("a parent")), "b7ad6b7169203331");
        assert_eq!(of(&SENDER.replace("-01", "-00"), ALL), None);
        let root = of("nonsense", ALL).expect("a trace of its own");
        assert_eq!((root.id, root.parent), (webhook(&[]).delivery_id.uuid().into_bytes(), None));
        assert_eq!(of("nonsense", NONE), None);
    }

    #[test]
    fn the_events_of_a_delivery_always_name_the_same_span() {
        let given = webhook(&[("traceparent", SENDER), ("tracestate", "a=1"), ("x-id", "7")]);
        let shown = Trace::of(&given, NONE).expect("recorded").hand_on(&given);
        let parent = TraceParent::parse(shown.headers.get("traceparent").expect("one")).expect("valid");
        assert_eq!(parent.span, span_of(given.delivery_id, SpanOf::Publishing));
        assert_eq!(hex::encode(parent.trace), "0af7651916cd43dd8448eb211c80319c");
        assert_eq!((shown.headers.get("tracestate"), shown.headers.get("x-id")), (Some("a=1"), Some("7")));
        // As a worker processes it again, to which a receiver hands its own span.
        let handed = TraceParent { span: [7; 8], ..TraceParent::parse(SENDER).expect("valid") };
        assert_eq!(Trace::under(handed).expect("recorded").hand_on(&given), shown);
        let unrelated = webhook(&[("traceparent", "nonsense"), ("tracestate", "a=1")]);
        let shown = Trace::of(&unrelated, ALL).expect("recorded").hand_on(&unrelated);
        assert_eq!(shown.headers.get("tracestate"), None);
        assert!(shown.headers.get("traceparent").expect("one").ends_with("-03"), "{shown:?}");
    }

    #[test]
    fn a_ratio_records_its_share_and_all_that_a_lower_one_records() {
        let ids: Vec<_> =
            (0..10_000u32).map(|n| Uuid::new_v5(&Uuid::NAMESPACE_OID, &n.to_be_bytes())).collect();
        let recorded = |ratio| {
            let ratio = SampleRatio::new(ratio).expect("a ratio");
            ids.iter().filter(move |id| ratio.samples(id.as_bytes()))
        };
        assert_eq!((recorded(0.0).count(), recorded(1.0).count()), (0, 10_000));
        assert!((900..1_100).contains(&recorded(0.1).count()), "{}", recorded(0.1).count());
        assert!(recorded(0.1).all(|id| SampleRatio(0.2).samples(id.as_bytes())));
        assert_eq!([-0.1, 1.1, f64::NAN].map(SampleRatio::new), [None; 3]);
    }
}
