//! Any bytes as a bundle: they are refused, or what was read can be written and read again.
#![no_main]

use hookswitch::core::delivery::bundle::{self, BundleHead, InvalidBundle};
use libfuzzer_sys::fuzz_target;

/// The most webhooks that a head is made to say; more would take no other path.
const WEBHOOKS_MAX: usize = 4;

/// The line breaks around each body.
const BREAKS: usize = 2;

fuzz_target!(|bytes: &[u8]| {
    let read = |webhooks| bundle::read(BundleHead::of(webhooks), bytes);
    let mut fitting = (0..=WEBHOOKS_MAX).filter_map(|said| read(said).ok().map(|webhooks| (said, webhooks)));
    let Some((said, webhooks)) = fitting.next() else { return };
    assert!(said > 0 && webhooks.len() == said && fitting.next().is_none(), "its head must say the number");

    let kept: usize = webhooks.iter().map(|queued| queued.webhook.body.len() + BREAKS).sum();
    assert!(kept < bytes.len(), "bodies have {kept} bytes, of {}", bytes.len());

    // A line may have been written by another program, so it may be written differently. What it says stays.
    let head = BundleHead::of(said);
    assert_eq!(bundle::read(head, &bundle::write(&webhooks)), Ok(webhooks));

    let later = BundleHead { bundle: bundle::VERSION + 1, ..head };
    assert_eq!(bundle::read(later, bytes), Err(InvalidBundle::Version(later.bundle)));
    assert_eq!(BundleHead::from_json(head.to_json().as_bytes()), Some(head));
});
