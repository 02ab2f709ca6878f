//! Writes a value as it was written, in one line and so that every strict reader takes it.

use super::{
    number,
    raw::Raw,
    scan::{number_len, plain_len},
    text,
    write::Json,
};

impl Json for Raw<'_> {
    fn write(&self, out: &mut Vec<u8>) {
        write(self.get(), out);
    }
}

/// Appends the valid JSON text `json` without insignificant white space.
///
/// A string or number that some readers refuse becomes a string that holds its JSON text: `"\ud83d"` becomes
/// `"\"\\ud83d\""`, and `1e999` becomes `"1e999"`. Such a key becomes the text between its quotes.
fn write(json: &str, out: &mut Vec<u8>) {
    let bytes = json.as_bytes();
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        let len = match byte {
            b' ' | b'\n' | b'\r' | b'\t' => {
                at += 1;
                continue;
            }
            b'"' => string_len(&bytes[at..]),
            b'-' | b'0'..=b'9' => number_len(&bytes[at..]).unwrap_or(1),
            _ => {
                out.push(*byte);
                at += 1;
                continue;
            }
        };
        let token = &json[at..at + len];
        at += len;
        match token.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) {
            Some(inner) if !text::is_readable(inner) => {
                let is_key = json[at..].trim_start_matches([' ', '\n', '\r', '\t']).starts_with(':');
                if is_key { inner } else { token }.write(out);
            }
            None if !number::is_readable(token) => token.write(out),
            Some(_) | None => out.extend_from_slice(token.as_bytes()),
        }
    }
}

/// Returns the length of the string at the start of `bytes`, quotes included.
fn string_len(bytes: &[u8]) -> usize {
    let mut at = 1;
    loop {
        at += plain_len(&bytes[at..]);
        match bytes.get(at) {
            Some(b'\\') => at += 2,
            _ => return at + 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;
    use crate::core::pointer::tests::document;

    fn written(json: &str) -> String {
        let mut out = Vec::new();
        write(json, &mut out);
        String::from_utf8(out).expect("UTF-8")
    }

    #[test]
    fn white_space_goes_and_every_digit_and_escape_stays() {
        let json = "{\r\n\t\"a b\" : [ 1.50 , \"\\u00eb \\\" \\\\\" ,\n{ } , -0 ] , \"x\":9007199254740993 }";
        assert_eq!(written(json), r#"{"a b":[1.50,"\u00eb \" \\",{},-0],"x":9007199254740993}"#);
    }

    #[test]
    fn what_strict_readers_refuse_becomes_a_string_that_holds_it() {
        let json = r#"{"k\ud83d" : ["x \ud83d", 1e999, "\ud83d\ude00", "a\u0000"], "n": -1E400}"#;
        let expected = r#"{"k\\ud83d":["\"x \\ud83d\"","1e999","\ud83d\ude00","\"a\\u0000\""],"n":"-1E400"}"#;
        assert_eq!(written(json), expected);
        assert!(serde_json::from_str::<Value>(expected).is_ok());
    }

    proptest! {
        #[test]
        fn a_carried_value_is_one_line_with_the_same_content(document in document()) {
            let pretty = serde_json::to_string_pretty(&document).expect("JSON");
            let out = written(&pretty);
            prop_assert!(!out.contains(['\n', '\r']), "{}", out);
            if !pretty.contains("\\u0000") {
                prop_assert_eq!(&out, &document.to_string());
            }
            prop_assert!(serde_json::from_str::<Value>(&out).is_ok());
        }
    }
}
