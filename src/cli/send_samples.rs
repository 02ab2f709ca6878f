//! `hookswitch send-samples`

use std::{collections::BTreeSet, time::Duration};

use anyhow::ensure;
use jiff::Timestamp;

use super::{
    connect::block_on,
    exit::{FAILED, OK, Unreachable},
    help,
    https::{self, Https},
    output::print_line,
};
use crate::{
    config::Config,
    core::providers::Provider,
    samples::{self, Sample},
};

#[derive(clap::Args)]
pub(super) struct Args {
    /// Base URL of the receiver; without it, `receiver.listen` of the configuration is used
    #[arg(long)]
    url: Option<String>,
    #[arg(long, help = format!("Send only the samples of one provider: {}", help::providers()))]
    provider: Option<Provider>,
    /// Send only the samples that give events of a type or a family, as in call.ended or call
    #[arg(long = "type", value_name = "TYPE")]
    kind: Option<String>,
    /// Send them with new ids, and with times that end now. Otherwise those sent before are duplicates
    #[arg(long)]
    fresh: bool,
    /// Authenticate each request with the first secret of its source in the configuration. Consumers then get
    /// the events of the samples beside real ones
    #[arg(long)]
    sign: bool,
    #[command(flatten)]
    https: Https,
}

/// Posts every sample to the first source of its provider.
pub(super) fn run(args: &Args, config: &Config) -> anyhow::Result<u8> {
    let samples = selected(args)?;
    let limit = Duration::from_secs(15);
    let (base, client) = match &args.url {
        Some(url) => (format!("{url}/in"), args.https.client(limit, url)?),
        None => {
            let receiver = &config.receiver;
            https::of_listener(limit, receiver.listen, "in", receiver.tls_identity.as_ref())
        }
    };
    block_on(async {
        let (mut sent, mut refused) = (0, 0);
        for mut sample in samples {
            let Some((source, settings)) = config.sources.iter().find(|(_, s)| s.provider == sample.provider)
            else {
                print_line(&format!(
                    "{:<8} {:<36} no source of this provider is configured",
                    sample.provider.as_str(),
                    sample.name
                ))?;
                refused += 1;
                continue;
            };
            if args.sign {
                settings.auth.sign(&mut sample.headers, &sample.body, Timestamp::now());
            }
            let url = format!("{base}/{source}");
            let headers: Vec<_> = sample.headers.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
            let answer = client.post(&url, &headers, sample.body).await.map_err(|error| {
                let error = https::explained(&error);
                Unreachable(format!("{error}; check that the receiver is running"))
            })?;
            let status = answer.status;
            print_line(&format!("{:<8} {:<36} {status}", sample.provider.as_str(), sample.name))?;
            if answer.status == 200 { sent += 1 } else { refused += 1 }
        }
        print_line(&format!("{sent} accepted, {refused} not"))?;
        Ok(if refused == 0 { OK } else { FAILED })
    })
}

/// Returns the samples to send, in the order of sending.
fn selected(args: &Args) -> anyhow::Result<Vec<Sample>> {
    let is_of_kind = |name: &str, kind: &str| {
        name.strip_prefix(kind).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    };
    let is_selected = |sample: &Sample| {
        let gives = |kind: &String| sample.events().iter().any(|(of, _)| is_of_kind(of.as_str(), kind));
        args.provider.is_none_or(|provider| provider == sample.provider)
            && args.kind.as_ref().is_none_or(gives)
    };
    let all = samples::all();
    let types: BTreeSet<_> = all.iter().flat_map(Sample::events).map(|(kind, _)| kind.as_str()).collect();
    let mut samples = all;
    // Ids and times that belong together stay so, whichever samples are selected.
    if args.fresh {
        samples::renew(&mut samples, Timestamp::now());
    }
    samples.retain(is_selected);
    ensure!(
        !samples.is_empty(),
        "no sample gives such events; the types of the samples are {}",
        types.into_iter().collect::<Vec<_>>().join(", ")
    );
    Ok(samples)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(provider: Option<Provider>, kind: Option<&str>) -> Args {
        Args {
            url: None,
            provider,
            kind: kind.map(ToOwned::to_owned),
            fresh: true,
            sign: false,
            https: Https::default(),
        }
    }

    #[test]
    fn samples_are_selected_by_provider_and_type() {
        let types = |provider, kind| -> BTreeSet<_> {
            let samples = selected(&args(provider, kind)).expect("some samples");
            assert!(samples.iter().all(|sample| provider.is_none_or(|provider| provider == sample.provider)));
            samples.iter().flat_map(Sample::events).map(|(kind, _)| kind.as_str()).collect()
        };
        assert_eq!(types(Some(Provider::Varda), Some("call.ended")), ["call.ended"].into());
        let family = types(Some(Provider::Wavix), Some("message"));
        assert_eq!(family, ["message.delivery_reported", "message.received"].into());
        assert!(types(None, None).len() > 50);
        for nothing in ["calls", "cal", "call.", "conversation"] {
            let error = selected(&args(Some(Provider::Wavix), Some(nothing))).expect_err("no samples");
            assert!(error.to_string().contains("call.ended"), "{error}");
        }
    }
}
