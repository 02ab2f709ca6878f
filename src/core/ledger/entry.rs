//! The numbering of webhooks: runs, and entries in them.

use std::{fmt, str::FromStr, time::Duration};

use serde::{Deserialize, Serialize};

/// The longest time for which a run takes new webhooks; then the next run begins.
///
/// Data that Redis loses spoils the sum of the runs that had begun by then and of no other, so this is how
/// long "unknown" lasts.
pub const RUN_MAX: Duration = Duration::from_secs(15 * 60);

/// The highest number of a run; then the next run begins. It is far more than a receiver takes within
/// [`RUN_MAX`], 298,000 a second. Only what is named by a broker's user and no receiver is higher.
pub const NUMBER_MAX: u64 = 1 << 28;

/// The name of a stretch of one source's numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Run {
    /// The time at which it began, in milliseconds since 1970.
    pub began: u64,
    /// A random number: distinguishes runs that began in the same millisecond.
    pub nonce: u32,
}

impl fmt::Display for Run {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:x}-{:x}", self.began, self.nonce)
    }
}

/// The error for a text that is not a [`Run`] or an [`Entry`].
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("not an entry of the ledger: expected <run>:<number>")]
pub struct InvalidEntry;

impl FromStr for Run {
    type Err = InvalidEntry;

    fn from_str(text: &str) -> Result<Self, InvalidEntry> {
        let (began, nonce) = text.split_once('-').ok_or(InvalidEntry)?;
        let began = u64::from_str_radix(began, 16).map_err(|_| InvalidEntry)?;
        let nonce = u32::from_str_radix(nonce, 16).map_err(|_| InvalidEntry)?;
        Ok(Self { began, nonce })
    }
}

impl TryFrom<String> for Run {
    type Error = InvalidEntry;

    fn try_from(text: String) -> Result<Self, InvalidEntry> {
        text.parse()
    }
}

impl From<Run> for String {
    fn from(run: Run) -> Self {
        run.to_string()
    }
}

/// A webhook's place in the ledger. It travels with the webhook as `<run>:<number>`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Entry {
    /// The run.
    pub run: Run,
    /// The number within the run, from 1.
    pub number: u64,
}

impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.run, self.number)
    }
}

impl FromStr for Entry {
    type Err = InvalidEntry;

    fn from_str(text: &str) -> Result<Self, InvalidEntry> {
        let (run, number) = text.split_once(':').ok_or(InvalidEntry)?;
        let number = number.parse().ok().filter(|number| *number > 0).ok_or(InvalidEntry)?;
        Ok(Self { run: run.parse()?, number })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_reads_as_it_is_written() {
        let entry = Entry { run: Run { began: 1_763_700_000_000, nonce: 0xabc }, number: 17 };
        assert_eq!(entry.to_string(), format!("{:x}-abc:17", 1_763_700_000_000_u64));
        assert_eq!(entry.to_string().parse(), Ok(entry));
        for bad in ["", "1-2", "1-2:0", "1-2:x", "x:1", "1:2", "-:1"] {
            assert_eq!(bad.parse::<Entry>(), Err(InvalidEntry), "{bad}");
        }
    }
}
