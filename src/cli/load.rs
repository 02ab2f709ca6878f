//! Loading the configuration for a command.

use std::path::Path;

use super::exit::{NoSources, Usage};
use crate::{
    config::{Config, ConfigProblems},
    core::webhook::SourceName,
};

/// The configuration file used if none is named and this one exists.
const DEFAULT_FILE: &str = "hookswitch.toml";

/// Loads the configuration from the file, if any, and from the environment.
pub(super) fn load(path: Option<&Path>) -> Result<Config, ConfigProblems> {
    Config::load(file(path), &std::env::vars().collect())
}

/// Returns the file that is read: the one that is named, else the default if it exists.
fn file(path: Option<&Path>) -> Option<&Path> {
    let default = Path::new(DEFAULT_FILE);
    path.or_else(|| default.exists().then_some(default))
}

/// Returns what loads the same configuration again, while the files that it is in may change.
pub(super) fn loader(path: Option<&Path>) -> impl Fn() -> Result<Config, ConfigProblems> + Clone + use<> {
    let (path, env) = (file(path).map(Path::to_owned), std::env::vars().collect());
    move || Config::load(path.as_deref(), &env)
}

/// Loads a configuration that must have sources. Without any, a command would report "nothing", which looks
/// like "all is well".
pub(super) fn load_with_sources(path: Option<&Path>) -> anyhow::Result<Config> {
    let config = load(path)?;
    if !config.sources.is_empty() {
        return Ok(config);
    }
    Err(match file(path) {
        Some(file) => NoSources::InFile(file.display().to_string()).into(),
        None => NoSources::NoFile.into(),
    })
}

/// Checks that the sources that a command names are configured.
pub(super) fn require_sources(named: &[SourceName], config: &Config) -> Result<(), Usage> {
    let Some(unknown) = named.iter().find(|source| !config.sources.contains_key(*source)) else {
        return Ok(());
    };
    let known: Vec<_> = config.sources.keys().map(SourceName::as_str).collect();
    let known = known.join(", ");
    Err(Usage(format!("source `{unknown}` is not configured; the configured sources are {known}")))
}
