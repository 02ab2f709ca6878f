//! Paths of values in a document, as in `data.contacts[0].id`.

/// The written form of the document's own path in error texts. While a path is being built, it is empty.
pub(super) const ROOT: &str = "$";

/// The longest key that is shown in a path, in bytes.
const KEY_MAX_BYTES: usize = 64;

/// So many digits may be a phone number.
const DIGITS: usize = 5;

/// Stands for a key that is not shown.
const HIDDEN_KEY: &str = "‹key›";

/// Turns the path of an object into the path of its field `key`.
///
/// Paths reach error texts, logs, metrics and terminals, and senders choose keys. So a key that is not a
/// plain field name is hidden, whatever it is: personal data, commands for a terminal, or a dot that would
/// make a false path.
pub fn push_key(path: &mut String, key: &str) {
    if !path.is_empty() {
        path.push('.');
    }
    path.push_str(if is_field_name(key) { key } else { HIDDEN_KEY });
}

/// Returns true if a key is a plain field name rather than data: letters, `_`, `-` and fewer digits than a
/// phone number has.
pub fn is_field_name(key: &str) -> bool {
    let digits = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'_' | b'-' => 0,
        b'0'..=b'9' => 1,
        // Too many by itself.
        _ => DIGITS,
    };
    (1..=KEY_MAX_BYTES).contains(&key.len()) && key.bytes().map(digits).sum::<usize>() < DIGITS
}

/// Returns the name of an event for an error text, or a marker if it is not a plain name such as
/// `call.ended`, `CALL_RECEIVED` or `telephonyCall::created`.
pub fn shown_name(name: &str) -> &str {
    let is_plain = name.len() <= KEY_MAX_BYTES
        && name.split(['.', ':', '/']).all(|part| part.is_empty() || is_field_name(part));
    let digits = name.bytes().filter(u8::is_ascii_digit).count();
    if is_plain && !name.is_empty() && digits < DIGITS { name } else { "‹name›" }
}

/// Turns the path of an array into the path of its element at `index`.
pub(super) fn push_index(path: &mut String, index: usize) {
    path.push_str(&format!("[{index}]"));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_that_is_not_a_plain_name_is_hidden() {
        for key in ["bob@example.com", "+15550100123", "555-0100", "\u{1b}[2J\nforged", "a.b", "", "é", "a b"]
        {
            let mut path = "data".to_owned();
            push_key(&mut path, key);
            assert_eq!(path, "data.‹key›", "{key}");
        }
        for key in ["call_id", "x-2", "callId"] {
            let mut path = String::new();
            push_key(&mut path, key);
            assert_eq!(path, key);
        }
    }

    #[test]
    fn only_plain_names_of_events_are_shown() {
        for name in ["call.ended", "CALL_RECEIVED", "genericTask::created", "v2/call.ended"] {
            assert_eq!(shown_name(name), name);
        }
        for name in ["", "ada@example.com", "+15550100123", "555.0100", "a\nb", "call ended", &"x".repeat(65)]
        {
            assert_eq!(shown_name(name), "‹name›", "{name}");
        }
    }
}
