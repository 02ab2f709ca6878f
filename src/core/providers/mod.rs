//! One file per provider; each turns a webhook's bytes into events. Pure code: no I/O, no clock.
//!
//! A new provider is one file here, one line in each `match` below, and a folder of golden cases in
//! `tests/golden/<provider>/`.

mod allo;
mod morph;
mod salpre;
mod varda;
mod wavix;

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use super::{
    delivery::fault::Reason,
    events::{
        data::Data,
        event::{Event, EventType},
        key::IdempotencyKey,
    },
    json::{self, Drift, Object},
    redact::Schema,
    webhook::Webhook,
};

/// A webhook format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Provider {
    /// A unified API over many CRMs and telephony systems.
    Morph,
    /// A business phone.
    Allo,
    /// A communications platform (CPaaS).
    Wavix,
    /// AI telephony.
    Salpre,
    /// A contact centre.
    Varda,
}

impl Provider {
    /// Every provider.
    pub const ALL: [Self; 5] = [Self::Morph, Self::Allo, Self::Wavix, Self::Salpre, Self::Varda];

    /// The name used in configuration, events and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Morph => "morph",
            Self::Allo => "allo",
            Self::Wavix => "wavix",
            Self::Salpre => "salpre",
            Self::Varda => "varda",
        }
    }

    /// The HTTP headers, in lower case, that the provider's contract gives a meaning to, but for secrets.
    pub fn headers(self) -> &'static [&'static str] {
        match self {
            Self::Morph => morph::HEADERS,
            Self::Allo => allo::HEADERS,
            Self::Wavix | Self::Salpre => &[],
            Self::Varda => varda::HEADERS,
        }
    }

    /// What of a body may be shown to people who have no business with personal data.
    pub fn schema(self) -> &'static Schema {
        match self {
            Self::Morph => &morph::SCHEMA,
            Self::Allo => &allo::SCHEMA,
            Self::Wavix => &wavix::SCHEMA,
            Self::Salpre => &salpre::SCHEMA,
            Self::Varda => &varda::SCHEMA,
        }
    }
}

impl fmt::Display for Provider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Provider {
    type Err = UnknownProvider;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|p| p.as_str() == text).ok_or(UnknownProvider)
    }
}

/// A text that names no [`Provider`].
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("a provider is one of morph, allo, wavix, salpre, varda")]
pub struct UnknownProvider;

/// What a webhook comes to.
#[derive(Clone, Debug)]
pub struct Normalized<'a> {
    /// What makes another webhook the same fact.
    pub key: IdempotencyKey,
    /// One event or more, in the order of publishing.
    pub events: Vec<Event<'a>>,
    /// What the provider sent that we did not expect.
    pub drift: Vec<Drift>,
}

/// Why a webhook cannot be normalized. The texts hold paths and positions, never values out of the body.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NormalizeError {
    /// Not JSON, not UTF-8, or nested too deep.
    #[error("the body {problem}")]
    MalformedJson {
        /// What and where.
        problem: String,
    },
    /// JSON, but not what the provider's contract says.
    #[error("{path}: {problem}")]
    InvalidPayload {
        /// The JSON path, as in `data.contact.id`; `$` is the whole body.
        path: String,
        /// What is wrong with it.
        problem: String,
    },
    /// An event whose name nobody here knows.
    #[error("{path}: no event of this provider that is known here")]
    UnsupportedEvent {
        /// The JSON path of the name.
        path: String,
    },
}

impl NormalizeError {
    /// An [`NormalizeError::InvalidPayload`] at `path`.
    pub fn invalid(path: &str, problem: &str) -> Self {
        let path = if path.is_empty() { "$" } else { path };
        Self::InvalidPayload { path: path.to_owned(), problem: problem.to_owned() }
    }

    /// An [`NormalizeError::UnsupportedEvent`] whose name stands at `path`.
    pub fn unsupported(path: &str) -> Self {
        Self::UnsupportedEvent { path: path.to_owned() }
    }

    /// The dead letter's reason.
    pub fn reason(&self) -> Reason {
        match self {
            Self::MalformedJson { .. } => Reason::MalformedJson,
            Self::InvalidPayload { .. } => Reason::InvalidPayload,
            Self::UnsupportedEvent { .. } => Reason::UnsupportedEvent,
        }
    }
}

/// Turns a webhook into events.
///
/// # Errors
/// [`NormalizeError`] says what is wrong with the webhook, and where.
pub fn normalize(webhook: &Webhook) -> Result<Normalized<'_>, NormalizeError> {
    match webhook.provider {
        Provider::Morph => morph::normalize(webhook),
        Provider::Allo => allo::normalize(webhook),
        Provider::Wavix => wavix::normalize(webhook),
        Provider::Salpre => salpre::normalize(webhook),
        Provider::Varda => varda::normalize(webhook),
    }
}

/// Passes an event on whose name nobody knows: `provider.unmapped`, with the whole payload under `unmapped`.
///
/// # Errors
/// [`NormalizeError`] if the body is no JSON object.
pub fn pass_on(webhook: &Webhook) -> Result<Normalized<'_>, NormalizeError> {
    let body = Object::root(&webhook.body)?;
    let event = Event {
        kind: EventType::ProviderUnmapped,
        subject: format!("delivery/{}", webhook.delivery_id),
        time: None,
        provider_event: "".into(),
        test: false,
        tenant: None,
        data: Data::Empty {},
        unmapped: body.into_unmapped(),
    };
    Ok(Normalized { key: IdempotencyKey::of_body(&webhook.body), events: vec![event], drift: Vec::new() })
}

/// The drift of a list of events, each leaf once: what is not at or under a path that `is_expected`.
fn drift_of(events: &[Event<'_>], is_expected: impl Fn(&str) -> bool) -> Vec<Drift> {
    let mut found = Vec::new();
    for event in events {
        json::find_drift(&event.unmapped, &is_expected, &mut found);
    }
    found
}
