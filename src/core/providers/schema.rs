//! The parts of a provider's JSON that may be shown without personal data.

/// The public parts of a JSON document. Everything that it does not name counts as personal data.
///
/// A path is as in `data.users[].id`, with `[]` for every index. Between two dots, `|` separates alternatives
/// that share the rest of the path: `data.fields.owner|users[].model|id`.
#[derive(Clone, Copy, Debug)]
pub struct Schema {
    /// Values that cannot hold personal data: event names, words from a closed list, opaque ids, times,
    /// lengths, costs.
    pub public: &'static [&'static str],
    /// Objects whose keys are data too, on every level.
    pub keyed: &'static [&'static str],
}

impl Schema {
    /// Returns true if the value at `path` is public.
    pub fn is_public(&self, path: &str) -> bool {
        self.public.iter().any(|pattern| is_match(pattern, path))
    }

    /// Returns true if the keys of the object at `path` are data.
    pub fn is_keyed(&self, path: &str) -> bool {
        self.keyed.iter().any(|pattern| is_match(pattern, path))
    }
}

fn is_match(pattern: &str, path: &str) -> bool {
    // Splitting bytes costs half of splitting text.
    let names = |path| <[u8]>::split(path, |byte| *byte == b'.');
    let mut path = names(path.as_bytes());
    let is_next =
        |known: &[u8]| path.next().is_some_and(|name| known.split(|b| *b == b'|').any(|k| k == name));
    names(pattern.as_bytes()).all(is_next) && path.next().is_none()
}
