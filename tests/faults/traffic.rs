//! The webhooks sent. Each follows from its number alone, so that every output can be checked against it.

use std::collections::BTreeMap;

use bytes::Bytes;
use hookswitch::{
    core::{
        delivery::fault::Reason,
        events::cloudevent::{self, Encoded},
        providers::{self, Provider},
        webhook::{DeliveryId, Headers, Webhook},
    },
    samples,
};
use jiff::Timestamp;
use serde_json::Value;
use uuid::Uuid;

/// Placeholder of a webhook's number: in its id, and so in its key and its events.
const PLACE: &str = "fw-000000000000";
const MIB: usize = 1 << 20;

/// Size of the largest event that the workers publish, in bytes.
pub const EVENT_BYTES_MAX: usize = 4 * MIB;

/// A cheap, stable generator of random numbers: the same seed gives the same run on every machine.
pub struct Dice(u64);

impl Dice {
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Draws a number below `bound`.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound.max(1)
    }
}

/// The class of a webhook.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    Good,
    Truncated,
    NotUtf8,
    Deep,
    WrongType,
    UnknownEvent,
    /// 1 to 10 MiB that are not JSON.
    BigBroken,
    /// 5 to 10 MiB of valid JSON, with an event above the workers' limit.
    BigEvent,
}

impl Class {
    pub const SMALL_POISON: [Self; 5] =
        [Self::Truncated, Self::NotUtf8, Self::Deep, Self::WrongType, Self::UnknownEvent];
    pub const BIG_POISON: [Self; 2] = [Self::BigBroken, Self::BigEvent];
    const ALL: [Self; 8] = [
        Self::Good,
        Self::Truncated,
        Self::NotUtf8,
        Self::Deep,
        Self::WrongType,
        Self::UnknownEvent,
        Self::BigBroken,
        Self::BigEvent,
    ];
}

/// The number of a webhook. It includes the class, so that the number alone determines the webhook.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Number(u64);

impl Number {
    pub fn new(sequence: usize, class: Class) -> Self {
        Self(sequence as u64 * 10 + class as u64)
    }

    /// Number of webhooks sent before it.
    pub fn sequence(self) -> usize {
        usize::try_from(self.0 / 10).unwrap()
    }

    pub fn class(self) -> Option<Class> {
        Class::ALL.get(usize::try_from(self.0 % 10).unwrap()).copied()
    }

    /// Returns the first number in these bytes.
    pub fn find(bytes: &[u8]) -> Option<Self> {
        let digits = PLACE.len() - 3;
        bytes.windows(PLACE.len()).find_map(|window| {
            let number = window.strip_prefix(b"fw-")?;
            (number.len() == digits && number.iter().all(u8::is_ascii_digit))
                .then(|| std::str::from_utf8(number).ok()?.parse().ok().map(Self))?
        })
    }
}

impl std::fmt::Display for Number {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "fw-{:012}", self.0)
    }
}

/// The expected outcome of a webhook.
pub enum Expected {
    Events(Vec<Encoded>),
    Dead(Reason),
}

struct Template {
    headers: Vec<(String, String)>,
    good: String,
    wrong_type: String,
    unknown_event: String,
}

/// All possible webhooks.
pub struct Traffic {
    seed: u64,
    by_provider: BTreeMap<&'static str, Vec<Template>>,
}

impl Traffic {
    /// Checks the accounting's assumptions on every sample, and panics if one does not hold.
    pub fn new(seed: u64) -> Self {
        let mut by_provider = BTreeMap::<_, Vec<Template>>::new();
        for sample in samples::all() {
            let template = Template::of(&sample);
            // What is a fact of its own each time that it is sent has no key to count by.
            if !template.is_new_each_time(sample.provider) {
                by_provider.entry(sample.provider.as_str()).or_default().push(template);
            }
        }
        let traffic = Self { seed, by_provider };
        let samples = traffic.by_provider.values().map(Vec::len).sum::<usize>();
        for sequence in 0..samples * 40 {
            for class in Class::ALL {
                if Class::BIG_POISON.contains(&class) && sequence > 20 {
                    continue;
                }
                traffic.check(Number::new(sequence, class));
            }
        }
        traffic
    }

    fn check(&self, number: Number) {
        let (webhook, class) = (self.webhook(number), number.class());
        assert_eq!(Number::find(&webhook.body), Some(number), "{number} is in its body");
        match self.expected(&webhook) {
            Expected::Events(events) => {
                assert_eq!(class, Some(Class::Good), "{number} gives events");
                assert!((1..=2).contains(&events.len()), "{number} gives {} events", events.len());
                for event in events {
                    assert_eq!(Number::find(&event.body), Some(number), "{number} is in its event");
                    let event: Value = serde_json::from_slice(&event.body).unwrap();
                    let key = event["idempotencykey"].as_str().unwrap();
                    assert_eq!(Number::find(key.as_bytes()), Some(number), "{number} is in its key");
                }
            }
            Expected::Dead(reason) => assert_ne!(class, Some(Class::Good), "{number} is {reason}"),
        }
    }

    fn dice(&self, number: Number) -> Dice {
        let mut dice = Dice::new(self.seed ^ number.0.wrapping_mul(0xd6e8_feb8_6659_fd93));
        dice.next();
        dice
    }

    /// Returns the webhook of this number as the receiver would publish it, with an invented delivery id and
    /// time.
    pub fn webhook(&self, number: Number) -> Webhook {
        let mut dice = self.dice(number);
        let provider = Provider::ALL[usize::try_from(dice.below(Provider::ALL.len() as u64)).unwrap()];
        let templates = &self.by_provider[provider.as_str()];
        let template = &templates[usize::try_from(dice.below(templates.len() as u64)).unwrap()];
        let id = number.to_string();
        let filled = |text: &str| text.replace(PLACE, &id);
        let body = match number.class().expect("a number of this run") {
            Class::Good => filled(&template.good).into_bytes(),
            Class::Truncated => {
                let good = filled(&template.good);
                format!("{} {id}", &good[..good.floor_char_boundary(good.len() * 2 / 3)]).into_bytes()
            }
            Class::NotUtf8 => {
                let good = filled(&template.good).into_bytes();
                let cut =
                    good.windows(id.len()).position(|window| window == id.as_bytes()).unwrap() + id.len();
                [&good[..cut], b"\xff\xfe", &good[cut..]].concat()
            }
            Class::Deep => {
                format!("{{\"deep\":{}\"{id}\"{}}}", "[".repeat(5_000), "]".repeat(5_000)).into_bytes()
            }
            Class::WrongType => filled(&template.wrong_type).into_bytes(),
            Class::UnknownEvent => filled(&template.unknown_event).into_bytes(),
            Class::BigBroken => {
                let size = MIB + usize::try_from(dice.below(9 * MIB as u64)).unwrap();
                format!("{{\"{id}\":\"{}", "x".repeat(size)).into_bytes()
            }
            Class::BigEvent => {
                let size = 5 * MIB + usize::try_from(dice.below(5 * MIB as u64)).unwrap();
                let good = filled(&template.good);
                let rest = good.strip_prefix('{').expect("every sample is an object");
                format!("{{\"{id}\":\"{}\",{rest}", "x".repeat(size)).into_bytes()
            }
        };
        let headers = template.headers.iter().map(|(name, value)| (name, filled(value))).collect();
        webhook(provider, DeliveryId::new(Uuid::nil()), headers, body)
    }

    /// Returns the expected outcome of a webhook.
    pub fn expected(&self, webhook: &Webhook) -> Expected {
        let normalized = match providers::normalize(webhook) {
            Ok(normalized) => normalized,
            Err(error) => return Expected::Dead(error.reason()),
        };
        let events: Vec<_> = cloudevent::encode(webhook, &normalized.key, &normalized.events).collect();
        if events.iter().any(|event| event.body.len() > EVENT_BYTES_MAX) {
            return Expected::Dead(Reason::EventTooLarge);
        }
        Expected::Events(events)
    }

    /// Returns the number of events of a good webhook.
    pub fn events_of(&self, number: Number) -> usize {
        match self.expected(&self.webhook(number)) {
            Expected::Events(events) => events.len(),
            Expected::Dead(_) => 0,
        }
    }
}

fn webhook(provider: Provider, delivery_id: DeliveryId, headers: Headers, body: Vec<u8>) -> Webhook {
    Webhook {
        delivery_id,
        source: provider.as_str().parse().unwrap(),
        provider,
        received_at: Timestamp::UNIX_EPOCH,
        headers,
        body: Bytes::from(body),
    }
}

impl Template {
    /// Returns true if a second delivery of the same webhook has another key.
    fn is_new_each_time(&self, provider: Provider) -> bool {
        let key = |delivery| {
            let headers = self.headers.iter().map(|(name, value)| (name, value.as_str())).collect();
            let webhook =
                webhook(provider, DeliveryId::new(delivery), headers, self.good.clone().into_bytes());
            providers::normalize(&webhook).unwrap().key
        };
        key(Uuid::nil()) != key(Uuid::max())
    }

    fn of(sample: &samples::Sample) -> Self {
        let id_header = match sample.provider {
            Provider::Allo => Some("webhook-id"),
            Provider::Varda => Some("x-varda-delivery"),
            Provider::Morph | Provider::Wavix | Provider::Salpre => None,
        };
        // The headers that the receiver captures, in its order.
        let captured = sample.provider.headers().iter();
        let headers = captured.flat_map(|name| {
            let given = sample.headers.iter().filter(|(given, _)| given.eq_ignore_ascii_case(name));
            given.map(|(_, value)| {
                let value = if Some(*name) == id_header { PLACE } else { value };
                ((*name).to_owned(), value.to_owned())
            })
        });
        let body: Value = serde_json::from_slice(&sample.body).unwrap();
        let event_field = match sample.provider {
            Provider::Allo => "topic",
            Provider::Morph | Provider::Varda => "event",
            Provider::Wavix | Provider::Salpre => "event_type",
        };
        let mut good = body;
        if sample.provider == Provider::Salpre {
            // A test counts per delivery, so its key does not show the call.
            good["is_test"] = false.into();
        }
        *id_of(sample.provider, &mut good) = PLACE.into();
        let mut wrong_type = good.clone();
        *container_of(sample.provider, &mut wrong_type) = serde_json::json!([PLACE]);
        let mut unknown_event = good.clone();
        unknown_event[event_field] = "no.such.event".into();
        Self {
            headers: headers.collect(),
            good: good.to_string(),
            wrong_type: wrong_type.to_string(),
            unknown_event: unknown_event.to_string(),
        }
    }
}

/// Returns the field that makes a webhook's key unique.
fn id_of(provider: Provider, body: &mut Value) -> &mut Value {
    match provider {
        Provider::Salpre if body["payload"]["call"].is_object() => &mut body["payload"]["call"]["id"],
        Provider::Salpre => &mut body["payload"]["call_id"],
        Provider::Wavix if body["message_id"].is_string() => &mut body["message_id"],
        Provider::Wavix if body["call_uuid"].is_string() => &mut body["call_uuid"],
        Provider::Wavix => &mut body["uuid"],
        Provider::Allo if body["data"]["call_id"].is_string() => &mut body["data"]["call_id"],
        Provider::Allo | Provider::Morph | Provider::Varda => &mut body["data"]["id"],
    }
}

/// Returns the part of a webhook that must be an object.
fn container_of(provider: Provider, body: &mut Value) -> &mut Value {
    match provider {
        Provider::Salpre => &mut body["payload"],
        Provider::Wavix => body,
        Provider::Allo | Provider::Morph | Provider::Varda => &mut body["data"],
    }
}
