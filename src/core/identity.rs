//! How the broker and virtual host that keys in Redis belong to are known again.

/// A broker and a virtual host.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BrokerIdentity {
    /// Their names, as a text for people.
    pub names: String,
    /// The time at which the topology was first applied; none if no record of it can be read.
    pub topology: Option<String>,
    /// The broker's version, which says nothing about who it is; empty if unknown.
    pub version: String,
}

impl BrokerIdentity {
    /// Returns whether both are one broker and virtual host.
    ///
    /// Either sign is enough: each node of a cluster that nobody named has a name of its own, and a broker
    /// that has lost its data has a new topology.
    pub fn is(&self, other: &Self) -> bool {
        self.names == other.names || self.topology.is_some() && self.topology == other.topology
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_broker_is_known_by_its_name_or_by_its_topology() {
        let identity = |names: &str, topology: Option<&str>| BrokerIdentity {
            names: names.to_owned(),
            topology: topology.map(str::to_owned),
            version: String::new(),
        };
        let known = identity("a", Some("monday"));
        for (other, is) in [
            (identity("a", Some("monday")), true),
            (identity("a", Some("friday")), true),
            (identity("a", None), true),
            (identity("b", Some("monday")), true),
            (identity("b", Some("friday")), false),
            (identity("b", None), false),
        ] {
            assert_eq!((known.is(&other), other.is(&known)), (is, is), "{other:?}");
        }
        assert!(!identity("a", None).is(&identity("b", None)), "nothing in common");
    }
}
