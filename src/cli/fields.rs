//! Where the fields of a webhook's events come from: for `normalize --fields` and `explain`.

use std::collections::HashMap;

use console::Style;
use serde_json::{Value, json};

use super::{
    output::{Out, counted},
    table::{prose, table, width_of_output},
};
use crate::{
    app::worker::read::{Normalize, NormalizedWebhook},
    core::{
        printable::printable,
        provenance::{
            self, Field, KeyPart, KeyRule, Making, Origin, Provenance, Reading, Rule, Silent, Source,
        },
        providers::{self, NormalizeError, Normalized},
        redact,
        webhook::Webhook,
    },
};

/// A webhook with where all comes from that it yields.
#[derive(Debug)]
pub(super) struct Traced {
    provenance: Provenance,
    /// The values of the body.
    body: Values,
    /// The values of each event.
    events: Vec<Values>,
}

/// The values of a document by their pointers.
type Values = HashMap<String, redact::Value>;

/// What is shown.
#[derive(Clone, Copy)]
pub(super) struct Show {
    /// Personal data.
    pub(super) reveal: bool,
    /// Whole lines.
    pub(super) wide: bool,
}

/// Finds out where all comes from that a webhook yields, with `read` as this build reads a webhook.
///
/// # Errors
/// Why the webhook cannot be normalized.
pub(super) fn trace<E: ToString>(
    webhook: &Webhook,
    read: impl Fn(Normalize, &Webhook) -> Result<NormalizedWebhook, E>,
) -> Result<Traced, String> {
    let read = |normalize: Normalize, webhook: &Webhook| {
        let NormalizedWebhook { key, events, .. } = read(normalize, webhook)?;
        let events = events.iter().map(|event| event.body.to_vec()).collect();
        Ok::<_, E>(Reading { key, events })
    };
    let yields = read(providers::normalize, webhook).map_err(|error| error.to_string())?;
    let provenance = provenance::trace(webhook, &yields, &|webhook| read(normalize_or_pass_on, webhook).ok())
        .map_err(|error| error.to_string())?;
    let by_pointer = |values: Vec<redact::Value>| {
        values.into_iter().map(|value| (value.pointer.clone(), value)).collect::<Values>()
    };
    Ok(Traced {
        provenance,
        body: by_pointer(redact::body_values(webhook.provider, &webhook.body)),
        events: yields.events.iter().map(|event| by_pointer(redact::event_values(event))).collect(),
    })
}

fn normalize_or_pass_on(webhook: &Webhook) -> Result<Normalized<'_>, NormalizeError> {
    match providers::normalize(webhook) {
        Err(NormalizeError::UnsupportedEvent(unknown)) => providers::pass_on(webhook, *unknown),
        normalized => normalized,
    }
}

impl Traced {
    /// Returns how the idempotency key is made, in words.
    pub(super) fn key_in_words(&self, show: Show) -> String {
        let Making { parts, otherwise } = &self.provenance.key;
        let all = |origins: &[Origin]| {
            origins.iter().map(|origin| self.origin_in_words(origin, show)).collect::<Vec<_>>().join(" and ")
        };
        let part = |part: &KeyPart| match part {
            KeyPart::Word(word) => format!("\"{word}\""),
            KeyPart::From { origins, rule: KeyRule::Copied } => all(origins),
            KeyPart::From { origins, rule: KeyRule::Hash } => format!("a hash of {}", all(origins)),
            KeyPart::From { origins, rule: KeyRule::Derived } => format!("{} (derived)", all(origins)),
            KeyPart::HashOfNothing => "a hash of what is not there".to_owned(),
            KeyPart::Unknown => "(unknown)".to_owned(),
        };
        let parts = parts.iter().map(part).collect::<Vec<_>>().join(", ");
        match otherwise.as_slice() {
            [] => parts,
            otherwise => format!("{parts}; which parts there are depends on {}", all(otherwise)),
        }
    }

    /// Prints a table of the fields of each event, and the values of the body that no field comes from.
    pub(super) fn print(&self, show: Show, out: &mut Out) -> anyhow::Result<()> {
        let (title, dim) = (Style::new().cyan(), Style::new().dim());
        let count = self.provenance.events.len();
        for (nth, fields) in self.provenance.events.iter().enumerate() {
            let kind = self.events[nth].get("/type").map_or("", |kind| kind.written.trim_matches('"'));
            let place = if count > 1 { format!("  (event {} of {count})", nth + 1) } else { String::new() };
            styled(&format!("{}{place}", printable(kind)), &title, out)?;
            let rows: Vec<_> = fields.iter().flat_map(|field| self.rows(nth, field, show)).collect();
            let columns = [prose("field"), prose("value"), prose("from"), prose("rule")];
            print_table(&table(&columns, &rows, width_of_output(show.wide)), &dim, out)?;
        }
        if !self.provenance.silent.is_empty() {
            styled("values of the webhook that no field comes from", &title, out)?;
            let row = |(pointer, why): &(String, Silent)| {
                vec![self.pointer(pointer, show).to_owned(), silent_in_words(*why).to_owned()]
            };
            let rows: Vec<_> = self.provenance.silent.iter().map(row).collect();
            let lines = table(&[prose("value at"), prose("why")], &rows, width_of_output(show.wide));
            print_table(&lines, &dim, out)?;
        }
        if self.provenance.untried > 0 {
            let untried = counted(self.provenance.untried as u64, "value", "values");
            out.line(&format!("{untried} not tried: the webhook is too large; they may be sources too"))?;
        }
        Ok(())
    }

    /// Returns the rows of a field: one a source.
    fn rows(&self, event: usize, field: &Field, show: Show) -> Vec<Vec<String>> {
        let (pointer, value) = self.shown(event, field, show);
        if field.sources.is_empty() {
            // What was not tried may be its source.
            let rule = if self.provenance.untried == 0 { "fixed" } else { "not known" };
            return vec![vec![pointer, value, String::new(), rule.to_owned()]];
        }
        let is_of_type = |source: &Source| source.rule == Rule::OfType;
        if field.sources.iter().all(is_of_type) {
            let origins = field.sources.iter().map(|source| self.origin_in_words(&source.origin, show));
            let origins = origins.collect::<Vec<_>>().join(" and ");
            return vec![vec![pointer, value, origins, rule_in_words(Rule::OfType)]];
        }
        let row = |(nth, source): (usize, &Source)| {
            let cell = |text: &str| if nth == 0 { text.to_owned() } else { String::new() };
            let origin = self.origin_in_words(&source.origin, show);
            vec![cell(&pointer), cell(&value), origin, rule_in_words(source.rule)]
        };
        field.sources.iter().enumerate().map(row).collect()
    }

    /// Returns the pointer and the value of a field.
    fn shown(&self, event: usize, field: &Field, show: Show) -> (String, String) {
        let value = self.events[event].get(&field.pointer);
        let value = value.map(|value| match show.reveal {
            true => (&value.pointer, &value.written),
            false => (&value.shown_pointer, &value.shown),
        });
        value.map(|(pointer, value)| (pointer.clone(), value.clone())).unwrap_or_default()
    }

    /// Returns the pointer of a value in the body.
    fn pointer<'a>(&'a self, pointer: &'a str, show: Show) -> &'a str {
        match self.body.get(pointer) {
            Some(value) if !show.reveal => &value.shown_pointer,
            _ => pointer,
        }
    }

    fn origin_in_words(&self, origin: &Origin, show: Show) -> String {
        match origin {
            Origin::Body(pointer) if pointer.is_empty() => "the whole body".to_owned(),
            Origin::Body(pointer) => self.pointer(pointer, show).to_owned(),
            Origin::Header(name) => format!("header {name}"),
            Origin::AbsentHeader(name) => format!("header {name} (not sent)"),
            Origin::DeliveryId => "the delivery id".to_owned(),
            Origin::ReceivedAt => "the time of receipt".to_owned(),
            Origin::Key => "the key".to_owned(),
        }
    }

    /// Returns how the key is made, for machines.
    pub(super) fn key_as_json(&self, show: Show) -> Value {
        let Making { parts, otherwise } = &self.provenance.key;
        let all = |origins: &[Origin]| {
            origins.iter().map(|origin| self.origin_as_json(origin, show)).collect::<Vec<_>>()
        };
        let part = |part: &KeyPart| match part {
            KeyPart::Word(word) => json!({ "word": word }),
            KeyPart::From { origins, rule } => json!({ "from": all(origins), "rule": rule.as_str() }),
            KeyPart::HashOfNothing => json!({ "from": [], "rule": KeyRule::Hash.as_str() }),
            KeyPart::Unknown => json!({}),
        };
        json!({ "parts": parts.iter().map(part).collect::<Vec<_>>(), "depends_on": all(otherwise) })
    }

    /// Returns the fields of each event and the values that no field comes from, for machines.
    pub(super) fn fields_as_json(&self, show: Show) -> Value {
        let source = |source: &Source| {
            let mut json = self.origin_as_json(&source.origin, show);
            json["rule"] = source.rule.as_str().into();
            if let Rule::Scaled(factor) = source.rule {
                json["factor"] = factor.into();
            }
            json
        };
        let field = |event: usize, field: &Field| {
            let (pointer, value) = self.shown(event, field, show);
            // What is shown is JSON, masked or not.
            let value = serde_json::from_str::<Value>(&value).unwrap_or(Value::String(value));
            let sources: Vec<_> = field.sources.iter().map(source).collect();
            json!({ "field": pointer, "value": value, "sources": sources })
        };
        let event = |(nth, fields): (usize, &Vec<Field>)| {
            fields.iter().map(|one| field(nth, one)).collect::<Vec<_>>()
        };
        let silent = |(pointer, why): &(String, Silent)| {
            let pointer = self.pointer(pointer, show);
            json!({ "pointer": pointer, "why": why.as_str() })
        };
        json!({
            "events": self.provenance.events.iter().enumerate().map(event).collect::<Vec<_>>(),
            "without_field": self.provenance.silent.iter().map(silent).collect::<Vec<_>>(),
            "untried": self.provenance.untried,
        })
    }

    fn origin_as_json(&self, origin: &Origin, show: Show) -> Value {
        match origin {
            Origin::Body(pointer) => json!({ "in": "body", "pointer": self.pointer(pointer, show) }),
            Origin::Header(name) => json!({ "in": "header", "name": name, "sent": true }),
            Origin::AbsentHeader(name) => json!({ "in": "header", "name": name, "sent": false }),
            Origin::DeliveryId => json!({ "in": "delivery_id" }),
            Origin::ReceivedAt => json!({ "in": "received_at" }),
            Origin::Key => json!({ "in": "key" }),
        }
    }
}

fn print_table(lines: &[String], head: &Style, out: &mut Out) -> anyhow::Result<()> {
    let Some((first, rows)) = lines.split_first() else { return Ok(()) };
    styled(first, head, out)?;
    for row in rows {
        out.line(row)?;
    }
    Ok(())
}

/// Writes a printable line, in colour on a terminal unless NO_COLOR is set.
fn styled(line: &str, style: &Style, out: &mut Out) -> anyhow::Result<()> {
    out.bytes(format!("{}\n", style.apply_to(line)).as_bytes())?;
    Ok(())
}

fn rule_in_words(rule: Rule) -> String {
    match rule {
        Rule::Copied => "copied".to_owned(),
        Rule::AsText => "as a text".to_owned(),
        Rule::AsNumber => "read as a number".to_owned(),
        Rule::Time => "read as a time".to_owned(),
        Rule::E164 => "in E.164".to_owned(),
        Rule::Scaled(factor) => in_factors(factor),
        Rule::InText => "in a text".to_owned(),
        Rule::Word => "word of a list".to_owned(),
        Rule::Derived => "derived".to_owned(),
        Rule::Presence => "there with it".to_owned(),
        Rule::OfType => "by the event's type".to_owned(),
    }
}

fn in_factors(factor: f64) -> String {
    let divisor = (1.0 / factor).round();
    let is_divided = factor.abs() < 1.0 && (divisor * factor - 1.0).abs() < 1e-6;
    if is_divided { format!("divided by {divisor}") } else { format!("times {factor}") }
}

fn silent_in_words(why: Silent) -> &'static str {
    match why {
        Silent::Required => "required: another value is refused",
        Silent::DecidesTypes => "decides the types of the events",
        Silent::Read => "read: another value changes the events",
        Silent::InKey => "only in the key",
        Silent::Unread => "not read",
    }
}
