//! The settings that `try` uses, beside those of the running workers.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::{app::worker::read, config::Config, edge::redis::Store};

/// Settings by their names.
type Settings = BTreeMap<String, String>;

/// The settings of this command and of the running workers.
pub(super) struct Compared {
    used: Settings,
    /// The different settings of workers, or why they are not known.
    workers: Result<BTreeSet<Settings>, &'static str>,
}

impl Compared {
    /// Asks Redis which settings workers use; or takes the reason why it cannot be asked.
    pub(super) async fn ask(config: &Config, store: Result<&Store, &'static str>) -> Self {
        let workers = match store {
            Err(why) => Err(why),
            Ok(store) => match store.settings_said(Timestamp::now()).await {
                Err(_) => Err("Redis does not say"),
                Ok(said) => {
                    let said: BTreeSet<_> =
                        said.iter().filter_map(|text| serde_json::from_str(text).ok()).collect();
                    if said.is_empty() { Err("no running worker says its settings") } else { Ok(said) }
                }
            },
        };
        Self { used: read::settings(config), workers }
    }

    /// Returns what an operator has to know.
    pub(super) fn lines(&self) -> Vec<String> {
        let workers = match &self.workers {
            Err(why) => return vec![format!("not compared with the settings of running workers: {why}")],
            Ok(workers) => workers,
        };
        let different: BTreeSet<String> =
            workers.iter().flat_map(|theirs| self.differences(theirs)).collect();
        if different.is_empty() {
            return vec!["the running workers use the same version and settings".to_owned()];
        }
        different.into_iter().collect()
    }

    fn differences(&self, theirs: &Settings) -> Vec<String> {
        let keys: BTreeSet<&String> = self.used.keys().chain(theirs.keys()).collect();
        let value = |settings: &Settings, key: &str| {
            settings.get(key).cloned().unwrap_or_else(|| "not set".to_owned())
        };
        let compared = keys.into_iter().map(|key| (key, value(&self.used, key), value(theirs, key)));
        let different = compared.filter(|(_, ours, theirs)| ours != theirs);
        let line = |(key, ours, theirs)| {
            format!(
                "a running worker differs, so it may decide otherwise: {key} is {theirs} there, {ours} here"
            )
        };
        different.map(line).collect()
    }

    /// Returns the settings as JSON.
    pub(super) fn as_json(&self) -> Value {
        json!({ "used": self.used, "of_workers": self.workers.as_ref().ok() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(version: &str, unsupported: &str) -> Settings {
        let unsupported = ("sources.a.unsupported".to_owned(), unsupported.to_owned());
        BTreeMap::from([("version".to_owned(), version.to_owned()), unsupported])
    }

    #[test]
    fn each_difference_to_a_running_worker_is_named_once() {
        let used = settings("0.2.0", "pass_on");
        let compared = |workers: &[Settings]| {
            Compared { used: used.clone(), workers: Ok(workers.iter().cloned().collect()) }.lines()
        };
        assert_eq!(
            compared(std::slice::from_ref(&used)),
            ["the running workers use the same version and settings"]
        );
        let older = settings("0.1.0", "pass_on");
        let lines = compared(&[used.clone(), older, settings("0.1.0", "dead_letter")]);
        assert_eq!(lines.len(), 2, "{lines:?}");
        assert!(lines[0].ends_with("sources.a.unsupported is dead_letter there, pass_on here"), "{lines:?}");
        assert!(lines[1].ends_with("version is 0.1.0 there, 0.2.0 here"), "{lines:?}");
        let unknown = Compared { used, workers: Err("no running worker says its settings") }.lines();
        assert_eq!(
            unknown,
            ["not compared with the settings of running workers: no running worker says its settings"]
        );
    }
}
