//! Loading the configuration for a command.

use std::path::Path;

use super::exit::NoSources;
use crate::config::{Config, ConfigProblems};

/// The configuration file used if none is named and this one exists.
const DEFAULT_FILE: &str = "hookswitch.toml";

/// Loads the configuration from the file, if any, and from the environment.
pub(super) fn load(path: Option<&Path>) -> Result<Config, ConfigProblems> {
    let default = Path::new(DEFAULT_FILE);
    let path = path.or_else(|| default.exists().then_some(default));
    Config::load(path, &std::env::vars().collect())
}

/// Loads a configuration that must have sources. Without any, a command would report "nothing", which looks
/// like "all is well".
pub(super) fn load_with_sources(path: Option<&Path>) -> anyhow::Result<Config> {
    let config = load(path)?;
    if config.sources.is_empty() { Err(NoSources.into()) } else { Ok(config) }
}
