//! `hookswitch health`

use std::time::Duration;

use super::{
    connect::block_on,
    exit::{FAILED, OK},
    output::print_line,
};
use crate::edge::http::Client;

#[derive(clap::Args)]
pub(super) struct Args {
    /// URL to query: `/livez` (it is alive) or `/readyz` (it can work) on the admin listener
    #[arg(long, default_value = "http://127.0.0.1:9464/readyz")]
    url: String,
}

/// Prints the response. Returns [`OK`] if its status is 200, and [`FAILED`] otherwise.
pub(super) fn run(args: &Args) -> anyhow::Result<u8> {
    block_on(async {
        let answer = Client::new(Duration::from_secs(5)).get(&args.url).await?;
        print_line(&format!("{} {}", answer.status, String::from_utf8_lossy(&answer.body).trim_end()))?;
        Ok(if answer.status == 200 { OK } else { FAILED })
    })
}
