//! The options that select events.

use std::{fmt, str::FromStr};

use serde_json::Value;

use crate::{
    cli::{exit::Usage, load::require_sources},
    config::Config,
    core::{
        events::{cloudevent, event::EventType},
        webhook::SourceName,
    },
};

/// The criteria that select events.
#[derive(clap::Args, Clone, Default)]
#[command(next_help_heading = "Which events (criteria are ANDed; several types or sources are ORed)")]
pub(super) struct FilterArgs {
    /// Of this type, or of all types that begin so, as in call.ended, call.transcript or call; repeatable
    #[arg(long = "type", value_name = "TYPE", value_parser = event_type)]
    types: Vec<String>,
    /// From this source; repeatable
    #[arg(long = "source", value_name = "SOURCE")]
    sources: Vec<SourceName>,
    /// With this value, as in direction=inbound, from.e164=+15550100123, participants.role=agent or
    /// tenant=acme; with != without it. FIELD is a path in the event's data, or an attribute; in a list, one
    /// element is enough. Repeatable, and all must match
    #[arg(long = "where", value_name = "FIELD=VALUE")]
    conditions: Vec<Condition>,
    /// Only events that the provider marks as a test
    #[arg(long)]
    test: bool,
    /// Only events that are not marked as a test
    #[arg(long, conflicts_with = "test")]
    no_test: bool,
}

/// Parses a type, or the beginning of several.
fn event_type(text: &str) -> Result<String, String> {
    if EventType::ALL.iter().any(|kind| is_of_type(kind.as_str(), text)) {
        return Ok(text.to_owned());
    }
    let near = EventType::ALL
        .iter()
        .map(|kind| kind.as_str())
        .max_by(|a, b| strsim::jaro_winkler(a, text).total_cmp(&strsim::jaro_winkler(b, text)));
    Err(format!("no type begins so; did you mean {}?", near.unwrap_or_default()))
}

/// Returns true if a type is `beginning`, or begins with its words.
fn is_of_type(kind: &str, beginning: &str) -> bool {
    kind.strip_prefix(beginning).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

impl FilterArgs {
    /// Returns the filter. Its sources must be configured, if any are.
    pub(super) fn filter(&self, config: &Config) -> Result<Filter, Usage> {
        if !config.sources.is_empty() {
            require_sources(&self.sources, config)?;
        }
        let test = if self.test { Some(true) } else { self.no_test.then_some(false) };
        let (types, sources, conditions) =
            (self.types.clone(), self.sources.clone(), self.conditions.clone());
        Ok(Filter { types, sources, conditions, test })
    }
}

impl fmt::Display for FilterArgs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.types.iter().try_for_each(|kind| write!(f, " --type {kind}"))?;
        self.sources.iter().try_for_each(|source| write!(f, " --source {source}"))?;
        for Condition { path, equal, .. } in &self.conditions {
            // The value may be personal data.
            write!(f, " --where {}{}…", path.join("."), if *equal { "=" } else { "!=" })?;
        }
        f.write_str(if self.test { " --test" } else { "" })?;
        f.write_str(if self.no_test { " --no-test" } else { "" })
    }
}

/// A selection of events.
#[derive(Debug, Default)]
pub(super) struct Filter {
    types: Vec<String>,
    sources: Vec<SourceName>,
    conditions: Vec<Condition>,
    test: Option<bool>,
}

impl Filter {
    /// Returns true if no event need be parsed to know that it is selected.
    pub(super) fn matches_all(&self) -> bool {
        let Self { types, sources, conditions, test } = self;
        types.is_empty() && sources.is_empty() && conditions.is_empty() && test.is_none()
    }

    /// Returns true if an event is selected.
    pub(super) fn matches(&self, event: &Value) -> bool {
        let text = |name: &str| event[name].as_str().unwrap_or_default();
        let (kind, source) = (text("type"), cloudevent::source_name(text("source")));
        (self.types.is_empty() || self.types.iter().any(|beginning| is_of_type(kind, beginning)))
            && (self.sources.is_empty() || self.sources.iter().any(|name| name.as_str() == source))
            && self.conditions.iter().all(|condition| condition.holds(event))
            && self.test.is_none_or(|test| (event["test"] == true) == test)
    }
}

/// A condition on a field.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Condition {
    path: Vec<String>,
    equal: bool,
    value: String,
}

impl FromStr for Condition {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let expected = || "expected FIELD=VALUE or FIELD!=VALUE, as in direction=inbound".to_owned();
        let (path, value) = text.split_once('=').ok_or_else(expected)?;
        let (path, equal) = path.strip_suffix('!').map_or((path, true), |path| (path, false));
        let path: Vec<String> =
            path.split('.').map(|name| name.strip_suffix("[]").unwrap_or(name).to_owned()).collect();
        if path.iter().any(String::is_empty) {
            return Err(expected());
        }
        Ok(Self { path, equal, value: value.to_owned() })
    }
}

impl Condition {
    fn holds(&self, event: &Value) -> bool {
        let is_attribute = self.path.first().is_some_and(|name| event.get(name).is_some());
        let start = if is_attribute { event } else { &event["data"] };
        has(start, &self.path, &self.value) == self.equal
    }
}

/// Returns true if a value at `path` is `expected`. Lists on the way are looked through.
fn has(value: &Value, path: &[String], expected: &str) -> bool {
    match (value, path) {
        (Value::Array(items), _) => items.iter().any(|item| has(item, path, expected)),
        (Value::Object(fields), [name, path @ ..]) => {
            fields.get(name).is_some_and(|value| has(value, path, expected))
        }
        (Value::String(text), []) => text == expected,
        (Value::Number(number), []) => {
            number.to_string() == expected || expected.parse::<f64>().ok() == number.as_f64()
        }
        (Value::Bool(flag), []) => expected.parse() == Ok(*flag),
        (Value::Null, []) => expected == "null",
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn event() -> Value {
        json!({
            "type": "call.ended", "source": "/hookswitch/wavix/wavix-eu", "test": false, "tenant": "acme",
            "late": true,
            "data": {
                "direction": "inbound", "duration_seconds": 420.0, "from": { "e164": "+15550100123" },
                "participants": [{ "role": "agent" }, { "role": "customer" }], "snapshot": true,
            },
        })
    }

    #[test]
    fn a_condition_looks_at_data_attributes_and_every_element_of_a_list() {
        for (condition, expected) in [
            ("direction=inbound", true),
            ("data.direction=inbound", true),
            ("direction=outbound", false),
            ("direction!=outbound", true),
            ("end_reason!=completed", true),
            ("end_reason=", false),
            ("from.e164=+15550100123", true),
            ("duration_seconds=420", true),
            ("duration_seconds=420.0", true),
            ("duration_seconds=42", false),
            ("participants.role=customer", true),
            ("participants[].role=customer", true),
            ("participants.role!=customer", false),
            ("participants=agent", false),
            ("snapshot=true", true),
            ("tenant=acme", true),
            ("type=call.ended", true),
            ("late=true", true),
            ("late!=true", false),
            ("nothing.of.this=1", false),
        ] {
            let condition: Condition = condition.parse().expect("a condition");
            assert_eq!(condition.holds(&event()), expected, "{condition:?}");
        }
        for wrong in ["direction", "=inbound", "a..b=1", ".a=1", "!=x"] {
            assert!(wrong.parse::<Condition>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn all_criteria_must_match_and_of_several_types_or_sources_one() {
        let texts = |all: &[&str]| all.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
        let sources = |all: &[&str]| all.iter().map(|name| name.parse().expect("a name")).collect::<Vec<_>>();
        let is_match = |types: &[&str], names: &[&str], test| {
            let (types, sources) = (texts(types), sources(names));
            Filter { types, sources, conditions: Vec::new(), test }.matches(&event())
        };
        assert!(Filter::default().matches_all() && is_match(&[], &[], None));
        assert!(is_match(&["message", "call"], &["other", "wavix-eu"], Some(false)));
        assert!(is_match(&["call.ended"], &[], None));
        assert!(!is_match(&["call.end"], &[], None));
        assert!(!is_match(&["call"], &["other"], None));
        assert!(!is_match(&["call"], &["wavix-eu"], Some(true)));
    }

    #[test]
    fn a_type_that_does_not_exist_is_refused_with_the_nearest_one() {
        for right in ["call", "call.ended", "call.transcript", "scheduling.event"] {
            assert_eq!(event_type(right).as_deref(), Ok(right));
        }
        assert_eq!(event_type("call.endet"), Err("no type begins so; did you mean call.ended?".to_owned()));
        assert!(event_type("").is_err());
    }

    #[test]
    fn the_record_of_a_reveal_holds_no_value() {
        let args = FilterArgs {
            types: vec!["call".to_owned()],
            conditions: vec!["from.e164=+15550100123".parse().expect("a condition")],
            no_test: true,
            ..FilterArgs::default()
        };
        assert_eq!(args.to_string(), " --type call --where from.e164=… --no-test");
    }
}
