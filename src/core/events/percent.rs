//! Percent-encoding, for ids inside attributes of a CloudEvent.

/// Appends `text` with each character that is not `kept` as `%XX` for each of its bytes.
pub(super) fn encode(text: &str, kept: impl Fn(char) -> bool, out: &mut String) {
    let mut rest = text;
    while let Some(at) = rest.find(|c| !kept(c)) {
        let (plain, changed) = rest.split_at(at);
        let (changed, after) = changed.split_at(changed.chars().next().map_or(0, char::len_utf8));
        out.push_str(plain);
        for byte in changed.bytes() {
            out.push('%');
            out.extend(
                [byte >> 4, byte & 0xf].map(|digit| char::from(b"0123456789ABCDEF"[usize::from(digit)])),
            );
        }
        rest = after;
    }
    out.push_str(rest);
}

/// Returns true if `text` is printable ASCII, each byte of which is `plain`. The loop has no early exit, so
/// that it is vectorized.
pub(super) fn is_plain(text: &str, plain: impl Fn(u8) -> bool) -> bool {
    text.bytes().fold(true, |all, byte| all & (b' '..0x7f).contains(&byte) & plain(byte))
}

/// Returns true if CloudEvents allows `c` in an attribute: all but control characters and noncharacters.
pub(super) fn is_allowed(c: char) -> bool {
    let is_noncharacter = matches!(c, '\u{fdd0}'..='\u{fdef}') || (c as u32 & 0xfffe) == 0xfffe;
    !c.is_control() && !is_noncharacter
}

/// Returns true if a path segment of a URI holds `c` unencoded (RFC 3986).
pub(super) fn is_in_segment(c: char) -> bool {
    c.is_ascii_alphanumeric()
        || matches!(c, '-' | '.' | '_' | '~' | '!' | '$' | '&'..=',' | ';' | '=' | ':' | '@')
}
