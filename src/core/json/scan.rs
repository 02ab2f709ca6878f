//! Scans bytes for the end of a string's plain part or of a number. Both are inner loops of reading and
//! writing, hence `#[inline]`: the callers are in other files.

/// Counts the leading bytes that a JSON string holds unescaped: no quote, backslash or control character.
#[inline]
pub(super) fn plain_len(bytes: &[u8]) -> usize {
    let mut len = 0;
    // Eight bytes at a time: the mask's highest bit stays 0 for each plain byte. The lowest 1 bit is exact; a
    // borrow can set bits above it, and those are ignored.
    let repeat = |byte: u8| u64::from_le_bytes([byte; 8]);
    let (words, _) = bytes.as_chunks::<8>();
    for word in words {
        let word = u64::from_le_bytes(*word);
        let below = |word: u64, limit: u8| word.wrapping_sub(repeat(limit)) & !word;
        let special = below(word, b' ') | below(word ^ repeat(b'"'), 1) | below(word ^ repeat(b'\\'), 1);
        match (special & repeat(0x80)).trailing_zeros() {
            64 => len += 8,
            bits => return len + bits as usize / 8,
        }
    }
    let is_plain = |byte: &u8| !matches!(byte, 0..b' ' | b'"' | b'\\');
    len + bytes[len..].iter().take_while(|byte| is_plain(byte)).count()
}

/// Returns the length of the number at the start of `bytes`, by JSON's grammar.
#[inline]
pub(super) fn number_len(bytes: &[u8]) -> Option<usize> {
    let digits = |at: usize| bytes[at..].iter().take_while(|byte| byte.is_ascii_digit()).count();
    let some_digits = |at: usize| Some(digits(at)).filter(|count| *count > 0).map(|count| at + count);
    let sign = usize::from(bytes.first() == Some(&b'-'));
    let mut at = if bytes.get(sign) == Some(&b'0') { sign + 1 } else { some_digits(sign)? };
    if bytes.get(at) == Some(&b'.') {
        at = some_digits(at + 1)?;
    }
    if let Some(b'e' | b'E') = bytes.get(at) {
        let sign = usize::from(matches!(bytes.get(at + 1), Some(b'+' | b'-')));
        at = some_digits(at + 1 + sign)?;
    }
    Some(at)
}

/// Returns true if `text` is exactly one number by JSON's grammar.
pub(super) fn is_number(text: &str) -> bool {
    number_len(text.as_bytes()) == Some(text.len())
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(20_000))]

        #[test]
        fn a_string_is_plain_up_to_the_first_special_byte(
            bytes in vec(any::<u8>(), 0..40), at in 0usize..40,
        ) {
            let is_special = |byte: u8| matches!(byte, 0..b' ' | b'"' | b'\\');
            let mut plain: Vec<u8> =
                bytes.into_iter().map(|byte| if is_special(byte) { b'x' } else { byte }).collect();
            prop_assert_eq!(plain_len(&plain), plain.len());
            if let Some(byte) = plain.get_mut(at) {
                *byte = special(at);
                prop_assert_eq!(plain_len(&plain), at);
            }
        }
    }

    fn special(at: usize) -> u8 {
        *[b'"', b'\\', 0, 0x1f, b'\n'].iter().cycle().nth(at).expect("the cycle is endless")
    }
}
