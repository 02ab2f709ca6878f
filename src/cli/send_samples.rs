//! `hookswitch send-samples`

use std::time::Duration;

use bytes::Bytes;

use super::{
    connect::block_on,
    exit::{FAILED, OK, Unreachable},
    output::print_line,
};
use crate::{config::Config, edge::http::Client, samples};

#[derive(clap::Args)]
pub(super) struct Args {
    /// Base URL of the receiver; without it, `receiver.listen` of the configuration is used
    #[arg(long)]
    url: Option<String>,
}

/// Posts every sample to the first source of its provider. The requests carry no authentication.
pub(super) fn run(args: &Args, config: &Config) -> anyhow::Result<u8> {
    let base = args.url.clone().unwrap_or_else(|| format!("http://{}", config.receiver.listen));
    block_on(async {
        let client = Client::new(Duration::from_secs(15));
        let (mut sent, mut refused) = (0, 0);
        for sample in samples::all() {
            let Some((source, _)) = config.sources.iter().find(|(_, s)| s.provider == sample.provider) else {
                print_line(&format!(
                    "{:<8} {:<36} no source of this provider is configured",
                    sample.provider.as_str(),
                    sample.name
                ))?;
                refused += 1;
                continue;
            };
            let url = format!("{base}/in/{source}");
            let headers: Vec<_> = sample.headers.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
            let answer = client
                .post(&url, &headers, Bytes::from_static(sample.body))
                .await
                .map_err(|error| Unreachable(format!("{error}; check that the receiver is running")))?;
            let status = answer.status;
            print_line(&format!("{:<8} {:<36} {status}", sample.provider.as_str(), sample.name))?;
            if answer.status == 200 { sent += 1 } else { refused += 1 }
        }
        print_line(&format!("{sent} accepted, {refused} not"))?;
        Ok(if refused == 0 { OK } else { FAILED })
    })
}
