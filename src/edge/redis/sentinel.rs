//! Redis Sentinel: which server is the master.

use std::{cmp::Reverse, time::Duration};

use futures_util::future::join_all;

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
    /// Asks all Sentinels for the master, and returns the servers that they name: first the one that most of
    /// them name, since a Sentinel that is cut off from the others names the old one.
    ///
    /// # Errors
    /// None of them names one.
    pub(super) async fn masters(&self, timeout: Duration) -> Result<Vec<Node>, StoreError> {
        let asking = self.nodes.iter().map(|node| node.explain(self.ask(node, timeout)));
        let (mut named, mut errors) = (Vec::new(), Vec::new());
        for answer in join_all(asking).await {
            match answer {
                Ok(address) => named.push(address),
                Err(error) => errors.push(error),
            }
        }
        if named.is_empty() {
            return Err(StoreError::of_all(errors));
        }
        by_votes(named).iter().map(|(host, port)| self.master.at(host, *port)).collect()
    }

    /// Asks one of them.
    async fn ask(&self, sentinel: &Node, timeout: Duration) -> Result<(String, u16), StoreError> {
        let name = self.master.host();
        let mut call = redis::cmd("SENTINEL");
        call.arg("GET-MASTER-ADDR-BY-NAME").arg(name);
        let answer: Option<(String, u16)> = call.query_async(&mut sentinel.connect(timeout).await?).await?;
        answer.ok_or_else(|| {
            let advice = format!(
                "it watches no master named {name}: the host in redis.url must be the name that \
                 `sentinel monitor` has"
            );
            StoreError::new(Trouble::StoreDown, advice)
        })
    }
}

/// Returns each address once, the most frequent first.
fn by_votes(named: Vec<(String, u16)>) -> Vec<(String, u16)> {
    let mut counted: Vec<((String, u16), usize)> = Vec::new();
    for address in named {
        match counted.iter_mut().find(|(other, _)| *other == address) {
            Some((_, votes)) => *votes += 1,
            None => counted.push((address, 1)),
        }
    }
    counted.sort_by_key(|(_, votes)| Reverse(*votes));
    counted.into_iter().map(|(address, _)| address).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_master_that_most_sentinels_name_comes_first() {
        let [old, new] = ["10.0.0.1", "10.0.0.2"].map(|host| (host.to_owned(), 6379));
        let named = vec![old.clone(), new.clone(), new.clone()];
        assert_eq!(by_votes(named), [new, old]);
    }
}
