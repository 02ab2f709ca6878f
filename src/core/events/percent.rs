//! Percent-encoding, for ids inside attributes of a CloudEvent.

/// Appends `text` with each character that is not `kept` as `%XX` for each of its bytes.
pub(super) fn encode(text: &str, kept: impl Fn(char) -> bool, out: &mut String) {
    for c in text.chars() {
        if kept(c) {
            out.push(c);
        } else {
            c.encode_utf8(&mut [0; 4]).bytes().for_each(|byte| out.push_str(&format!("%{byte:02X}")));
        }
    }
}

/// Returns true if CloudEvents allows `c` in an attribute: all but control characters and noncharacters.
pub(super) fn is_allowed(c: char) -> bool {
    let is_noncharacter = matches!(c, '\u{fdd0}'..='\u{fdef}') || (c as u32 & 0xfffe) == 0xfffe;
    !c.is_control() && !is_noncharacter
}

/// Returns true if a path segment of a URI holds `c` unencoded (RFC 3986).
pub(super) fn is_in_segment(c: char) -> bool {
    c.is_ascii_alphanumeric() || "-._~!$&'()*+,;=:@".contains(c)
}
