//! Loading the configuration for a command.

use std::path::Path;

use super::exit::NoSources;
use crate::config::{Config, ConfigProblems};

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
