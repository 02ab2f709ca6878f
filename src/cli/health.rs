//! `hookswitch health`

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    path::Path,
    time::Duration,
};

use super::{
    connect::block_on,
    exit::{FAILED, OK},
    https::{self, Https},
    load::load,
    output::print_line,
};

#[derive(clap::Args)]
pub(super) struct Args {
    /// URL to query: `/livez` (it is alive) or `/readyz` (it can work); without it, `/readyz` at
    /// `admin.listen` of the configuration
    #[arg(long)]
    url: Option<String>,
    /// Query `/livez` at `admin.listen` of the configuration instead
    #[arg(long, conflicts_with = "url")]
    live: bool,
    #[command(flatten)]
    https: Https,
}

/// Prints the response. Returns [`OK`] if its status is 200, and [`FAILED`] otherwise.
pub(super) fn run(args: &Args, path: Option<&Path>) -> anyhow::Result<u8> {
    let limit = Duration::from_secs(5);
    let (url, client) = match &args.url {
        Some(url) => (url.clone(), args.https.client(limit, url)?),
        None => {
            let admin = load(path)?.admin;
            let path = if args.live { "livez" } else { "readyz" };
            https::of_listener(limit, reachable(admin.listen), path, admin.tls_identity.as_ref())
        }
    };
    block_on(async {
        let answer = client.get(&url).await.map_err(|error| https::explained(&error))?;
        print_line(&format!("{} {}", answer.status, String::from_utf8_lossy(&answer.body).trim_end()))?;
        Ok(if answer.status == 200 { OK } else { FAILED })
    })
}

/// Returns the address at which a listener answers on this machine: one that listens everywhere also listens
/// on the loopback interface.
fn reachable(listen: SocketAddr) -> SocketAddr {
    let ip = listen.ip();
    let local: IpAddr = if ip.is_ipv4() { Ipv4Addr::LOCALHOST.into() } else { Ipv6Addr::LOCALHOST.into() };
    SocketAddr::new(if ip.is_unspecified() { local } else { ip }, listen.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listener_is_asked_where_it_answers() {
        for (listen, asked) in
            [("0.0.0.0:9464", "127.0.0.1:9464"), ("[::]:81", "[::1]:81"), ("10.0.0.7:9000", "10.0.0.7:9000")]
        {
            assert_eq!(reachable(listen.parse().unwrap()).to_string(), asked);
        }
    }
}
