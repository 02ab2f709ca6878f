//! `hookswitch config check`

use std::path::Path;

use clap::Subcommand;

use super::{exit::OK, load::load};

#[derive(Subcommand)]
pub(super) enum Action {
    /// Report every problem of the configuration at once, or that there is none
    Check {
        /// Print every setting as it is in force, secrets redacted
        #[arg(long)]
        show: bool,
    },
}

pub(super) fn run(action: &Action, path: Option<&Path>) -> anyhow::Result<u8> {
    let Action::Check { show } = action;
    let config = load(path)?;
    if *show {
        println!("{config}");
    } else {
        println!(
            "the configuration is good: {} sources, {} subscriptions",
            config.sources.len(),
            config.subscriptions.len()
        );
    }
    Ok(OK)
}
