//! Reading TOML and the environment key by key, and remembering every problem.

use std::{
    collections::BTreeMap,
    fmt,
    fs,
    ops::RangeInclusive,
    str::FromStr,
    time::Duration,
};

use toml::{Table, Value};

/// Everything that is wrong with a configuration.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ConfigProblems(pub Vec<Problem>);

impl fmt::Display for ConfigProblems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = self.0.len();
        write!(f, "the configuration has {count} problem{}:", if count == 1 { "" } else { "s" })?;
        for problem in &self.0 {
            write!(f, "\n  {problem}")?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigProblems {}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The key, as in `amqp.heartbeat`, or the environment variable that set it.
    pub key: String,
    /// What it is set to, where that may be shown.
    pub value: Option<String>,
    /// What would be right.
    pub expected: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.value {
            Some(value) => write!(f, "{} = {value}: expected {}", self.key, self.expected),
            None => write!(f, "{}: expected {}", self.key, self.expected),
        }
    }
}

/// The environment, the problems so far, and every key that was asked for.
pub(super) struct Reader<'a> {
    env: &'a BTreeMap<String, String>,
    pub(super) problems: Vec<Problem>,
    pub(super) keys: Vec<String>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(env: &'a BTreeMap<String, String>) -> Self {
        Self { env, problems: Vec::new(), keys: Vec::new() }
    }

    pub(super) fn problem(&mut self, key: impl Into<String>, value: Option<String>, expected: impl Into<String>) {
        self.problems.push(Problem { key: key.into(), value, expected: expected.into() });
    }

    /// Takes the table `name` out of `parent`; an empty one if there is none.
    pub(super) fn table(&mut self, parent: &mut Table, name: &str) -> Table {
        match parent.remove(name) {
            Some(Value::Table(table)) => table,
            None => Table::new(),
            Some(other) => {
                self.problem(name, Some(other.to_string()), format!("a table, [{name}]"));
                Table::new()
            }
        }
    }
}

/// One table of the file, and the environment variables that override it.
pub(super) struct Section<'r, 'a> {
    pub(super) reader: &'r mut Reader<'a>,
    path: String,
    table: Table,
    /// Whether `HOOKSWITCH_<PATH>_<KEY>` overrides; not for sources and subscriptions, whose names are free.
    overridable: bool,
    asked: Vec<&'static str>,
}

/// A value and what to call it in a message.
struct Given {
    name: String,
    value: Value,
}

impl<'r, 'a> Section<'r, 'a> {
    pub(super) fn new(reader: &'r mut Reader<'a>, path: &str, table: Table, overridable: bool) -> Self {
        Self { reader, path: path.to_owned(), table, overridable, asked: Vec::new() }
    }

    pub(super) fn key(&self, key: &str) -> String {
        format!("{}.{key}", self.path)
    }

    /// Complains of `key`.
    pub(super) fn reject(&mut self, key: &str, value: Option<String>, expected: impl Into<String>) {
        let key = self.key(key);
        self.reader.problem(key, value, expected);
    }

    fn given(&mut self, key: &'static str) -> Option<Given> {
        self.asked.push(key);
        let path = self.key(key);
        if !self.reader.keys.contains(&path) {
            self.reader.keys.push(path.clone());
        }
        let file = self.table.remove(key);
        if self.overridable {
            let name = format!("HOOKSWITCH_{}", path.replace('.', "_").to_ascii_uppercase());
            if let Some(value) = self.reader.env.get(&name) {
                return Some(Given { name, value: Value::String(value.clone()) });
            }
        }
        Some(Given { name: path, value: file? })
    }

    /// Reads `key` with `read`, which says what it expects.
    fn read<T>(
        &mut self,
        key: &'static str,
        default: T,
        expected: &str,
        read: impl FnOnce(&Value) -> Option<T>,
    ) -> T {
        let Some(given) = self.given(key) else { return default };
        read(&given.value).unwrap_or_else(|| {
            self.reader.problem(given.name, Some(given.value.to_string()), expected);
            default
        })
    }

    pub(super) fn text(&mut self, key: &'static str, default: &str) -> String {
        self.read(key, default.to_owned(), "a string", |value| value.as_str().map(ToOwned::to_owned))
    }

    pub(super) fn parsed<T: FromStr>(&mut self, key: &'static str, default: T, expected: &str) -> T {
        self.read(key, default, expected, |value| value.as_str()?.parse().ok())
    }

    pub(super) fn one_of<T: Copy>(&mut self, key: &'static str, default: T, choices: &[(&str, T)]) -> T {
        let names: Vec<_> = choices.iter().map(|(name, _)| format!("\"{name}\"")).collect();
        let expected = format!("one of {}", names.join(", "));
        self.read(key, default, &expected, |value| {
            choices.iter().find(|(name, _)| value.as_str() == Some(name)).map(|(_, choice)| *choice)
        })
    }

    pub(super) fn number(&mut self, key: &'static str, default: u32, range: RangeInclusive<u32>) -> u32 {
        let expected = format!("a whole number from {} to {}", range.start(), range.end());
        self.read(key, default, &expected, |value| {
            let number = value.as_integer().or_else(|| value.as_str()?.parse().ok())?;
            u32::try_from(number).ok().filter(|number| range.contains(number))
        })
    }

    pub(super) fn optional_number(&mut self, key: &'static str, range: RangeInclusive<u32>) -> Option<u32> {
        let given = self.table.contains_key(key);
        let number = self.number(key, *range.start(), range);
        given.then_some(number)
    }

    pub(super) fn size(&mut self, key: &'static str, default: usize, range: RangeInclusive<usize>) -> usize {
        let expected = format!("a size from {} to {}: bytes, or \"64KiB\", \"1MiB\"", size_text(*range.start()), size_text(*range.end()));
        self.read(key, default, &expected, |value| parse_size(value).filter(|size| range.contains(size)))
    }

    pub(super) fn duration(
        &mut self,
        key: &'static str,
        default: Duration,
        range: RangeInclusive<Duration>,
    ) -> Duration {
        let expected = duration_expected(&range);
        self.read(key, default, &expected, |value| {
            parse_duration(value.as_str()?).filter(|duration| range.contains(duration))
        })
    }

    pub(super) fn optional_duration(
        &mut self,
        key: &'static str,
        range: RangeInclusive<Duration>,
    ) -> Option<Duration> {
        let given = self.table.contains_key(key);
        let duration = self.duration(key, *range.start(), range);
        given.then_some(duration)
    }

    pub(super) fn durations(
        &mut self,
        key: &'static str,
        default: Vec<Duration>,
        range: RangeInclusive<Duration>,
    ) -> Vec<Duration> {
        let expected = format!("a list, each {}", duration_expected(&range));
        self.read(key, default, &expected, |value| {
            list(value)?.iter().map(|text| parse_duration(text).filter(|d| range.contains(d))).collect()
        })
    }

    /// A list of strings; in the environment, separated by commas.
    pub(super) fn texts(&mut self, key: &'static str) -> Option<Vec<String>> {
        self.read(key, None, "a list of strings", |value| list(value).map(Some))
    }

    /// A secret given as it is (`key`), in a file that `key_file` names, or in a variable that `key_env` names; a
    /// list for several. None if nothing is given; then nothing was complained of either.
    pub(super) fn secrets(
        &mut self,
        key: &'static str,
        key_file: &'static str,
        key_env: Option<&'static str>,
    ) -> Option<Vec<String>> {
        let mut secrets = Vec::new();
        let mut any = false;
        for (key, source) in [(Some(key), 0), (Some(key_file), 1), (key_env, 2)] {
            let Some(key) = key else { continue };
            let Some(given) = self.given(key) else { continue };
            any = true;
            let Some(entries) = list(&given.value) else {
                self.reader.problem(given.name, None, "a string or a list of strings");
                continue;
            };
            for entry in entries {
                let secret = match source {
                    0 => Ok(entry),
                    1 => fs::read_to_string(&entry).map_err(|error| format!("a file that can be read, but {entry}: {error}")),
                    _ => self.reader.env.get(&entry).cloned().ok_or_else(|| format!("the environment variable {entry} to be set")),
                };
                match secret.map(|secret| secret.trim_end_matches(['\r', '\n']).to_owned()) {
                    Ok(secret) if secret.is_empty() => {
                        self.reader.problem(given.name.clone(), None, "a secret that is not empty");
                    }
                    Ok(secret) => secrets.push(secret),
                    Err(expected) => self.reader.problem(given.name.clone(), None, expected),
                }
            }
        }
        any.then_some(secrets)
    }

    /// Complains of every key that nobody asked for.
    pub(super) fn finish(self) {
        for (key, _) in &self.table {
            let nearest = self.asked.iter().min_by_key(|known| distance(known, key));
            let hint = match nearest.filter(|known| distance(known, key) <= 3) {
                Some(known) => format!("no such key; did you mean `{known}`?"),
                None => format!("no such key; there are {}", self.asked.join(", ")),
            };
            self.reader.problem(format!("{}.{key}", self.path), None, hint);
        }
    }
}

fn list(value: &Value) -> Option<Vec<String>> {
    match value {
        Value::String(text) => Some(text.split(',').map(|part| part.trim().to_owned()).filter(|p| !p.is_empty()).collect()),
        Value::Array(items) => items.iter().map(|item| item.as_str().map(ToOwned::to_owned)).collect(),
        Value::Integer(_) | Value::Float(_) | Value::Boolean(_) | Value::Datetime(_) | Value::Table(_) => None,
    }
}

fn duration_expected(range: &RangeInclusive<Duration>) -> String {
    format!(
        "a duration from {} to {}: \"500ms\", \"30s\", \"5m\", \"1h\", \"7d\"",
        duration_text(*range.start()),
        duration_text(*range.end())
    )
}

const UNITS: [(&str, u64); 5] = [("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000)];

pub(super) fn parse_duration(text: &str) -> Option<Duration> {
    let digits = text.find(|c: char| !c.is_ascii_digit())?;
    let (number, unit) = text.split_at(digits);
    let (_, ms) = UNITS.iter().find(|(name, _)| *name == unit.trim())?;
    Some(Duration::from_millis(number.parse::<u64>().ok()?.checked_mul(*ms)?))
}

/// A duration as [`parse_duration`] reads it.
pub(super) fn duration_text(duration: Duration) -> String {
    let ms = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    let unit = UNITS.iter().rev().find(|(_, unit)| ms > 0 && ms.is_multiple_of(*unit));
    unit.map_or_else(|| "0s".to_owned(), |(name, unit)| format!("{}{name}", ms / unit))
}

fn parse_size(value: &Value) -> Option<usize> {
    if let Some(bytes) = value.as_integer() {
        return usize::try_from(bytes).ok();
    }
    let text = value.as_str()?;
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let factor = match unit.trim() {
        "" | "B" => 1,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        _ => return None,
    };
    number.parse::<usize>().ok()?.checked_mul(factor)
}

/// A size as it may be written.
pub(super) fn size_text(size: usize) -> String {
    match size {
        size if size > 0 && size.is_multiple_of(1 << 20) => format!("{}MiB", size >> 20),
        size if size > 0 && size.is_multiple_of(1 << 10) => format!("{}KiB", size >> 10),
        size => size.to_string(),
    }
}

/// How many letters must change (Levenshtein).
fn distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.bytes().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.bytes().enumerate() {
            let change = diagonal + usize::from(x != y);
            diagonal = row[j + 1];
            row[j + 1] = change.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}
