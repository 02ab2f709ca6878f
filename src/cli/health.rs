//! `hookswitch health`

use std::time::Duration;

use super::{FAILED, OK, block_on};
use crate::edge::http::Client;

#[derive(clap::Args)]
pub(super) struct Args {
    /// What to ask: `/livez` (it runs) or `/readyz` (it can work) of the admin listener
    #[arg(long, default_value = "http://127.0.0.1:9464/readyz")]
    url: String,
}

/// 0 if the answer is 200, 1 if it is another or none.
pub(super) fn run(args: &Args) -> anyhow::Result<u8> {
    block_on(async {
        let answer = Client::new(Duration::from_secs(5)).get(&args.url).await?;
        println!("{} {}", answer.status, String::from_utf8_lossy(&answer.body).trim_end());
        Ok(if answer.status == 200 { OK } else { FAILED })
    })
}
