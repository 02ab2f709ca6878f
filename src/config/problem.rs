//! What is wrong with a configuration.

use std::fmt;

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Problem {
    /// A value, or the lack of one.
    Value {
        /// The key, as in `amqp.heartbeat`, or the environment variable that was used in its place.
        key: String,
        /// As it was given, `[redacted]` for a secret.
        value: String,
        /// What would be right.
        expected: String,
    },
    /// The file itself.
    File {
        /// Its path.
        path: String,
        /// With line and column where there are some; never the text of the line.
        problem: String,
    },
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Value { key, value, expected } => write!(f, "{key} = {value}: expected {expected}"),
            Self::File { path, problem } => write!(f, "{path}: {problem}"),
        }
    }
}

/// Everything that is wrong, one problem a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigProblems(pub Vec<Problem>);

impl fmt::Display for ConfigProblems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.len() {
            1 => write!(f, "the configuration has a problem:")?,
            n => write!(f, "the configuration has {n} problems:")?,
        }
        self.0.iter().try_for_each(|problem| write!(f, "\n  {problem}"))
    }
}

impl std::error::Error for ConfigProblems {}
