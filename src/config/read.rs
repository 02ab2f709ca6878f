//! Reading TOML and environment key by key: every getter records what is wrong and goes on.

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
    ops::RangeInclusive,
    time::Duration,
};

use toml::{Table, Value};

use super::{
    problem::Problem,
    units::{parse_duration, parse_size, show_duration, show_size},
};

/// What every environment variable of ours begins with.
const PREFIX: &str = "HOOKSWITCH_";
/// Values are shown up to here: a problem is one line.
const SHOWN_MAX: usize = 80;

/// What was found wrong, and which keys there are.
pub(super) struct Reader<'e> {
    pub(super) env: &'e BTreeMap<String, String>,
    problems: RefCell<Vec<Problem>>,
    keys: RefCell<BTreeSet<String>>,
    variables: RefCell<BTreeSet<String>>,
}

impl<'e> Reader<'e> {
    pub(super) fn new(env: &'e BTreeMap<String, String>) -> Self {
        Self { env, problems: RefCell::default(), keys: RefCell::default(), variables: RefCell::default() }
    }

    pub(super) fn problem(
        &self,
        key: impl Into<String>,
        value: impl Into<String>,
        expected: impl Into<String>,
    ) {
        let problem = Problem::Value { key: key.into(), value: value.into(), expected: expected.into() };
        self.problems.borrow_mut().push(problem);
    }

    pub(super) fn root(&self, table: Table) -> Section<'_> {
        Section { reader: self, path: String::new(), form: String::new(), table, asked: vec![], env: false }
    }

    /// A variable that a source names: no misspelling of one of ours.
    pub(super) fn variable_is_named(&self, name: &str) {
        self.variables.borrow_mut().insert(name.to_owned());
    }

    /// A variable that is almost one of ours is a mistake; others may well be somebody else's (Kubernetes sets
    /// `HOOKSWITCH_RECEIVER_PORT` for a service of that name).
    pub(super) fn check_variables(&self) {
        let known = self.variables.borrow();
        for name in self.env.keys().filter(|name| name.starts_with(PREFIX) && !known.contains(*name)) {
            let near = known.iter().find(|k| k.starts_with(PREFIX) && distance(k, name) <= 2);
            if let Some(near) = near {
                self.problem(name, "…", format!("a variable that is known; did you mean {near}?"));
            }
        }
    }

    pub(super) fn into_parts(self) -> (Vec<Problem>, BTreeSet<String>) {
        (self.problems.into_inner(), self.keys.into_inner())
    }
}

/// A value as it was given, and where.
#[derive(Clone, Debug)]
pub(super) struct Given {
    /// The key alone.
    pub(super) key: &'static str,
    /// The whole key, or the environment variable.
    pub(super) label: String,
    value: Value,
    from_env: bool,
}

impl Given {
    pub(super) fn text(&self) -> Option<&str> {
        self.value.as_str()
    }

    fn integer(&self) -> Option<i64> {
        let text = if self.from_env { self.text() } else { None };
        self.value.as_integer().or_else(|| text?.trim().parse().ok())
    }

    /// The items of a list of strings; in the environment separated by commas.
    pub(super) fn list(&self) -> Option<Vec<&str>> {
        match &self.value {
            Value::Array(items) => items.iter().map(Value::as_str).collect(),
            Value::String(text) if self.from_env => {
                Some(text.split(',').map(str::trim).filter(|item| !item.is_empty()).collect())
            }
            Value::String(_)
            | Value::Integer(_)
            | Value::Float(_)
            | Value::Boolean(_)
            | Value::Datetime(_)
            | Value::Table(_) => None,
        }
    }

    pub(super) fn show(&self) -> String {
        let shown = if self.from_env { self.text().unwrap_or("").to_owned() } else { self.value.to_string() };
        let shown = shown.replace('\n', " ");
        if shown.chars().count() <= SHOWN_MAX {
            shown
        } else {
            shown.chars().take(SHOWN_MAX).chain(['…']).collect()
        }
    }
}

/// One table.
pub(super) struct Section<'r> {
    pub(super) reader: &'r Reader<'r>,
    pub(super) path: String,
    /// The path with `<name>` for what the operator names.
    form: String,
    table: Table,
    asked: Vec<&'static str>,
    env: bool,
}

impl<'r> Section<'r> {
    /// The table `key`, whose scalars the environment can override; empty if it is not there.
    pub(super) fn section(&mut self, key: &'static str) -> Section<'r> {
        self.asked.push(key);
        let table = self.table.remove(key);
        let (path, form) = (join(&self.path, key), join(&self.form, key));
        Section {
            reader: self.reader,
            table: self.table_of(table, &path),
            path,
            form,
            asked: vec![],
            env: true,
        }
    }

    /// The tables under `key` that the operator names, in the form `key.<word>`.
    pub(super) fn named(&mut self, key: &'static str, word: &str) -> Vec<(String, Section<'r>)> {
        self.asked.push(key);
        let table = self.table.remove(key);
        let tables = self.table_of(table, key);
        let section = |(name, value): (String, Value)| {
            let path = join(key, &name);
            let table = self.table_of(Some(value), &path);
            let form = format!("{key}.<{word}>");
            (name, Section { reader: self.reader, path, form, table, asked: vec![], env: false })
        };
        tables.into_iter().map(section).collect()
    }

    fn table_of(&self, value: Option<Value>, path: &str) -> Table {
        match value {
            None => Table::new(),
            Some(Value::Table(table)) => table,
            // Not shown: nobody knows what was meant to stand there.
            Some(_) => {
                self.reader.problem(path, "…", format!("a table, as in [{path}]"));
                Table::new()
            }
        }
    }

    /// Whether `key` stands in the file.
    pub(super) fn has(&self, key: &str) -> bool {
        self.table.contains_key(key)
    }

    /// The value of `key`; the environment wins, an empty variable is none.
    pub(super) fn given(&mut self, key: &'static str) -> Option<Given> {
        self.asked.push(key);
        self.reader.keys.borrow_mut().insert(join(&self.form, key));
        let label = join(&self.path, key);
        let in_file =
            self.table.remove(key).map(|value| Given { key, label: label.clone(), value, from_env: false });
        if !self.env {
            return in_file;
        }
        let name = format!("{PREFIX}{}", label.replace('.', "_").to_ascii_uppercase());
        let text = self.reader.env.get(&name).filter(|text| !text.is_empty()).cloned();
        self.reader.variables.borrow_mut().insert(name.clone());
        let in_env = text.map(|text| Given { key, label: name, value: Value::String(text), from_env: true });
        in_env.or(in_file)
    }

    /// The one of `keys` that is given: they are ways to say the same. The environment wins over the file.
    pub(super) fn one_of(&mut self, keys: &[&'static str]) -> Option<Given> {
        let mut given: Vec<Given> = keys.iter().filter_map(|key| self.given(key)).collect();
        if given.iter().any(|g| g.from_env) {
            given.retain(|g| g.from_env);
        }
        if let [first, second, ..] = given.as_slice() {
            let expected = format!("not to stand beside {}: one of the two", first.label);
            self.reader.problem(&second.label, "[redacted]", expected);
        }
        given.into_iter().next()
    }

    /// Records that `given` is wrong.
    pub(super) fn wrong(&self, given: &Given, expected: impl Into<String>) {
        self.reader.problem(&given.label, given.show(), expected);
    }

    /// Records that `key` is not there and must be.
    pub(super) fn missing(&self, key: &str, expected: &str) {
        self.reader.problem(join(&self.path, key), "(missing)", expected);
    }

    /// What `parse` makes of `key`.
    pub(super) fn read<T>(
        &mut self,
        key: &'static str,
        expected: &str,
        parse: impl FnOnce(&Given) -> Option<T>,
    ) -> Option<T> {
        let given = self.given(key)?;
        let value = parse(&given);
        if value.is_none() {
            self.wrong(&given, expected);
        }
        value
    }

    pub(super) fn text(&mut self, key: &'static str) -> Option<String> {
        self.read(key, "a string", |given| given.text().map(str::to_owned))
    }

    pub(super) fn number<T>(&mut self, key: &'static str, default: T, range: RangeInclusive<T>) -> T
    where
        T: TryFrom<i64> + PartialOrd + std::fmt::Display,
    {
        self.optional_number(key, range).unwrap_or(default)
    }

    pub(super) fn optional_number<T>(&mut self, key: &'static str, range: RangeInclusive<T>) -> Option<T>
    where
        T: TryFrom<i64> + PartialOrd + std::fmt::Display,
    {
        let expected = format!("an integer from {} to {}", range.start(), range.end());
        self.read(key, &expected, |given| T::try_from(given.integer()?).ok().filter(|n| range.contains(n)))
    }

    pub(super) fn duration(
        &mut self,
        key: &'static str,
        default: Duration,
        range: RangeInclusive<Duration>,
    ) -> Duration {
        self.optional_duration(key, range).unwrap_or(default)
    }

    pub(super) fn optional_duration(
        &mut self,
        key: &'static str,
        range: RangeInclusive<Duration>,
    ) -> Option<Duration> {
        let (from, to) = (show_duration(*range.start()), show_duration(*range.end()));
        let expected = format!(
            "a duration from \"{from}\" to \"{to}\", as in \"500ms\", \"30s\", \"5m\", \"1h\", \"7d\""
        );
        self.read(key, &expected, |given| parse_duration(given.text()?.trim()).filter(|d| range.contains(d)))
    }

    pub(super) fn size(&mut self, key: &'static str, default: usize, range: RangeInclusive<usize>) -> usize {
        let (from, to) = (show_size(*range.start()), show_size(*range.end()));
        let expected = format!("a size from {from} to {to}, as in \"1MiB\", \"64KiB\" or a number of bytes");
        let parse = |given: &Given| {
            let bytes = match given.integer() {
                Some(bytes) => u64::try_from(bytes).ok()?,
                None => parse_size(given.text()?.trim())?,
            };
            usize::try_from(bytes).ok().filter(|bytes| range.contains(bytes))
        };
        self.read(key, &expected, parse).unwrap_or(default)
    }

    /// One of a few words.
    pub(super) fn word<T: Copy>(&mut self, key: &'static str, words: &[(&str, T)]) -> Option<T> {
        let names: Vec<_> = words.iter().map(|(word, _)| format!("\"{word}\"")).collect();
        let expected = format!("one of {}", names.join(", "));
        let find = |text: &str| words.iter().find(|(word, _)| *word == text).map(|(_, value)| *value);
        self.read(key, &expected, |given| find(given.text()?))
    }

    /// A list, each item by `parse`.
    pub(super) fn list<T>(
        &mut self,
        key: &'static str,
        expected: &str,
        parse: impl Fn(&str) -> Option<T>,
    ) -> Option<Vec<T>> {
        self.read(key, expected, |given| given.list()?.into_iter().map(parse).collect())
    }

    /// Reports the keys that nobody asked for. Their values stay unsaid: one may be a misspelled secret.
    pub(super) fn finish(self) {
        for key in self.table.keys() {
            let near = self.asked.iter().map(|known| (distance(known, key), known)).min();
            let expected = match near {
                Some((distance, known)) if distance <= 1 + known.len() / 3 => {
                    format!("a key that is known; did you mean {}?", join(&self.path, known))
                }
                Some(_) | None => format!("a key that is known: one of {}", self.asked.join(", ")),
            };
            self.reader.problem(join(&self.path, key), "…", expected);
        }
    }
}

fn join(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}

/// How many letters must be put in, taken out, changed or swapped with their neighbour.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut rows = vec![vec![0; b.len() + 1]; a.len() + 1];
    for i in 0..=a.len() {
        for j in 0..=b.len() {
            rows[i][j] = if i == 0 || j == 0 {
                i + j
            } else {
                let change = rows[i - 1][j - 1] + usize::from(a[i - 1] != b[j - 1]);
                let best = change.min(rows[i - 1][j] + 1).min(rows[i][j - 1] + 1);
                let swapped = i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1];
                if swapped { best.min(rows[i - 2][j - 2] + 1) } else { best }
            };
        }
    }
    rows[a.len()][b.len()]
}
