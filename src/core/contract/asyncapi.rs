//! The AsyncAPI document: where the events are published, under which routing keys, and their schemas.

use super::{
    attributes::attributes,
    family::Family,
    shapes::{Shapes, Unknown, required},
};
use crate::core::{
    events::{
        cloudevent::{CONTENT_TYPE, TEST_PREFIX},
        event::EventType,
    },
    json::Tree,
};

const ABOUT: &str = "Telephony and CRM webhooks as normalized events. Each event is a CloudEvent 1.0 in \
    JSON, structured mode, published to a topic exchange. Bind a queue of your own to it. Events may come \
    more than once, with the same id, and in any order. Readers must tolerate new fields.";

/// Returns the AsyncAPI document of the events in `exchange`, for a version of hookswitch.
pub fn asyncapi(exchange: &str, version: &str) -> Tree {
    let each = |entry: fn(EventType) -> (String, Tree)| {
        Tree::Object(EventType::ALL.iter().map(|kind| entry(*kind)).collect())
    };
    let channels = EventType::ALL.iter().map(|kind| channel(*kind, exchange)).collect();
    Tree::object([
        ("asyncapi", "3.1.0".into()),
        (
            "info",
            Tree::object([
                ("title", "hookswitch events".into()),
                ("version", version.into()),
                ("description", ABOUT.into()),
            ]),
        ),
        ("defaultContentType", CONTENT_TYPE.into()),
        ("channels", Tree::Object(channels)),
        ("operations", each(operation)),
        (
            "components",
            Tree::object([
                ("messages", each(message)),
                ("parameters", parameters()),
                ("schemas", Tree::Object(schemas())),
            ]),
        ),
    ])
}

/// Returns the channel of a type: its routing keys.
fn channel(kind: EventType, exchange: &str) -> (String, Tree) {
    let kind = kind.as_str();
    let exchange = Tree::object([
        ("name", exchange.into()),
        ("type", "topic".into()),
        ("durable", true.into()),
        ("autoDelete", false.into()),
    ]);
    let binding = Tree::object([("is", "routingKey".into()), ("exchange", exchange)]);
    let channel = Tree::object([
        ("address", format!("{{test}}{kind}.{{source}}").into()),
        (
            "parameters",
            Tree::object(["test", "source"].map(|name| (name, reference("#/components/parameters/", name)))),
        ),
        ("messages", Tree::object([(kind, reference("#/components/messages/", kind))])),
        ("bindings", Tree::object([("amqp", binding)])),
    ]);
    (kind.to_owned(), channel)
}

/// Returns the parameters of routing keys.
fn parameters() -> Tree {
    let test = about(
        "`test.` before the keys of events that the provider marks as a test, if `events.test_routing` is \
         \"apart\". Otherwise nothing.",
    );
    Tree::object([
        ("test", test.with("enum", ["", TEST_PREFIX].into_iter().collect::<Tree>()).with("default", "")),
        ("source", about("The name of the source, as configured.")),
    ])
}

/// Returns the operation of a type: hookswitch sends its events.
fn operation(kind: EventType) -> (String, Tree) {
    let kind = kind.as_str();
    let message = reference(&format!("#/channels/{kind}/messages/"), kind);
    let operation = Tree::object([
        ("action", "send".into()),
        ("channel", reference("#/channels/", kind)),
        ("messages", Tree::List(vec![message])),
    ]);
    (format!("send.{kind}"), operation)
}

/// Returns the message of a type: its attributes and its data.
fn message(kind: EventType) -> (String, Tree) {
    let of_type = Tree::object([
        ("type", "object".into()),
        (
            "properties",
            Tree::object([
                ("type", Tree::object([("const", kind.as_str().into())])),
                ("data", reference("#/components/schemas/data.", Family::of_type(kind).name)),
            ]),
        ),
    ]);
    let event = reference("#/components/schemas/", "Event");
    let message = Tree::object([
        ("name", kind.as_str().into()),
        ("contentType", CONTENT_TYPE.into()),
        ("payload", Tree::object([("allOf", Tree::List(vec![event, of_type]))])),
    ]);
    (kind.as_str().to_owned(), message)
}

/// Returns the schemas of the attributes, of the data of every family, and of their parts.
fn schemas() -> Vec<(String, Tree)> {
    let mut shapes = Shapes::new("#/components/schemas/", Unknown::Allowed);
    let event = event(&mut shapes);
    let data: Vec<_> = Family::ALL
        .iter()
        .map(|family| {
            let record = family.data();
            (format!("data.{}", family.name), shapes.record(about(record.about), &record))
        })
        .collect();
    let mut all = shapes.into_definitions();
    all.push(("Event".to_owned(), event));
    all.extend(data);
    all.sort_by(|(a, _), (b, _)| a.cmp(b));
    all
}

/// Returns the schema of the attributes that every event has; its type and data depend on the message.
fn event(shapes: &mut Shapes) -> Tree {
    let attributes = attributes(EventType::SourcePing);
    let fields = attributes.fields.iter().map(|field| match field.name {
        "type" => (field.name.to_owned(), about(field.about).with("type", "string")),
        name => (name.to_owned(), shapes.field(field)),
    });
    let fields = fields.collect();
    shapes.object(about(attributes.about), fields, [required(&attributes), vec!["data"]].concat())
}

fn about(text: &str) -> Tree {
    Tree::object([("description", text.into())])
}

fn reference(prefix: &str, name: &str) -> Tree {
    Tree::object([("$ref", [prefix, name].concat().into())])
}
