//! `[sources.<name>]`: an endpoint, and who may post to it.

use std::{collections::BTreeMap, time::Duration};

use hyper::http::{HeaderName, HeaderValue};

use super::{
    Source, Unsupported,
    read::{Given, Section},
};
use crate::core::{
    auth::{Algorithm, Auth, Encoding, Secrets},
    providers::Provider,
    shard::{SHARDS_MAX, ShardBy, Sharding},
    webhook::SourceName,
};

const SECOND: Duration = Duration::from_secs(1);
const DAY: Duration = Duration::from_secs(86_400);
const TOLERANCE: Duration = Duration::from_secs(300);

const MIB: usize = 1 << 20;
/// What RabbitMQ 4 takes of a message unless it is told otherwise (3.x: 128 MiB). A larger one ends the channel, for
/// whatever else is being published on it too.
const BODY_BYTES_LIMIT: usize = 16 * MIB;

/// Headers whose value is a credential by definition: they must not travel with a webhook.
const CREDENTIALS: [&str; 4] = ["authorization", "cookie", "set-cookie", "proxy-authorization"];

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    None,
    HeaderToken,
    Basic,
    Hmac,
    Varda,
    StandardWebhooks,
}

const KINDS: [(&str, Kind); 6] = [
    ("none", Kind::None),
    ("header_token", Kind::HeaderToken),
    ("basic", Kind::Basic),
    ("hmac", Kind::Hmac),
    ("varda", Kind::Varda),
    ("standard_webhooks", Kind::StandardWebhooks),
];

const FIRST: [&str; 3] = ["secret_env", "secret_file", "secret"];
const SECOND_SECRET: [&str; 3] = ["second_secret_env", "second_secret_file", "second_secret"];

impl Kind {
    fn name(self) -> &'static str {
        KINDS.iter().find(|(_, kind)| *kind == self).map_or("", |(name, _)| name)
    }

    /// The keys beside `auth` that mean something to it.
    fn uses(self, key: &str) -> bool {
        match key {
            "auth_header" => matches!(self, Self::HeaderToken | Self::Hmac),
            "auth_user" => self == Self::Basic,
            "auth_prefix" | "auth_algorithm" | "auth_encoding" => self == Self::Hmac,
            "auth_tolerance" => matches!(self, Self::Varda | Self::StandardWebhooks),
            _ => self != Self::None,
        }
    }
}

/// Reads every source; one that is wrong is recorded and left out.
pub(super) fn read(root: &mut Section<'_>) -> BTreeMap<SourceName, Source> {
    let mut sources = BTreeMap::new();
    for (name, section) in root.named("sources", "name") {
        let parsed = name.parse::<SourceName>();
        if let Err(error) = &parsed {
            section.reader.problem(&section.path, "(name)", format!("another name: {error}"));
        }
        if let (Some(source), Ok(name)) = (source(section), parsed) {
            sources.insert(name, source);
        }
    }
    sources
}

fn source(mut s: Section<'_>) -> Option<Source> {
    let providers = Provider::ALL.map(|provider| (provider.as_str(), provider));
    if !s.has("provider") {
        let names = Provider::ALL.map(|provider| format!("\"{provider}\"")).join(", ");
        s.missing("provider", &format!("one of {names}"));
    }
    let provider = s.word("provider", &providers);
    let auth = auth(&mut s);
    let body_bytes_max = s.size("body_bytes_max", MIB, 1..=BODY_BYTES_LIMIT);
    let expected = "a list of header names, none of them one that carries a credential";
    let capture_headers = s.list("capture_headers", expected, |name| {
        header_name(name).filter(|name| !CREDENTIALS.contains(&name.as_str()))
    });
    let answer_body = s.text("answer_body").unwrap_or_default();
    let answer_content_type = s.read("answer_content_type", "a content type", |given| {
        given.text().filter(|text| !text.is_empty() && HeaderValue::from_str(text).is_ok()).map(str::to_owned)
    });
    let unsupported =
        s.word("unsupported", &[("dead_letter", Unsupported::DeadLetter), ("pass_on", Unsupported::PassOn)]);
    let done_ttl = s.optional_duration("done_ttl", 60 * SECOND..=365 * DAY);
    let shards = s.number("shards", 1, 1..=SHARDS_MAX);
    let shard_by = shard_by(&mut s, auth.as_ref());
    s.finish();
    Some(Source {
        provider: provider?,
        auth: auth?,
        body_bytes_max,
        capture_headers: capture_headers.unwrap_or_default(),
        answer_body,
        answer_content_type: answer_content_type.unwrap_or_else(|| "text/plain; charset=utf-8".to_owned()),
        unsupported: unsupported.unwrap_or(Unsupported::DeadLetter),
        done_ttl,
        sharding: Sharding::new(shards, shard_by),
    })
}

/// A header must say so: a pointer whose `/` is forgotten would else be a header that nobody sends.
fn shard_by(s: &mut Section<'_>, auth: Option<&Auth>) -> Option<ShardBy> {
    let expected = "a JSON pointer, as in \"/payload/call_id\", or \"header:\" and the name of a header that carries \
                    no credential, as in \"header:x-call-id\"";
    let proof = auth.and_then(Auth::proof_header);
    s.read("shard_by", expected, |given| match given.text()?.strip_prefix("header:") {
        Some(name) => header_name(name)
            .filter(|name| !CREDENTIALS.contains(&name.as_str()) && proof != Some(name))
            .map(ShardBy::Header),
        None => given.text()?.parse().ok().map(ShardBy::Pointer),
    })
}

fn header_name(text: &str) -> Option<String> {
    HeaderName::from_bytes(text.as_bytes()).ok().map(|name| name.as_str().to_owned())
}

fn auth(s: &mut Section<'_>) -> Option<Auth> {
    if !s.has("auth") {
        let names = KINDS.map(|(name, _)| format!("\"{name}\"")).join(", ");
        s.missing("auth", &format!("one of {names}; that nobody is asked must be said"));
    }
    let kind = s.word("auth", &KINDS);
    if let Some(kind) = kind {
        say_unused(s, kind);
        for key in ["auth_header", "auth_user"] {
            if kind.uses(key) && !s.has(key) {
                s.missing(key, &format!("a string: auth = \"{}\" needs it", kind.name()));
            }
        }
    }
    let header = s.read("auth_header", "a header name", |given| header_name(given.text()?));
    let user = s.text("auth_user");
    let prefix = s.text("auth_prefix").unwrap_or_default();
    let algorithms =
        [("sha1", Algorithm::Sha1), ("sha256", Algorithm::Sha256), ("sha512", Algorithm::Sha512)];
    let algorithm = s.word("auth_algorithm", &algorithms).unwrap_or(Algorithm::Sha256);
    let encodings = [("hex", Encoding::Hex), ("base64", Encoding::Base64)];
    let encoding = s.word("auth_encoding", &encodings).unwrap_or(Encoding::Hex);
    let tolerance = s.duration("auth_tolerance", TOLERANCE, SECOND..=DAY);
    let secrets = secrets(s, kind);
    match kind? {
        Kind::None => Some(Auth::None),
        Kind::HeaderToken => Some(Auth::HeaderToken { header: header?, secrets: secrets? }),
        Kind::Basic => Some(Auth::Basic { user: user?, secrets: secrets? }),
        Kind::Hmac => Some(Auth::Hmac { header: header?, prefix, algorithm, encoding, secrets: secrets? }),
        Kind::Varda => Some(Auth::Varda { secrets: secrets?, tolerance }),
        Kind::StandardWebhooks => Some(Auth::StandardWebhooks { secrets: secrets?, tolerance }),
    }
}

/// A key that means nothing is a mistake: a secret beside `auth = "none"` would protect nothing.
fn say_unused(s: &Section<'_>, kind: Kind) {
    let settings =
        ["auth_header", "auth_user", "auth_prefix", "auth_algorithm", "auth_encoding", "auth_tolerance"];
    for key in settings.iter().chain(&FIRST).chain(&SECOND_SECRET) {
        if s.has(key) && !kind.uses(key) {
            let expected = format!("not to be set: auth = \"{}\" makes no use of it", kind.name());
            s.reader.problem(format!("{}.{key}", s.path), "…", expected);
        }
    }
}

fn secrets(s: &mut Section<'_>, kind: Option<Kind>) -> Option<Secrets> {
    let (first, second) = (s.one_of(&FIRST), s.one_of(&SECOND_SECRET));
    let kind = kind.filter(|kind| *kind != Kind::None)?;
    let first_text = match &first {
        Some(given) => secret(s, given, kind),
        None => {
            s.missing(
                "secret_env",
                &format!("one of {}: auth = \"{}\" needs it", FIRST.join(", "), kind.name()),
            );
            None
        }
    };
    let second_text = match &second {
        // The source is not to run with one secret where two were meant.
        Some(given) => Some(secret(s, given, kind)?),
        None => None,
    };
    build(kind, &first_text?, second_text.as_deref())
}

fn build(kind: Kind, first: &str, second: Option<&str>) -> Option<Secrets> {
    match kind {
        Kind::StandardWebhooks => Secrets::standard_webhooks(first, second).ok(),
        Kind::None | Kind::HeaderToken | Kind::Basic | Kind::Hmac | Kind::Varda => {
            Secrets::new(first, second).ok()
        }
    }
}

/// The secret that `given` leads to, which must be one that `kind` can use.
fn secret(s: &Section<'_>, given: &Given, kind: Kind) -> Option<String> {
    let text = if given.key.ends_with("_env") {
        let name = given.text().unwrap_or_default();
        s.reader.variable_is_named(name);
        let value = s.reader.env.get(name);
        if value.is_none() {
            s.wrong(given, "the name of an environment variable that is set");
        }
        value.cloned()?
    } else if given.key.ends_with("_file") {
        file(s, given)?
    } else {
        given.text().unwrap_or_default().to_owned()
    };
    if build(kind, &text, None).is_none() {
        let expected = match kind {
            Kind::StandardWebhooks => "a secret that is not empty: base64, mostly behind whsec_",
            Kind::None | Kind::HeaderToken | Kind::Basic | Kind::Hmac | Kind::Varda => {
                "a secret that is not empty"
            }
        };
        s.reader.problem(&given.label, "[redacted]", expected);
        return None;
    }
    Some(text)
}

/// What stands in the file that `given` names, without the line break that editors put at the end.
pub(super) fn file(s: &Section<'_>, given: &Given) -> Option<String> {
    let path = given.text().unwrap_or_default();
    match std::fs::read_to_string(path) {
        Ok(text) => Some(text.trim_end_matches(['\r', '\n']).to_owned()),
        Err(error) => {
            s.wrong(given, format!("a file that can be read: {error}"));
            None
        }
    }
}
