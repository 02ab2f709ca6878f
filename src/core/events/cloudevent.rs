//! Writes an [`Event`] as a CloudEvent 1.0 in JSON, structured mode.

use std::borrow::Cow;

use bytes::Bytes;
use jiff::Timestamp;
use serde::Deserialize;
use uuid::Uuid;

use super::{
    attributes,
    classification::classify,
    event::{Event, EventType},
    key::IdempotencyKey,
    order::{ObjectKey, Place, Sequence},
    percent,
    redaction::{self, MASK, RedactedCopy, Redaction},
};
use crate::core::{
    contract::family::{Family, SCHEMA_BASE},
    json::{Fields, write_field, write_object},
    webhook::Webhook,
};

/// The media type of an encoded event.
pub const CONTENT_TYPE: &str = "application/cloudevents+json";

/// The word before the routing key of a test that is kept apart.
pub const TEST_PREFIX: &str = "test.";

/// The approximate size of an event's own attributes, in bytes.
const ENVELOPE_BYTES: usize = 1200;

/// The attribute that marks an event as late, with the start of the object that it is put into.
const LATE: &[u8] = b"{\"late\":true,";

/// An event as it is published.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Encoded {
    /// The CloudEvent's `id`, also the AMQP `message_id`. The same webhook always yields the same ids, and
    /// with a key the redacted copies of an event have one of their own.
    pub id: Uuid,
    /// The CloudEvent's `type`.
    pub kind: &'static str,
    /// The CloudEvent's `time`.
    pub time: Timestamp,
    /// The routing key: `<type>.<source>`, or `test.<type>.<source>` for a test that is kept apart.
    pub routing_key: String,
    /// The subscriptions that get the event because the worker says so, not by a pattern.
    pub addressed_to: Vec<String>,
    /// True for a redacted copy. Nobody else gets it.
    pub is_redacted: bool,
    /// Its place among the events about its object; none for an event without an object of its own.
    pub place: Option<Place>,
    /// The JSON text, without `late`.
    pub body: Bytes,
}

impl Encoded {
    /// Returns the JSON text with `late`: an event that goes further was published already.
    pub fn late_body(&self) -> Bytes {
        [LATE, self.body.get(1..).unwrap_or_default()].concat().into()
    }

    /// Returns the most bytes that its JSON text may have.
    pub fn bytes_max(&self) -> usize {
        self.body.len() + self.place.map_or(0, |_| LATE.len() - 1)
    }
}

/// Encodes the events that `webhook` yielded, whose schemas have the default base.
pub fn encode<'e>(
    webhook: &'e Webhook,
    key: &'e IdempotencyKey,
    events: &'e [Event<'e>],
) -> impl Iterator<Item = Encoded> {
    encode_with(SCHEMA_BASE, webhook, key, events)
}

/// Encodes the events that `webhook` yielded. The ids of their schemas begin with `schema_base`, which needs
/// no escapes.
pub fn encode_with<'e>(
    schema_base: &'e str,
    webhook: &'e Webhook,
    key: &'e IdempotencyKey,
    events: &'e [Event<'e>],
) -> impl Iterator<Item = Encoded> {
    let mut seen = [0; EventType::ALL.len()];
    events.iter().map(move |event| {
        let count = &mut seen[event.kind as usize];
        let id = key.event_id(&webhook.source, event.kind, *count);
        *count += 1;
        let time = event.time.unwrap_or(webhook.received_at);
        let (subject, sequence) = (subject(&event.subject), Sequence::new(time, event.kind));
        let correlation = correlate(webhook, &subject, event);
        let place = correlation.as_ref().map(|(_, object)| Place { object: *object, sequence });
        let envelope = Envelope {
            schema_base,
            webhook,
            key,
            id,
            time,
            subject,
            correlation,
            sequence,
            event,
            redaction: None,
        };
        let kind = event.kind.as_str();
        let routing_key = [kind, ".", webhook.source.as_str()].concat();
        let body = envelope.body();
        Encoded { id, kind, time, routing_key, addressed_to: Vec::new(), is_redacted: false, place, body }
    })
}

/// Encodes the redacted copy of an event, which was encoded as `encoded`, for no subscription yet.
pub fn encode_redacted(
    schema_base: &str,
    webhook: &Webhook,
    key: &IdempotencyKey,
    event: &Event<'_>,
    encoded: &Encoded,
    redaction: Redaction<'_>,
) -> Encoded {
    let (copy, time) = (redaction.copy(event, encoded.id), encoded.time);
    let (id, event, subject) = (copy.id, &copy.event, subject(&copy.event.subject));
    // Events about two calls whose ids are masked have nothing in common.
    let correlation = correlate(webhook, &subject, event).filter(|(id, _)| !id.contains(MASK));
    let sequence = Sequence::new(time, event.kind);
    let redaction = Some(&copy);
    let envelope =
        Envelope { schema_base, webhook, key, id, time, subject, correlation, sequence, event, redaction };
    let body = envelope.body();
    // Its place is the event's: a copy is late if its event is.
    Encoded { id, addressed_to: Vec::new(), is_redacted: true, body, ..encoded.clone() }
}

/// Returns the `correlationid` of an event with this subject, and the object that it names.
fn correlate(webhook: &Webhook, subject: &str, event: &Event<'_>) -> Option<(String, ObjectKey)> {
    let id = attributes::correlation_id(&webhook.source, subject, event)?;
    let object = ObjectKey::of(&id);
    Some((id, object))
}

/// What the attributes of an event are made of.
struct Envelope<'e> {
    /// The start of the ids of schemas.
    schema_base: &'e str,
    webhook: &'e Webhook,
    key: &'e IdempotencyKey,
    id: Uuid,
    time: Timestamp,
    /// The subject as it is published.
    subject: Cow<'e, str>,
    /// What the event has in common with the others about its object, and the object.
    correlation: Option<(String, ObjectKey)>,
    sequence: Sequence,
    event: &'e Event<'e>,
    /// Set if `event` is a redacted copy.
    redaction: Option<&'e RedactedCopy<'e>>,
}

impl Envelope<'_> {
    fn body(&self) -> Bytes {
        let mut body = Vec::with_capacity(ENVELOPE_BYTES + self.webhook.body.len());
        write_object(&mut body, |out| {
            self.write_context(out);
            self.write_extensions(out);
            out.extend_from_slice(b"\"data\":");
            write_object(out, |out| {
                self.event.data.write_fields(out);
                write_field!(out, "unmapped", &self.event.unmapped);
            });
        });
        body.into()
    }

    /// Writes the attributes of CloudEvents itself, and those that only hookswitch has.
    fn write_context(&self, out: &mut Vec<u8>) {
        let Self { webhook, event, .. } = self;
        let (provider, source) = (webhook.provider.as_str(), webhook.source.as_str());
        out.extend_from_slice(b"\"specversion\":\"1.0\",");
        write_field!(out, "id", &self.id);
        // Names of providers and sources need no escapes, nor do types.
        extend(out, &["\"source\":\"/hookswitch/", provider, "/", source, "\","]);
        extend(out, &["\"type\":\"", event.kind.as_str(), "\","]);
        write_field!(out, "subject", &self.subject);
        write_field!(out, "time", &self.time);
        write_field!(out, "timesource", &event.time.is_none().then_some("received"));
        let schema = Family::of(&event.data).path;
        extend(out, &["\"datacontenttype\":\"application/json\",\"dataschema\":\"", self.schema_base, "/"]);
        extend(out, &[schema, "\",\"provider\":\"", provider, "\","]);
        write_field!(out, "providerevent", &attribute(&event.provider_event));
        write_field!(out, "deliveryid", &webhook.delivery_id.uuid());
        match self.redaction {
            None => write_field!(out, "idempotencykey", self.key.as_str()),
            // The key is made of whatever tells two webhooks apart.
            Some(_) => write_field!(out, "idempotencykey", &self.id),
        }
        write_field!(out, "test", &event.test);
        write_field!(out, "tenant", &event.tenant.as_deref().map(attribute));
        write_field!(out, "connector", &event.connector.as_deref().map(attribute));
    }

    /// Writes the attributes of CloudEvents' own extensions, and what became of the data of a copy.
    fn write_extensions(&self, out: &mut Vec<u8>) {
        let Self { webhook, event, .. } = self;
        let (mut trace_parent, mut trace_state) = attributes::trace(&webhook.headers);
        let mut class = classify(event, webhook.provider.schema());
        if let Some(copy) = self.redaction {
            // Senders write into them what they like.
            (trace_parent, trace_state) = (redaction::trace_parent(&webhook.headers), None);
            class = copy.class;
        }
        write_field!(out, "correlationid", &self.correlation.as_ref().map(|(id, _)| id.as_str()));
        write_field!(
            out,
            "partitionkey",
            &self.correlation.as_ref().map(|(_, object)| object.partition_key())
        );
        write_field!(out, "sequence", &self.sequence);
        // Not the time of writing, which would be another one each time.
        write_field!(out, "recordedtime", &webhook.received_at);
        write_field!(out, "dataclassification", &class);
        write_field!(out, "redaction", &self.redaction.map(|copy| copy.profile.to_string()));
        write_field!(out, "traceparent", &trace_parent.map(attribute));
        write_field!(out, "tracestate", &trace_state.as_deref().map(attribute));
    }
}

/// Returns a subject with its id percent-encoded like a path segment of a URI: an id may hold a slash or a
/// control character, which CloudEvents forbids.
fn subject(subject: &str) -> Cow<'_, str> {
    let Some((family, id)) = subject.split_once('/') else { return attribute(subject) };
    if id.chars().all(percent::is_in_segment) {
        return Cow::Borrowed(subject);
    }
    let mut encoded = [family, "/"].concat();
    percent::encode(id, percent::is_in_segment, &mut encoded);
    Cow::Owned(encoded)
}

/// Returns the value of an attribute. The characters that CloudEvents forbids are percent-encoded, and so is
/// `%` beside them.
fn attribute(text: &str) -> Cow<'_, str> {
    // Most are printable ASCII.
    if percent::is_plain(text, |_| true) || text.chars().all(percent::is_allowed) {
        return Cow::Borrowed(text);
    }
    let mut encoded = String::new();
    percent::encode(text, |c| c != '%' && percent::is_allowed(c), &mut encoded);
    Cow::Owned(encoded)
}

/// Returns the routing key of an event's JSON text, `<type>.<source>`; none if it is no event. That a test
/// was kept apart is not known.
pub fn routing_key_of(event: &[u8]) -> Option<String> {
    #[derive(Deserialize)]
    struct Event<'a> {
        #[serde(borrow, rename = "type")]
        kind: Cow<'a, str>,
        #[serde(borrow)]
        source: Cow<'a, str>,
    }
    let Event { kind, source } = serde_json::from_slice(event).ok()?;
    Some([&kind, ".", source_name(&source)].concat())
}

/// Returns the name of the source in the `source` of an event.
pub fn source_name(attribute: &str) -> &str {
    attribute.rsplit_once('/').map_or(attribute, |(_, name)| name)
}

fn extend(out: &mut Vec<u8>, parts: &[&str]) {
    for part in parts {
        out.extend_from_slice(part.as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::{
        events::data::Data,
        providers::Provider,
        webhook::{DeliveryId, Headers},
    };

    #[test]
    fn an_id_in_a_subject_is_encoded_like_a_path_segment() {
        for (id, expected) in [
            ("8841", "call/8841"),
            ("+15550100123", "call/+15550100123"),
            ("a:b@c", "call/a:b@c"),
            ("a\nb", "call/a%0Ab"),
            ("a/b c%", "call/a%2Fb%20c%25"),
            ("é\u{9b}", "call/%C3%A9%C2%9B"),
        ] {
            assert_eq!(subject(&format!("call/{id}")), expected);
        }
    }

    fn webhook() -> Webhook {
        Webhook {
            delivery_id: DeliveryId::new(Uuid::nil()),
            source: "allo".parse().expect("a name"),
            provider: Provider::Allo,
            received_at: Timestamp::UNIX_EPOCH,
            headers: Headers::default(),
            body: Bytes::new(),
        }
    }

    fn event(kind: EventType) -> Event<'static> {
        Event::new(kind, "webhook/1".to_owned(), "a\nb", Data::Empty {})
    }

    #[test]
    fn the_providers_name_of_an_event_holds_no_control_character() {
        let (webhook, key) = (webhook(), IdempotencyKey::from_parts(&["1"]));
        let events = [event(EventType::ProviderUnmapped)];
        let encoded = encode(&webhook, &key, &events).next().expect("an event");
        assert!(String::from_utf8_lossy(&encoded.body).contains(r#""providerevent":"a%0Ab""#));
    }

    #[test]
    fn an_event_keeps_its_id_when_events_of_other_types_come_before_it() {
        use EventType::{CallEnded, CallTagged};
        let (webhook, key) = (webhook(), IdempotencyKey::from_parts(&["1"]));
        let ids = |kinds: &[EventType]| {
            let events: Vec<_> = kinds.iter().copied().map(event).collect();
            encode(&webhook, &key, &events).map(|encoded| encoded.id).collect::<Vec<_>>()
        };
        let [ended, tagged, again] = ids(&[CallEnded, CallTagged, CallTagged])[..] else { panic!("three") };
        assert_eq!(ids(&[CallTagged, CallEnded, CallTagged]), [tagged, ended, again]);
        assert!(ended != tagged && tagged != again && again != ended);
    }

    #[test]
    fn every_name_of_an_attribute_is_one_that_cloudevents_allows() {
        let mut webhook = webhook();
        webhook.headers = Headers::from_iter([("traceparent", "00-1"), ("tracestate", "a=1")]);
        let mut full = event(EventType::CallEnded);
        (full.subject, full.tenant, full.connector) = ("call/1".into(), Some("t".into()), Some("c".into()));
        let (key, events) = (IdempotencyKey::from_parts(&["1"]), [full]);
        let encoded = encode(&webhook, &key, &events).next().expect("an event");
        let json: serde_json::Value = serde_json::from_slice(&encoded.body).expect("JSON");
        let attributes = json.as_object().expect("an object");
        assert_eq!(attributes.len(), 24, "{json}");
        for (name, value) in attributes {
            let is_valid = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
            assert!((1..=20).contains(&name.len()) && name.bytes().all(is_valid), "{name}");
            let is_empty = value.as_str().is_some_and(str::is_empty);
            assert!(
                !is_empty && (value.is_string() || value.is_boolean() || name == "data"),
                "{name}: {value}"
            );
        }
    }

    #[test]
    fn late_is_one_more_attribute_and_changes_nothing_else() {
        let (webhook, key) = (webhook(), IdempotencyKey::from_parts(&["1"]));
        let of = |subject: &str| {
            let event = Event { subject: subject.to_owned(), ..event(EventType::CallEnded) };
            encode(&webhook, &key, &[event]).next().expect("an event")
        };
        let (call, other) = (of("call/1"), of("webhook/1"));
        let json = |body: &[u8]| serde_json::from_slice::<serde_json::Value>(body).expect("JSON");
        let (mut late, plain) = (json(&call.late_body()), json(&call.body));
        assert_eq!(late.as_object_mut().expect("an object").remove("late"), Some(true.into()));
        assert_eq!(late, plain);
        assert_eq!(call.late_body().len(), call.bytes_max());
        // An event without an object is never late.
        assert_eq!((other.place, other.body.len()), (None, other.bytes_max()));
    }

    #[test]
    fn an_attribute_holds_no_control_character() {
        assert_eq!(attribute("Zoë 5%"), "Zoë 5%");
        assert_eq!(attribute("a\tb%\u{fffe}"), "a%09b%25%EF%BF%BE");
    }
}
