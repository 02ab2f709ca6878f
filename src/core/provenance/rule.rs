//! How a field follows from a value, judged by the values before and after a change.

use crate::core::json::{Document, ROOT, Raw};

/// How a field follows from its source.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Rule {
    /// The same value.
    Copied,
    /// A number as a text.
    AsText,
    /// A number, which the provider writes otherwise.
    AsNumber,
    /// A time, which the provider writes otherwise.
    Time,
    /// The digits of a phone number, in the form E.164.
    E164,
    /// A number times a factor.
    Scaled(f64),
    /// A text that holds the value.
    InText,
    /// A word of a closed list.
    Word,
    /// Anything else that follows from the value.
    Derived,
    /// It depends on which values there are, not on what they are.
    Presence,
    /// It follows from a value that decides the types of the events.
    OfType,
}

impl Rule {
    /// Returns the word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Copied => "copied",
            Self::AsText => "as_text",
            Self::AsNumber => "as_number",
            Self::Time => "time",
            Self::E164 => "e164",
            Self::Scaled(_) => "scaled",
            Self::InText => "in_text",
            Self::Word => "word",
            Self::Derived => "derived",
            Self::Presence => "presence",
            Self::OfType => "of_type",
        }
    }
}

/// The greatest part by which a factor may differ from one value to another: what rounding does.
const ROUNDING: f64 = 1e-6;

/// The fewest digits of a phone number.
const PHONE_DIGITS_MIN: usize = 3;

/// A value and a field that may follow from it, both as JSON.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pair<'a> {
    pub(super) value: &'a str,
    pub(super) field: &'a str,
}

/// Returns the rule by which a field took over a change of a value.
pub(super) fn followed(before: Pair<'_>, after: Pair<'_>) -> Option<Rule> {
    match (relation(before), relation(after)) {
        (Some(Rule::Scaled(by)), Some(Rule::Scaled(now))) => {
            ((by - now).abs() <= ROUNDING * by.abs()).then_some(Rule::Scaled(now))
        }
        (Some(was), Some(is)) if was == is => Some(was),
        _ => is_substituted(before, after).then_some(Rule::InText),
    }
}

/// Returns the rule by which a field changed, or `vanished`, that did not take over the change of a value.
pub(super) fn changed(before: Pair<'_>, vanished: bool) -> Rule {
    let is_word = |word: &str| !word.is_empty() && word.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
    match (text(before.value), text(before.field)) {
        (Some(_), Some(field)) if is_word(&field) => Rule::Word,
        // A changed number may no longer be one that can be called.
        _ => match relation(before) {
            Some(Rule::E164) => Rule::E164,
            Some(rule) if vanished => rule,
            _ => Rule::Derived,
        },
    }
}

/// Returns true if a value and a field are the same.
pub(super) fn is_same(pair: Pair<'_>) -> bool {
    relation(pair) == Some(Rule::Copied)
}

/// Returns how a field looks like a value.
fn relation(pair: Pair<'_>) -> Option<Rule> {
    if pair.value == pair.field {
        return Some(Rule::Copied);
    }
    with_raw(pair.value, |value| {
        with_raw(pair.field, |field| {
            let (from, to) = (value.text_or_number()?, field.text_or_number()?);
            let equal = if field.class() == "string" { Rule::AsText } else { Rule::AsNumber };
            if from == to {
                return Some(equal);
            }
            if field.class() == "string" && value.time().is_some_and(|time| field.time() == Some(time)) {
                return Some(Rule::Time);
            }
            if is_e164_of(&from, &to) {
                return Some(Rule::E164);
            }
            let [from, to] = [value, field].map(|raw| raw.decimal()?.parse::<f64>().ok());
            let factor = to? / from?;
            factor.is_finite().then_some(if factor == 1.0 { equal } else { Rule::Scaled(factor) })
        })
    })
}

/// Returns true if a text is `+` and the digits of a number, maybe after those of its country.
fn is_e164_of(number: &str, e164: &str) -> bool {
    let digits: String = number.chars().filter(char::is_ascii_digit).collect();
    let digits = digits.trim_start_matches('0');
    let is_number = |c: char| c.is_ascii_digit() || "+-() ./".contains(c);
    digits.len() >= PHONE_DIGITS_MIN
        && number.chars().all(is_number)
        && e164.strip_prefix('+').is_some_and(|all| all.ends_with(digits))
}

/// Returns true if the field after the change is the one before it with the changed value in the place of the
/// former one.
fn is_substituted(before: Pair<'_>, after: Pair<'_>) -> bool {
    let content = |json| with_raw(json, |raw| raw.text_or_number().map(|text| text.into_owned()));
    let (Some(was), Some(is)) = (content(before.value), content(after.value)) else { return false };
    let (Some(field), Some(changed)) = (text(before.field), text(after.field)) else { return false };
    // A digit of a time can be equal by chance.
    let is_time = with_raw(before.field, |raw| raw.time()).is_some();
    !was.is_empty()
        && !is_time
        && field.match_indices(&was).any(|(at, _)| {
            let (head, tail) = (&field[..at], &field[at + was.len()..]);
            changed.strip_prefix(head).and_then(|rest| rest.strip_suffix(tail)) == Some(is.as_str())
        })
}

fn text(json: &str) -> Option<String> {
    with_raw(json, |raw| raw.text().map(|text| text.into_owned()))
}

fn with_raw<T>(json: &str, read: impl FnOnce(Raw<'_>) -> Option<T>) -> Option<T> {
    read(Document::parse(json.as_bytes()).ok()?.raw(ROOT))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(before: [&str; 2], after: [&str; 2]) -> Option<Rule> {
        let pair = |[value, field]: [&'static str; 2]| Pair { value, field };
        let leak = |pair: [&str; 2]| pair.map(|json| &*json.to_owned().leak());
        followed(pair(leak(before)), pair(leak(after)))
    }

    #[test]
    fn a_rule_holds_before_and_after_the_change() {
        for (before, after, expected) in [
            ([r#""a""#, r#""a""#], [r#""b""#, r#""b""#], Some(Rule::Copied)),
            (["16e1", r#""160""#], ["161", r#""161""#], Some(Rule::AsText)),
            (["8841", r#""8841""#], ["8842", r#""8842""#], Some(Rule::AsText)),
            ([r#""12""#, "12"], [r#""13""#, "13"], Some(Rule::AsNumber)),
            (
                ["1760084505", r#""2025-10-10T08:21:45Z""#],
                ["1760084506", r#""2025-10-10T08:21:46Z""#],
                Some(Rule::Time),
            ),
            (
                [r#""1 804-555-0158""#, r#""+18045550158""#],
                [r#""1 804-555-0159""#, r#""+18045550159""#],
                Some(Rule::E164),
            ),
            (["1.5", "90"], ["1.6", "96"], Some(Rule::Scaled(60.0))),
            ([r#""7""#, r#""call/7""#], [r#""8""#, r#""call/8""#], Some(Rule::InText)),
            (["0", r#""2025-03-15T14:30:00Z""#], ["1", r#""2025-03-15T14:31:00Z""#], None),
            // Equal at first, but the change is not taken over.
            ([r#""a""#, r#""a""#], [r#""b""#, r#""c""#], None),
            (["2", "4"], ["3", "9"], None),
            ([r#""a""#, r#""aa""#], [r#""b""#, r#""bb""#], None),
            (["true", "1"], ["false", "0"], None),
        ] {
            assert_eq!(rule(before, after), expected, "{before:?} {after:?}");
        }
    }

    #[test]
    fn what_takes_no_change_over_may_be_a_word_of_a_list() {
        let of = |value, field| changed(Pair { value, field }, false);
        assert_eq!(of(r#""INBOUND""#, r#""inbound""#), Rule::Word);
        assert_eq!(of(r#""0151 2345""#, r#""+491512345""#), Rule::E164);
        assert_eq!(of("1", r#""inbound""#), Rule::Derived);
        assert_eq!(of(r#""X""#, r#""X""#), Rule::Derived);
        assert_eq!(changed(Pair { value: r#""X""#, field: r#""X""# }, true), Rule::Copied);
    }
}
