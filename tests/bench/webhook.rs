//! The webhook of the measurements: a telephony resource of about 1.2 KB.

use hmac::{Hmac, KeyInit, Mac};
use hookswitch::core::{
    delivery::queued::{History, QueuedWebhook},
    ledger::{Entry, Run},
    providers::Provider,
    shard::Shard,
    webhook::{DeliveryId, Headers, Webhook},
};
use sha2::Sha256;

/// Size of the body by default, in bytes.
pub const TYPICAL: usize = 1_195;

/// Name of the measured source.
pub const SOURCE: &str = "bench";

/// Key of [`signature`].
const KEY: &str = "key of the measurements";

const ID: &str = "0000000000000000";
const BODY: &str = r#"{"event":"telephonyCall::updated","data":{"object":"resource","model":"telephonyCall","id":"call_0000000000000000","fields":{"direction":"inbound","status":"completed","startedAt":"2026-03-06T09:05:04.608Z","endedAt":"2026-03-06T09:15:04.608Z","answeredAt":"2026-03-06T09:05:11.120Z","duration":593,"recordingUrl":"https://recordings.example.com/v1/accounts/8f14e45f/calls/2026/03/06/9b2d5c1e-6f0a-4c8e-8f57-7d1d4f1c2a10.mp3","users":[{"object":"resourceRef","model":"user","id":"usr_4c2f9a1be07d"},{"object":"resourceRef","model":"user","id":"usr_77aa0913cd2e"}],"contacts":[{"object":"resourceRef","model":"contact","id":"cnt_1f0e6d5c4b3a"}],"externalNumber":"+18005559876","internalNumber":"+18005551234"},"createdAt":"2026-03-06T09:05:04.608Z","updatedAt":"2026-03-06T09:15:04.608Z","rawResource":{"provider":"example-pbx","queue":"sales-emea","tags":["vip","callback","q1-campaign"],"hangup":{"by":"customer","cause":"NORMAL_CLEARING","q850":16},"media":{"codec":"opus","mos":4.21,"jitter_ms":11.4,"loss":0.002},"route":["ivr:main","queue:sales-emea","agent:usr_4c2f9a1be07d"],"note":"Kitchen remodel, scheduled for April; customer asked for a call back."},"warnings":[]}}"#;

/// The same with almost no fields.
const SMALL: &str = r#"{"event":"telephonyCall::updated","data":{"object":"resource","model":"telephonyCall","id":"call_0000000000000000","fields":{"direction":"inbound","status":"completed","startedAt":"2026-03-06T09:05:04.608Z","duration":593,"externalNumber":"+18005559876"},"updatedAt":"2026-03-06T09:15:04.608Z","warnings":[]}}"#;

/// Returns the body of webhook `n`, of about this many bytes. Bytes beyond the typical size are in a field
/// that is passed on unchanged.
pub fn body(n: u64, bytes: usize) -> Vec<u8> {
    let body = if bytes < TYPICAL { SMALL } else { BODY };
    let body = body.replacen(ID, &format!("{n:016x}"), 1);
    if bytes <= body.len() {
        return body.into_bytes();
    }
    let padding = "x".repeat(bytes - body.len());
    body.replacen("Kitchen", &format!("{padding}Kitchen"), 1).into_bytes()
}

/// Returns the configuration of the measured source, with a check of [`signature`].
pub fn signed_source() -> String {
    format!(
        "[sources.{SOURCE}]\nprovider = \"morph\"\nauth = \"hmac\"\nauth_header = \"x-signature\"\n\
         auth_prefix = \"sha256=\"\nauth_algorithm = \"sha256\"\nauth_encoding = \"hex\"\n\
         secret = \"{KEY}\"\n"
    )
}

/// Returns the header line that authenticates a body.
pub fn signature(body: &[u8]) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(KEY.as_bytes()).unwrap();
    mac.update(body);
    format!("x-signature: sha256={}\r\n", hex::encode(mac.finalize().into_bytes()))
}

/// Returns the number of the webhook that an event belongs to.
pub fn number(event: &[u8]) -> Option<u64> {
    const PREFIX: &[u8] = b"call_";
    // Names of fields begin like this too.
    event.windows(PREFIX.len() + ID.len()).find_map(|part| {
        let digits = std::str::from_utf8(part.strip_prefix(PREFIX)?).ok()?;
        u64::from_str_radix(digits, 16).ok()
    })
}

/// Returns webhook `n` as a receiver publishes it to a raw queue.
pub fn queued(source: &str, shard: Shard, run: Run, n: u64, bytes: usize) -> QueuedWebhook {
    let webhook = Webhook {
        delivery_id: DeliveryId::new(uuid::Uuid::now_v7()),
        source: source.parse().unwrap(),
        provider: Provider::Morph,
        received_at: jiff::Timestamp::now(),
        headers: Headers::default(),
        body: body(n, bytes).into(),
    };
    let entry = Some(Entry { run, number: n });
    QueuedWebhook {
        shard,
        webhook,
        content_type: Some("application/json".into()),
        entry,
        trace: None,
        history: History::default(),
    }
}
