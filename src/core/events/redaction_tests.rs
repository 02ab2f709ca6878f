use super::*;
use crate::core::events::{
    data::{CallData, ContactData, Data, Party, Phone, Segment, TranscriptData},
    event::EventType,
};

const KEY: &str = "0123456789abcdef0123456789abcdef";

fn all(treatment: Treatment, key: Option<&'static str>) -> Redaction<'static> {
    let profile = Profile { numbers: treatment, emails: treatment, names: treatment, keeps_texts: false };
    Redaction { profile, key }
}

/// Returns the caller of the copy of a call from `raw`, with its E.164 form if `e164` is given.
fn caller(raw: &str, e164: Option<&str>, redaction: Redaction<'_>) -> Option<String> {
    let mut from = Party::new(Some(raw.to_owned().into()), None).expect("a party");
    from.e164 = e164.map(|e164| e164.to_owned().into());
    let call = CallData { from: Some(from), ..CallData::default() };
    let event = Event::new(EventType::CallEnded, "call/1".into(), "x", Data::Call(Box::new(call)));
    let Data::Call(call) = redaction.copy(&event, Uuid::nil()).event.data else { panic!("a call") };
    let from = call.from?;
    assert_eq!(from.e164, None, "what is no number is not under e164");
    from.raw.map(Into::into)
}

#[test]
fn a_number_has_one_token_however_it_is_written() {
    let hash = all(Treatment::Hash, Some(KEY));
    // printf 'number\0+15550100123' | openssl dgst -sha256 -hmac 0123456789abcdef0123456789abcdef
    let token = Some("hmac:b2c547a8122bab6cadc0f0c889b6fab6".to_owned());
    assert_eq!(caller("+15550100123", Some("+15550100123"), hash), token);
    assert_eq!(caller("(555) 010-0123", Some("+15550100123"), hash), token);
    assert_ne!(caller("(555) 010-0123", None, hash), token, "its country is not known");
    assert_ne!(caller("+15550100123", None, all(Treatment::Hash, Some("another"))), token);
}

#[test]
fn a_mask_leaves_two_digits_of_a_number() {
    let mask = all(Treatment::Mask, None);
    for (raw, masked) in [
        ("+15550100123", "***23"),
        ("030 / 1234-567", "***67"),
        ("1042", "***"),
        ("sip:+15550100123@example.com", "***"),
        ("anonymous", "***"),
        ("", ""),
    ] {
        assert_eq!(caller(raw, None, mask).as_deref(), Some(masked), "{raw}");
    }
    assert_eq!(caller("+15550100123", None, all(Treatment::Drop, None)), None);
}

#[test]
fn the_same_text_is_another_value_as_a_name_and_an_address_has_no_case() {
    let of = |holds, text| token(KEY, holds, text);
    assert_ne!(of(Holds::Name, "1042"), of(Holds::Number, "1042"));
    assert_eq!(of(Holds::Email, " Ada@Example.com"), of(Holds::Email, "ada@example.com"));
}

fn contact(id: &str) -> Event<'static> {
    let contact = ContactData {
        contact_id: Some(id.to_owned().into()),
        company: Some("+1 555 010 0123".into()),
        phones: Some(vec![Phone::new("+15550100123".into())]),
        emails: Some(Vec::new()),
        ..ContactData::default()
    };
    Event::new(EventType::ContactUpdated, format!("contact/{id}"), "x", Data::Contact(Box::new(contact)))
}

#[test]
fn an_id_that_is_a_number_or_an_address_does_not_stay() {
    let subject =
        |id: &str, redaction: Redaction<'_>| redaction.copy(&contact(id), Uuid::nil()).event.subject;
    for id in ["+15550100123", "15550100123", "ada@example.com"] {
        assert_eq!(subject(id, all(Treatment::Mask, None)), "contact/***");
        let token = subject(id, all(Treatment::Hash, Some(KEY)));
        assert!(token.starts_with("contact/hmac:"), "{token}");
        // With a key, events about one contact still have that in common.
        assert_eq!(subject(id, all(Treatment::Mask, Some(KEY))), token);
        assert_eq!(subject(id, all(Treatment::Keep, None)), format!("contact/{id}"));
    }
    assert_eq!(subject("con_5M", all(Treatment::Mask, None)), "contact/con_5M");
    let ping = Event::new(EventType::SourcePing, "webhook/body:1f".into(), "x", Data::Empty {});
    let copy = all(Treatment::Drop, None).copy(&ping, Uuid::nil()).event;
    assert_eq!(copy.subject, format!("webhook/{}", Uuid::nil()));
}

#[test]
fn a_list_that_was_empty_stays_and_one_of_which_nothing_is_left_goes() {
    let copy = all(Treatment::Drop, None).copy(&contact("1"), Uuid::nil()).event;
    let Data::Contact(contact) = copy.data else { panic!("a contact") };
    assert_eq!((contact.emails, contact.phones.map(|phones| phones.len())), (Some(Vec::new()), None));
    assert_eq!(contact.company, None);
}

#[test]
fn kept_names_do_not_keep_numbers() {
    let profile = Profile { names: Treatment::Keep, ..all(Treatment::Mask, None).profile };
    let Data::Contact(contact) =
        (Redaction { profile, key: None }).copy(&contact("1"), Uuid::nil()).event.data
    else {
        panic!("a contact")
    };
    assert_eq!(contact.company.as_deref(), Some(MASK));
}

#[test]
fn what_is_a_number_and_an_address_stays_only_if_both_are_kept() {
    use Treatment::{Drop, Keep, Mask};
    let of = |numbers, emails| Redaction {
        profile: Profile { numbers, emails, names: Keep, keeps_texts: false },
        key: None,
    };
    let (both, masked) = ("15550100123@s.whatsapp.net", Treated::Replaced(MASK.to_owned()));
    for holds in [Holds::Id, Holds::Name] {
        for (numbers, emails) in [(Mask, Keep), (Keep, Mask), (Drop, Keep), (Keep, Drop)] {
            assert_eq!(of(numbers, emails).treat(holds, both), masked, "{holds:?}");
        }
        assert_eq!(of(Keep, Keep).treat(holds, both), Treated::Kept);
        assert_eq!(of(Mask, Keep).treat(holds, "ada@example.com"), Treated::Kept);
        assert_eq!(of(Keep, Mask).treat(holds, "+15550100123"), Treated::Kept);
    }
    assert_eq!(of(Mask, Keep).copy(&contact(both), Uuid::nil()).event.subject, "contact/***");
    assert_eq!(of(Keep, Drop).treat(Holds::Number, "ada@example.com"), Treated::Dropped);
    for uri in ["sip:1042@pbx.example.com", "SIPS:1042@pbx.example.com", "tel:+15550100123"] {
        assert_eq!(of(Keep, Drop).treat(Holds::Number, uri), Treated::Kept);
    }
    assert_eq!(of(Drop, Keep).treat(Holds::Email, both), Treated::Dropped);
    assert_eq!(of(Drop, Keep).treat(Holds::Email, "ada@example.com"), Treated::Kept);
}

#[test]
fn a_transcript_goes_with_its_lines_unless_texts_are_kept() {
    let segment = Segment::new("hello".into(), Default::default(), Default::default());
    let transcript = TranscriptData { transcript: Some(vec![segment]), ..TranscriptData::default() };
    let data = Data::Transcript(Box::new(transcript));
    let event = Event::new(EventType::TranscriptCompleted, "call/1".into(), "x", data);
    let lines = |keeps_texts| {
        let profile = Profile { keeps_texts, ..all(Treatment::Drop, None).profile };
        let Data::Transcript(data) = (Redaction { profile, key: None }).copy(&event, Uuid::nil()).event.data
        else {
            panic!("a transcript")
        };
        data.transcript.map(|lines| lines.len())
    };
    assert_eq!((lines(true), lines(false)), (Some(1), None));
}

#[test]
fn a_profile_says_what_is_left() {
    let profile = |treatment| all(treatment, None).profile;
    assert_eq!(profile(Treatment::Mask).to_string(), "numbers=mask emails=mask names=mask texts=drop");
    assert!(profile(Treatment::Hash).hashes() && !profile(Treatment::Drop).hashes());
}

#[test]
fn a_copy_is_internal_only_if_nothing_in_it_stands_for_a_person() {
    use DataClassification::{Confidential, Internal};
    let of = |id: &str, treatment, key, keeps_texts| {
        let profile = Profile { keeps_texts, ..all(treatment, key).profile };
        Redaction { profile, key }.copy(&contact(id), Uuid::nil()).class
    };
    assert_eq!(of("con_5M", Treatment::Drop, Some(KEY), false), Internal);
    assert_eq!(of("con_5M", Treatment::Mask, Some(KEY), true), Confidential);
    assert_eq!(of("con_5M", Treatment::Hash, Some(KEY), false), Confidential);
    assert_eq!(of("con_5M", Treatment::Mask, None, false), Confidential, "its id can be tried");
    assert_eq!(of("15550100123", Treatment::Drop, Some(KEY), false), Confidential, "it has a token");
}

#[test]
fn the_id_of_copies_cannot_be_computed_without_the_key() {
    let plain = Uuid::from_u128(1);
    let id = |redaction: Redaction<'_>| redaction.copy(&contact("1"), plain).id;
    let keyed = id(all(Treatment::Mask, Some(KEY)));
    // printf 'event\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\1' |
    //     openssl dgst -sha256 -hmac 0123456789abcdef0123456789abcdef
    assert_eq!(keyed.to_string(), "cdc46e40-033b-8c82-b866-6bd9164e2621");
    assert_eq!(keyed, id(all(Treatment::Hash, Some(KEY))), "all copies have the same");
    assert_ne!(keyed, id(all(Treatment::Mask, Some("another"))));
    assert_eq!(id(all(Treatment::Mask, None)), plain);
}

#[test]
fn only_a_trace_of_the_right_form_is_passed_on() {
    let of = |value: &str| trace_parent(&Headers::from_iter([("traceparent", value)])).is_some();
    assert!(of("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"));
    for wrong in [
        "",
        "+15550100123",
        "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331",
        "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-15550100123",
        "00-0AF7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        "00-0af7651916cd43dd8448eb211c80319-b7ad6b7169203331-011",
    ] {
        assert!(!of(wrong), "{wrong}");
    }
}

#[test]
fn a_fingerprint_tells_keys_apart() {
    assert_eq!(fingerprint(KEY).len(), 8);
    assert_ne!(fingerprint(KEY), fingerprint("another"));
}
