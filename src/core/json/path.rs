//! Paths of values in a document, as in `data.contacts[0].id`.

/// The written form of the document's own path in error texts. While a path is being built, it is empty.
pub(super) const ROOT: &str = "$";

/// Turns the path of an object into the path of its field `key`.
pub fn push_key(path: &mut String, key: &str) {
    if !path.is_empty() {
        path.push('.');
    }
    path.push_str(key);
}

/// Turns the path of an array into the path of its element at `index`.
pub(super) fn push_index(path: &mut String, index: usize) {
    path.push_str(&format!("[{index}]"));
}
