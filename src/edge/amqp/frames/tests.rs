//! lapin's own parser is the judge of what passes, and of what comes out repaired.

use amq_protocol::{
    frame::{AMQPContentHeader, AMQPFrame, WriteContext, gen_frame, parse_frame},
    protocol::{AMQPClass, BasicProperties, basic, connection},
    types::{AMQPValue, DecimalValue, FieldTable},
};
use proptest::{collection::vec, prelude::*};

use super::{
    filter::Filter,
    repair::UNREADABLE,
    walk::{DEPTH_MAX, Unreadable, check},
};

const FRAME_MAX: u32 = 1 << 16;

fn any_value() -> impl Strategy<Value = AMQPValue> {
    let scalar = prop_oneof![
        any::<bool>().prop_map(AMQPValue::Boolean),
        any::<i8>().prop_map(AMQPValue::ShortShortInt),
        any::<u8>().prop_map(AMQPValue::ShortShortUInt),
        any::<i16>().prop_map(AMQPValue::ShortInt),
        any::<u16>().prop_map(AMQPValue::ShortUInt),
        any::<i32>().prop_map(AMQPValue::LongInt),
        any::<u32>().prop_map(AMQPValue::LongUInt),
        any::<i64>().prop_map(AMQPValue::LongLongInt),
        any::<u64>().prop_map(AMQPValue::Timestamp),
        Just(AMQPValue::Float(0.5)),
        Just(AMQPValue::Double(0.25)),
        any::<(u8, u32)>().prop_map(|(scale, value)| AMQPValue::DecimalValue(DecimalValue { scale, value })),
        vec(any::<u8>(), 0..20).prop_map(|bytes| AMQPValue::LongString(bytes.into())),
        vec(any::<u8>(), 0..20).prop_map(|bytes| AMQPValue::ByteArray(bytes.into())),
        Just(AMQPValue::Void),
    ];
    scalar.prop_recursive(4, 16, 4, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(|values| AMQPValue::FieldArray(values.into())),
            table(inner).prop_map(AMQPValue::FieldTable),
        ]
    })
}

fn table(values: impl Strategy<Value = AMQPValue>) -> impl Strategy<Value = FieldTable> {
    let name = prop_oneof!["[a-zé]{0,8}", "hookswitch(-[a-z]{1,3})?", "http-[a-z]{1,3}", "x-[a-z]{1,3}"];
    vec((name, values), 0..6).prop_map(|entries| {
        let mut table = FieldTable::default();
        for (name, value) in entries {
            table.insert(name.as_str().into(), value);
        }
        table
    })
}

fn any_properties() -> impl Strategy<Value = BasicProperties> {
    let text = proptest::option::of("[ -é]{0,12}");
    (table(any_value()), [(); 3].map(|()| text.clone()), any::<Option<u8>>(), any::<Option<u64>>()).prop_map(
        |(headers, [content_type, message_id, cluster_id], mode, time)| {
            let mut properties = BasicProperties::default().with_headers(headers);
            if let Some(text) = content_type {
                properties = properties.with_content_type(text.as_str().into());
            }
            if let Some(text) = message_id {
                properties = properties.with_message_id(text.as_str().into());
            }
            if let Some(text) = cluster_id {
                properties = properties.with_cluster_id(text.as_str().into());
            }
            if let Some(mode) = mode {
                properties = properties.with_delivery_mode(mode).with_priority(mode);
            }
            if let Some(time) = time {
                properties = properties.with_timestamp(time);
            }
            properties
        },
    )
}

fn bytes_of(frame: &AMQPFrame) -> Vec<u8> {
    gen_frame(frame)(WriteContext::from(Vec::new())).unwrap().into_inner().0
}

fn header(properties: BasicProperties) -> AMQPFrame {
    AMQPFrame::Header(3, AMQPContentHeader { class_id: 60, body_size: 5, properties })
}

fn deliver(routing_key: &str) -> AMQPFrame {
    let deliver = basic::Deliver {
        consumer_tag: "c".into(),
        delivery_tag: 7,
        redelivered: true,
        exchange: "e".into(),
        routing_key: routing_key.into(),
    };
    AMQPFrame::Method(3, AMQPClass::Basic(basic::AMQPMethod::Deliver(deliver)))
}

/// Makes a frame of a content header out of its payload.
fn framed(payload: &[u8]) -> Vec<u8> {
    let size = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&[2, 0, 3][..], &size, payload, &[0xCE]].concat()
}

/// Makes a payload with one header out of its name and its value with the type.
fn one_header(name: &[u8], value: &[u8]) -> Vec<u8> {
    let entry = [&[u8::try_from(name.len()).unwrap()], name, value].concat();
    let length = u32::try_from(entry.len()).unwrap().to_be_bytes();
    [&[0, 60, 0, 0, 0, 0, 0, 0, 0, 0, 0, 5, 0x20, 0][..], &length, &entry].concat()
}

/// Nests arrays or tables.
fn nested(kind: u8, depth: usize) -> Vec<u8> {
    let mut value = vec![b'V'];
    for _ in 0..depth {
        let name: &[u8] = if kind == b'F' { b"\x01n" } else { b"" };
        let length = u32::try_from(name.len() + value.len()).unwrap().to_be_bytes();
        value = [&[kind], &length[..], name, &value].concat();
    }
    value
}

/// Sends bytes through a filter in parts of these sizes, and returns what comes out.
fn filtered(bytes: &[u8], parts: &[usize]) -> Vec<u8> {
    let (mut filter, mut out, mut rest) = (Filter::new(FRAME_MAX), Vec::new(), bytes);
    for part in parts.iter().copied().chain(std::iter::repeat(usize::MAX)) {
        let room = filter.room();
        let count = part.max(1).min(rest.len()).min(room.len());
        room[..count].copy_from_slice(&rest[..count]);
        rest = &rest[count..];
        filter.received(count);
        // lapin may have room for less than is ready.
        while !filter.ready().is_empty() {
            let taken = filter.ready().len().min(part.max(1));
            out.extend(&filter.ready()[..taken]);
            filter.given(taken);
        }
        if rest.is_empty() {
            return out;
        }
    }
    out
}

/// Parses all frames as lapin does.
fn parsed(mut bytes: &[u8]) -> Vec<AMQPFrame> {
    let mut frames = Vec::new();
    while !bytes.is_empty() {
        let (rest, frame) = parse_frame(bytes).expect("lapin can parse it");
        assert!(bytes.len() - rest.len() <= FRAME_MAX as usize);
        frames.push(frame);
        bytes = rest;
    }
    frames
}

/// Returns what comes out of one content header: its properties and the named cause.
fn repaired(payload: &[u8]) -> (BasicProperties, String) {
    let frames = parsed(&filtered(&framed(payload), &[]));
    let [AMQPFrame::Header(3, header)] = &frames[..] else { panic!("{frames:?}") };
    assert_eq!((header.class_id, header.body_size), (60, 5));
    let headers = header.properties.headers().as_ref().unwrap();
    let AMQPValue::LongString(cause) = &headers.inner()[UNREADABLE] else { panic!("{headers:?}") };
    (header.properties.clone(), cause.to_string())
}

fn text(headers: &FieldTable, name: &str) -> String {
    let Some(AMQPValue::LongString(text)) = headers.inner().get(name) else { panic!("{headers:?}") };
    text.to_string()
}

proptest! {
    #[test]
    fn what_lapin_can_parse_passes_unchanged_however_it_arrives(
        all in vec(any_properties(), 1..5),
        body in vec(any::<u8>(), 0..300),
        parts in vec(0_usize..100, 0..40),
    ) {
        let frames = all.into_iter().flat_map(|properties| {
            [deliver("raw.é"), header(properties), AMQPFrame::Body(3, body.clone()), AMQPFrame::Heartbeat]
        });
        let bytes: Vec<u8> = frames.flat_map(|frame| bytes_of(&frame)).collect();
        prop_assert_eq!(filtered(&bytes, &parts), bytes);
    }

    #[test]
    fn exactly_what_lapin_cannot_parse_is_repaired(
        properties in any_properties(),
        changes in vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
        cut in 0_usize..3,
        parts in vec(1_usize..100, 0..20),
    ) {
        let mut frame = bytes_of(&header(properties));
        let end = frame.len() - 1;
        let mut payload = frame.drain(7..end).collect::<Vec<_>>();
        for (place, byte) in changes {
            // Not class and size: RabbitMQ makes them.
            let place = 12 + place.index(payload.len() - 12);
            payload[place] = byte;
        }
        payload.truncate(payload.len() - cut);
        let before = framed(&payload);
        let after = filtered(&before, &parts);
        match parse_frame(&before[..]) {
            Ok(_) => prop_assert_eq!(after, before),
            Err(_) => {
                prop_assert!(check(&payload).is_err());
                prop_assert_eq!(parsed(&after).len(), 1);
                repaired(&payload);
            }
        }
    }

    #[test]
    fn no_bytes_at_all_stop_the_filter(bytes in vec(any::<u8>(), 0..400), kind in 0_u8..10) {
        filtered(&[&[kind, 0, 1], &bytes[..]].concat(), &[3, 50]);
        filtered(&framed(&bytes), &[]);
    }
}

#[test]
fn nesting_is_bounded_where_lapin_still_has_stack() {
    for kind in [b'A', b'F'] {
        let deepest = framed(&one_header(b"h", &nested(kind, DEPTH_MAX)));
        assert_eq!(filtered(&deepest, &[]), deepest);
        // lapin's thread has the stack of any thread of std.
        std::thread::spawn(move || assert_eq!(parsed(&deepest).len(), 1)).join().unwrap();
        for depth in [DEPTH_MAX + 1, 1_500, 10_000] {
            let payload = one_header(b"h", &nested(kind, depth));
            let too_large = payload.len() > 57_344;
            assert!(too_large || check(&payload) == Err(Unreadable::TooDeep), "{depth}");
            let (_, cause) = repaired(&payload);
            assert!(cause.contains(if too_large { "frame_max" } else { "32 tables or arrays" }), "{cause}");
        }
    }
}

#[test]
fn what_the_program_reads_is_kept_where_it_can_be_read() {
    let long = |text: &[u8]| {
        let length = u32::try_from(text.len()).unwrap().to_be_bytes();
        [&b"S"[..], &length, text].concat()
    };
    let entries = [
        (&b"junk"[..], long(&[b'j'; 70_000])),
        (b"http-deep", nested(b'A', 100)),
        (b"http-b\xff", long(b"not kept")),
        (b"http-a", long(b"1")),
        (b"http-large", long(&[b'l'; 40_000])),
        (b"other", long(b"not read by the program")),
        (b"x-stream-offset", [&b"l"[..], &9_i64.to_be_bytes()].concat()),
        (b"hookswitch-source", long(b"salpre")),
    ];
    let entries: Vec<u8> = entries
        .iter()
        .flat_map(|(name, value)| [&[u8::try_from(name.len()).unwrap()], *name, value].concat())
        .collect();
    let length = u32::try_from(entries.len()).unwrap().to_be_bytes();
    let payload =
        [&[0, 60, 0, 0, 0, 0, 0, 0, 0, 0, 0, 5, 0xA0, 0x80][..], b"\x02\xc3(", &length, &entries, b"\x02id"];
    let (properties, cause) = repaired(&payload.concat());
    assert!(cause.starts_with("its properties and headers have 110"), "{cause}");
    assert_eq!((properties.content_type(), properties.message_id()), (&None, &Some("id".into())));
    let headers = properties.headers().as_ref().unwrap();
    let names: Vec<_> = headers.inner().keys().map(|name| name.as_str()).collect();
    assert_eq!(names, ["hookswitch-source", "http-a", UNREADABLE, "x-stream-offset"]);
    assert_eq!((text(headers, "hookswitch-source"), text(headers, "http-a")), ("salpre".into(), "1".into()));
}

#[test]
fn of_headers_of_many_megabytes_the_rest_is_dropped_and_what_follows_passes() {
    let payload = [&one_header(b"h", b"V")[..], &vec![0; 5 << 20]].concat();
    let after = bytes_of(&AMQPFrame::Body(3, b"hello".to_vec()));
    let frames = parsed(&filtered(&[framed(&payload), after].concat(), &[7, 1 << 20, 100]));
    assert!(matches!(&frames[..], [AMQPFrame::Header(..), AMQPFrame::Body(3, _)]), "{frames:?}");
}

#[test]
fn the_broker_may_negotiate_smaller_frames() {
    let tune = connection::Tune { channel_max: 100, frame_max: 8_192, heartbeat: 0 };
    let tune = bytes_of(&AMQPFrame::Method(0, AMQPClass::Connection(connection::AMQPMethod::Tune(tune))));
    let length = 8_000_u32.to_be_bytes();
    let payload = one_header(b"h", &[&b"S"[..], &length, &[b'x'; 8_000]].concat());
    assert_eq!(filtered(&framed(&payload), &[]), framed(&payload));
    let frames = parsed(&filtered(&[tune, framed(&payload)].concat(), &[]));
    let AMQPFrame::Header(_, header) = &frames[1] else { panic!("{frames:?}") };
    assert!(text(header.properties.headers().as_ref().unwrap(), UNREADABLE).contains("room for 7168"));
}

#[test]
fn names_in_methods_are_made_readable() {
    let get = basic::GetOk {
        delivery_tag: 1,
        redelivered: false,
        exchange: "????".into(),
        routing_key: "????".into(),
        message_count: 0xFFFF,
    };
    let returned = basic::Return {
        reply_code: 312,
        reply_text: "????".into(),
        exchange: "????".into(),
        routing_key: "????".into(),
    };
    for expected in [
        deliver("????"),
        AMQPFrame::Method(3, AMQPClass::Basic(basic::AMQPMethod::GetOk(get))),
        AMQPFrame::Method(3, AMQPClass::Basic(basic::AMQPMethod::Return(returned))),
    ] {
        let expected = bytes_of(&expected);
        let hostile = expected.iter().map(|byte| if *byte == b'?' { 0xFF } else { *byte });
        assert_eq!(filtered(&hostile.collect::<Vec<_>>(), &[]), expected);
    }
}
