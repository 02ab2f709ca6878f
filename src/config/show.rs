//! The configuration in force, for people.

use std::{collections::BTreeMap, fmt};

use super::{
    keys::Config,
    read::join,
    section::{Keys as _, Shown},
};

impl Config {
    /// Returns every value in force by its full name, as in `worker.concurrency`; secrets are `[redacted]`.
    pub fn values(&self) -> BTreeMap<String, String> {
        let mut values = BTreeMap::new();
        collect(&mut values, "", &self.show());
        values
    }
}

fn collect(values: &mut BTreeMap<String, String>, path: &str, entries: &[Shown]) {
    for entry in entries {
        match entry {
            Shown::Key(name, value) => drop(values.insert(join(path, name), value.clone())),
            Shown::Table(name, entries) => collect(values, &join(path, name), entries),
        }
    }
}

impl fmt::Display for Config {
    /// Writes every value as the file would have it; secrets and passwords are `[redacted]`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = String::new();
        write_table(&mut text, "", &self.show());
        f.write_str(&text)
    }
}

fn write_table(text: &mut String, path: &str, entries: &[Shown]) {
    for entry in entries {
        match entry {
            Shown::Key(name, value) => text.push_str(&format!("{name} = {value}\n")),
            Shown::Table(name, entries) => {
                let path = join(path, name);
                let space = if text.is_empty() { "" } else { "\n" };
                text.push_str(&format!("{space}[{path}]\n"));
                write_table(text, &path, entries);
            }
        }
    }
}
