//! The problems of a configuration.

use std::fmt;

/// One problem.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Problem {
    /// A wrong or missing value.
    Value {
        /// The key, as in `amqp.heartbeat`, or the environment variable that overrides it.
        key: String,
        /// The value as given, or `[redacted]` for a secret.
        value: String,
        /// The accepted values.
        expected: String,
    },
    /// The file itself.
    File {
        /// Its path.
        path: String,
        /// What is wrong, with line and column if known; never the text of the line.
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

/// Every problem of a configuration, one per line.
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
