//! Schema drift: leaves that a provider sends and its adapter does not expect.

use crate::core::{
    events::event::Event,
    json::{Raw, Value, path},
};

/// An unexpected leaf: a new field, or a value that does not fit its field.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Drift {
    /// The leaf's path, with `[]` for every index.
    pub path: String,
    /// The value's type: `string`, `number`, `boolean`, `object` or `array`; `unreadable` for a string that
    /// some readers refuse, as with half a surrogate pair.
    pub class: &'static str,
    /// The class of the length of the first such value: of a text in characters, of a number in digits; `-`
    /// for others.
    pub length: &'static str,
}

/// Returns the class of the length of a value.
fn length_class(raw: Raw<'_>) -> &'static str {
    let length = match (raw.text(), raw.class()) {
        (Some(text), _) => text.chars().count(),
        (None, "number") => raw.get().bytes().filter(u8::is_ascii_digit).count(),
        (None, _) => return "-",
    };
    match length {
        0..=1 => "1",
        2..=10 => "2-10",
        11..=100 => "11-100",
        101..=1_000 => "101-1000",
        _ => "1001+",
    }
}

/// Maximum number of drifts reported per webhook. Without a limit the sender would choose it.
const DRIFTS_MAX: usize = 100;

/// Maximum length of a drift's path, in characters. Without a limit the sender would choose it.
const DRIFT_PATH_CHARS_MAX: usize = 200;

/// Finds the drift in the unmapped parts of `events`, each leaf once and at most `DRIFTS_MAX`.
///
/// A leaf is no drift if it [says nothing](Raw::says_nothing), if it is [known](Value::Known), or if it lies
/// at or under a path that `is_expected`.
pub fn find(events: &[Event<'_>], is_expected: impl Fn(&str) -> bool) -> Vec<Drift> {
    let mut found = Vec::new();
    for event in events {
        if !event.unmapped.is_empty() {
            find_at(&mut String::with_capacity(64), &event.unmapped, &is_expected, &mut found);
        }
    }
    found
}

fn find_at(
    path: &mut String,
    value: &Value<'_>,
    is_expected: &impl Fn(&str) -> bool,
    found: &mut Vec<Drift>,
) {
    if is_expected(path) || found.len() >= DRIFTS_MAX {
        return;
    }
    let len = path.len();
    match value {
        Value::Raw(raw) => {
            let class = if raw.is_unreadable_text() { "unreadable" } else { raw.class() };
            let is_known = |drift: &Drift| drift.path == *path && drift.class == class;
            if !raw.says_nothing() && !found.iter().any(is_known) {
                let path = path.chars().take(DRIFT_PATH_CHARS_MAX).collect();
                found.push(Drift { path, class, length: length_class(*raw) });
            }
        }
        Value::Known(_) => {}
        Value::Object(entries) => {
            for (key, value) in entries {
                path::push_key(path, key);
                find_at(path, value, is_expected, found);
                path.truncate(len);
            }
        }
        Value::Array(items) => {
            path.push_str("[]");
            for item in items {
                find_at(path, item, is_expected, found);
            }
            path.truncate(len);
        }
    }
}
