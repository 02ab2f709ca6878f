//! Keywords of JSON Schema that limit a value.

use serde_json::Value;

/// Returns true if the change of a keyword leaves only values that were allowed before. False for keywords
/// that are not known here.
pub(super) fn is_narrower(keyword: &str, old: Option<&Value>, new: Option<&Value>) -> bool {
    match keyword {
        "minimum" | "exclusiveMinimum" | "minLength" | "minItems" | "minProperties" | "minContains" => {
            is_within(old, new, |old, new| new >= old)
        }
        "maximum" | "exclusiveMaximum" | "maxLength" | "maxItems" | "maxProperties" | "maxContains" => {
            is_within(old, new, |old, new| new <= old)
        }
        "format" | "pattern" | "multipleOf" | "not" | "allOf" | "anyOf" | "oneOf" => old.is_none(),
        "uniqueItems" => old != Some(&Value::Bool(true)),
        _ => false,
    }
}

/// Compares two limits. What had no limit may get one.
fn is_within(old: Option<&Value>, new: Option<&Value>, fits: impl Fn(f64, f64) -> bool) -> bool {
    match (old, new) {
        (None, Some(_)) => true,
        (Some(old), Some(new)) => {
            matches!((old.as_f64(), new.as_f64()), (Some(old), Some(new)) if fits(old, new))
        }
        (_, None) => false,
    }
}
