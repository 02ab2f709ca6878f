//! The errors of the JSON layer.

use super::path;

/// A JSON text that cannot be read, or a value in it that is not what the caller asked for.
///
/// The texts hold paths and positions, never values from the document.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JsonError {
    /// The text is not JSON, not UTF-8, or nested too deeply.
    #[error("the text {problem}")]
    Malformed {
        /// The problem and its position, as the end of a sentence about the text.
        problem: String,
    },
    /// A value is missing, has another type, or is ambiguous.
    #[error("{path}: {problem}")]
    Invalid {
        /// The value's path, as in `data.contact.id`; `$` is the whole document.
        path: String,
        /// The problem with the value.
        problem: String,
    },
}

impl JsonError {
    /// Creates a [`JsonError::Malformed`].
    pub(super) fn malformed(problem: impl Into<String>) -> Self {
        Self::Malformed { problem: problem.into() }
    }

    /// Creates a [`JsonError::Invalid`] at `path`; an empty path is the whole document.
    pub fn invalid(path: &str, problem: impl Into<String>) -> Self {
        let path = if path.is_empty() { path::ROOT } else { path };
        Self::Invalid { path: path.to_owned(), problem: problem.into() }
    }
}
