//! Redis Sentinel: which server is the master.

use std::time::Duration;

use futures_util::future::join_all;
use redis::RedisError;

use super::{error::StoreError, node::Node};
use crate::edge::trouble::Trouble;

/// The Sentinels, and the master that they watch.
#[derive(Clone, Debug)]
pub(super) struct Sentinels {
    pub(super) nodes: Vec<Node>,
    /// The login, the database and the TLS of the master, whichever server it is. Its host is the name that
    /// Sentinel knows.
    pub(super) master: Node,
}

impl Sentinels {
    /// Asks all Sentinels for the master, and returns the server that most of all of them name: one that is
    /// cut off from the others names the old one.
    ///
    /// # Errors
    /// No server is named by more than half of the Sentinels.
    pub(super) async fn master(&self, timeout: Duration) -> Result<Node, StoreError> {
        let asking = self.nodes.iter().map(|node| node.explain(self.ask(node, timeout)));
        let (mut named, mut errors) = (Vec::new(), Vec::new());
        for answer in join_all(asking).await {
            match answer {
                Ok(address) => named.push(address),
                Err(error) => errors.push(error),
            }
        }
        let Some((host, port)) = by_majority(&named, self.nodes.len()) else {
            if !named.is_empty() {
                let few = "no master is named by more than half of the Sentinels";
                errors.insert(0, StoreError::new(Trouble::StoreDown, few));
            }
            return Err(StoreError::of_all(errors));
        };
        for error in errors {
            tracing::warn!(%error, "a Sentinel does not say who the master is");
        }
        self.master.at(host, *port)
    }

    /// Asks one of them.
    async fn ask(&self, sentinel: &Node, timeout: Duration) -> Result<(String, u16), StoreError> {
        let name = self.master.host();
        let mut call = redis::cmd("SENTINEL");
        call.arg("GET-MASTER-ADDR-BY-NAME").arg(name);
        let answering = call.query_async(&mut sentinel.connect(timeout).await?).await;
        let answer: Option<(String, u16)> =
            answering.map_err(|error: RedisError| match error.to_string().contains("unknown command") {
                true => StoreError::new(Trouble::StoreDown, "it is a Redis and no Sentinel"),
                false => error.into(),
            })?;
        answer.ok_or_else(|| {
            let advice = format!(
                "it watches no master named {name}: the host in redis.url must be the name that \
                 `sentinel monitor` has"
            );
            StoreError::new(Trouble::StoreDown, advice)
        })
    }
}

/// Returns the address that more than half of all Sentinels name.
fn by_majority(named: &[(String, u16)], sentinels: usize) -> Option<&(String, u16)> {
    let votes = |address: &&(String, u16)| named.iter().filter(|other| other == address).count();
    named.iter().find(|address| votes(address) * 2 > sentinels)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_master_is_the_one_that_more_than_half_of_the_sentinels_name() {
        let [old, new] = ["10.0.0.1", "10.0.0.2"].map(|host| (host.to_owned(), 6379));
        let named = [old.clone(), new.clone(), new.clone()];
        assert_eq!(by_majority(&named, 3), Some(&new));
        assert_eq!(by_majority(&named[..2], 3), None, "they disagree");
        assert_eq!(by_majority(&named[1..], 5), None, "too few answer");
        assert_eq!(by_majority(&named[..1], 1), Some(&old));
    }
}
