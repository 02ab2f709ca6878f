//! Looks up values in the file and the environment, and collects every problem instead of stopping at the
//! first.

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
};

use strsim::osa_distance;
use toml::{Table, Value};

use super::{problem::Problem, secret::REDACTED};

/// The prefix of every environment variable that overrides a key.
const PREFIX: &str = "HOOKSWITCH_";
/// Longer values are cut in messages, in characters: a problem is one line.
const SHOWN_MAX: usize = 80;
/// Stands for a value that is not shown.
const NOT_SHOWN: &str = "…";

/// Returns the environment variable that overrides the key `path`, as in `amqp.heartbeat`.
pub(super) fn variable_of(path: &str) -> String {
    format!("{PREFIX}{}", path.replace('.', "_").to_ascii_uppercase())
}

/// Returns the path of `key` in the table at `path`.
pub(super) fn join(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}

/// The environment, and the problems found so far.
pub(super) struct Reader<'e> {
    env: &'e BTreeMap<String, String>,
    problems: RefCell<Vec<Problem>>,
    /// Variables that override a key, or that the file refers to.
    variables: RefCell<BTreeSet<String>>,
}

impl<'e> Reader<'e> {
    pub(super) fn new(env: &'e BTreeMap<String, String>) -> Self {
        Self { env, problems: RefCell::default(), variables: RefCell::default() }
    }

    /// Records a problem with the value of a key.
    pub(super) fn problem(
        &self,
        key: impl Into<String>,
        value: impl Into<String>,
        expected: impl Into<String>,
    ) {
        let problem = Problem::Value { key: key.into(), value: value.into(), expected: expected.into() };
        self.problems.borrow_mut().push(problem);
    }

    /// Returns the file's top level.
    pub(super) fn root(&self, table: Table) -> Section<'_> {
        Section { reader: self, path: String::new(), table, env: true }
    }

    /// Returns the value of a variable that the file refers to.
    pub(super) fn variable(&self, name: &str) -> Option<&'e str> {
        self.variables.borrow_mut().insert(name.to_owned());
        self.env.get(name).map(String::as_str)
    }

    /// Reports variables that override no key: misspelled ones, and those of sources and subscriptions,
    /// which only the file has.
    ///
    /// What Kubernetes sets for a service is left alone, as in `HOOKSWITCH_RECEIVER_PORT`, and so is what
    /// names no section.
    pub(super) fn report_unknown_variables(&self, sections: &[&str]) {
        let known = self.variables.borrow();
        for (name, value) in self.env.iter().filter(|(name, _)| !known.contains(*name)) {
            let Some(rest) = name.strip_prefix(PREFIX).filter(|rest| !is_of_a_service(rest, value)) else {
                continue;
            };
            let section = rest.split('_').next().unwrap_or_default().to_ascii_lowercase();
            let near = known.iter().find(|k| k.starts_with(PREFIX) && osa_distance(k, name) <= 2);
            let expected = match near {
                Some(near) => format!("a known variable; did you mean {near}?"),
                None if ["source", "sources", "subscription", "subscriptions"]
                    .contains(&section.as_str()) =>
                {
                    "a known variable; sources and subscriptions are configured in the file, as in \
                     [sources.varda-eu], and only their secrets can come from variables (secret_env)"
                        .to_owned()
                }
                None if sections.contains(&section.as_str()) => {
                    format!("a known variable; `hookswitch config example` lists the keys of [{section}]")
                }
                None => continue,
            };
            self.problem(name, NOT_SHOWN, expected);
        }
    }

    pub(super) fn into_problems(self) -> Vec<Problem> {
        self.problems.into_inner()
    }
}

/// Tells whether Kubernetes sets the variable that ends in `rest`, for a service that it serves.
fn is_of_a_service(rest: &str, value: &str) -> bool {
    let address = || ["tcp://", "udp://", "sctp://"].iter().any(|scheme| value.starts_with(scheme));
    let of_port = |(_, port): (&str, &str)| {
        let mut parts = port.split('_');
        parts.next().is_some_and(|number| number.parse::<u16>().is_ok())
            && parts.next().is_some_and(|protocol| ["TCP", "UDP", "SCTP"].contains(&protocol))
    };
    rest.contains("_SERVICE_HOST")
        || rest.contains("_SERVICE_PORT")
        || (rest.ends_with("_PORT") && address())
        || rest.split_once("_PORT_").is_some_and(of_port)
}

/// A value as it was given.
#[derive(Clone, Debug)]
pub(super) struct Given {
    /// The whole key, or the environment variable that overrides it.
    pub(super) label: String,
    value: Value,
    from_env: bool,
}

impl Given {
    pub(super) fn text(&self) -> Option<&str> {
        self.value.as_str()
    }

    pub(super) fn integer(&self) -> Option<i64> {
        let text = if self.from_env { self.text() } else { None };
        self.value.as_integer().or_else(|| text?.trim().parse().ok())
    }

    /// Returns a number that may have a fraction.
    pub(super) fn number(&self) -> Option<f64> {
        let text = if self.from_env { self.text() } else { None };
        let integer = || Some(self.value.as_integer()? as f64);
        self.value.as_float().or_else(integer).or_else(|| text?.trim().parse().ok())
    }

    pub(super) fn boolean(&self) -> Option<bool> {
        let text = if self.from_env { self.text() } else { None };
        self.value.as_bool().or_else(|| text?.trim().parse().ok())
    }

    /// Returns the items of a list of strings; the environment separates them by commas.
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

    fn show(&self) -> String {
        let shown = if self.from_env { self.text().unwrap_or("").to_owned() } else { self.value.to_string() };
        let shown = shown.replace('\n', " ");
        if shown.chars().count() <= SHOWN_MAX {
            shown
        } else {
            shown.chars().take(SHOWN_MAX).chain(['…']).collect()
        }
    }
}

/// One table of the file.
pub(super) struct Section<'r> {
    pub(super) reader: &'r Reader<'r>,
    path: String,
    table: Table,
    /// Whether environment variables override its keys.
    env: bool,
}

impl<'r> Section<'r> {
    /// Returns the table `key`, empty if absent.
    pub(super) fn table(&self, key: &str) -> Section<'r> {
        let path = self.key(key);
        Section { reader: self.reader, table: self.table_of(self.table.get(key), &path), path, env: self.env }
    }

    /// Returns the tables under `key`, whose names the operator chooses. The environment does not override
    /// their keys.
    pub(super) fn named_tables(&self, key: &str) -> Vec<(String, Section<'r>)> {
        let path = self.key(key);
        let section = |(name, value): (String, Value)| {
            let path = join(&path, &name);
            let table = self.table_of(Some(&value), &path);
            (name, Section { reader: self.reader, path, table, env: false })
        };
        self.table_of(self.table.get(key), &path).into_iter().map(section).collect()
    }

    fn table_of(&self, value: Option<&Value>, path: &str) -> Table {
        match value {
            None => Table::new(),
            Some(Value::Table(table)) => table.clone(),
            // The value is not shown: it may be a misplaced secret.
            Some(_) => {
                self.reader.problem(path, NOT_SHOWN, format!("a table, as in [{path}]"));
                Table::new()
            }
        }
    }

    /// Returns the whole key, as in `amqp.heartbeat`.
    pub(super) fn key(&self, key: &str) -> String {
        join(&self.path, key)
    }

    /// Returns the path of this table.
    pub(super) fn path(&self) -> &str {
        &self.path
    }

    /// Tells whether the file sets `key`.
    pub(super) fn has(&self, key: &str) -> bool {
        self.table.contains_key(key)
    }

    /// Returns the value of `key`. The environment wins over the file; an empty variable counts as not set.
    pub(super) fn given(&self, key: &str) -> Option<Given> {
        let label = self.key(key);
        let in_env = self.env.then(|| variable_of(&label)).and_then(|name| {
            let text = self.reader.variable(&name).filter(|text| !text.is_empty())?;
            Some(Given { label: name, value: Value::String(text.to_owned()), from_env: true })
        });
        let in_file = || Some(Given { label, value: self.table.get(key)?.clone(), from_env: false });
        in_env.or_else(in_file)
    }

    /// Returns the one of `keys` that is given: they are alternatives. The environment wins over the file.
    pub(super) fn one_of<'k>(&self, keys: &[&'k str]) -> Option<(&'k str, Given)> {
        let mut given: Vec<_> = keys.iter().filter_map(|key| Some((*key, self.given(key)?))).collect();
        if given.iter().any(|(_, given)| given.from_env) {
            given.retain(|(_, given)| given.from_env);
        }
        if let [(_, first), (_, second), ..] = given.as_slice() {
            let expected = format!("not to be set together with {}: remove one of them", first.label);
            self.reader.problem(&second.label, REDACTED, expected);
        }
        given.into_iter().next()
    }

    /// Returns the content of the file that `given` names, without the byte order mark and the line break
    /// that editors add.
    pub(super) fn file(&self, given: &Given) -> Option<String> {
        let path = given.text().unwrap_or_default();
        match std::fs::read_to_string(path) {
            Ok(text) => {
                let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
                Some(text.trim_end_matches(['\r', '\n']).to_owned())
            }
            Err(error) => {
                self.wrong(given, format!("a file that can be read: {error}"));
                None
            }
        }
    }

    /// Records that the value `given` is wrong.
    pub(super) fn wrong(&self, given: &Given, expected: impl Into<String>) {
        self.reader.problem(&given.label, given.show(), expected);
    }

    /// Records that the value `given` is wrong without showing it.
    pub(super) fn wrong_secret(&self, given: &Given, expected: impl Into<String>) {
        self.reader.problem(&given.label, REDACTED, expected);
    }

    /// Records that the required `key` is absent.
    pub(super) fn missing(&self, key: &str, expected: impl Into<String>) {
        self.reader.problem(self.key(key), "(missing)", expected);
    }

    /// Records that `key` must not be set. Its value is not shown: it may be a secret.
    pub(super) fn not_allowed(&self, key: &str, expected: impl Into<String>) {
        self.reader.problem(self.key(key), NOT_SHOWN, expected);
    }

    /// Reports the keys of the file that are none of `known`.
    pub(super) fn report_unknown(&self, known: &[&str]) {
        for key in self.table.keys().filter(|key| !known.contains(&key.as_str())) {
            let near = known.iter().map(|known| (osa_distance(known, key), known)).min();
            let expected = match near {
                Some((distance, known)) if distance <= 1 + known.len() / 3 => {
                    format!("a known key; did you mean {}?", self.key(known))
                }
                Some(_) | None => format!("a known key: one of {}", known.join(", ")),
            };
            self.not_allowed(key, expected);
        }
    }
}
