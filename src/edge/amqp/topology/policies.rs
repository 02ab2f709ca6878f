//! The policies of the broker, and what they do to our exchanges and queues.
//!
//! AMQP does not tell which policies are in effect, so they are read from what `rabbitmqctl list_policies`
//! and `rabbitmqctl list_operator_policies` print as JSON. As in the broker, of each of the two kinds the
//! policy with the highest priority among those that match is in effect. `tests/it/policies.rs` tries on a real
//! broker what is said here.

use std::collections::BTreeMap;

use fancy_regex::Regex;
use serde::Deserialize;
use serde_json::Value;

use super::{
    effects::{Object, effect},
    spec::{Exchange, Queue, Topology},
};
use crate::core::printable::printable;

/// Lists that are expected: the policies of users, and those of operators.
const LISTS: usize = 2;

/// Why policies cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum PoliciesError {
    /// A list is missing.
    #[error(
        "expected the JSON of `rabbitmqctl list_policies` and of `rabbitmqctl list_operator_policies`, \
             but there are {0} lists of policies"
    )]
    Lists(usize),
    /// It is not what rabbitmqctl prints.
    #[error("expected the output of rabbitmqctl with `--formatter json`: {0}")]
    Format(#[from] serde_json::Error),
    /// They are in effect elsewhere.
    #[error(
        "these are policies of the virtual host `{0}`, but amqp.url names `{1}`: give `-p {1}` to rabbitmqctl"
    )]
    Vhost(String, String),
}

/// A policy as rabbitmqctl prints it.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Policy {
    vhost: String,
    name: String,
    pattern: String,
    apply_to: String,
    definition: Definition,
    priority: i64,
}

/// The keys of a policy and their values. rabbitmqctl prints them as JSON inside a text.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
enum Definition {
    Text(String),
    Object(BTreeMap<String, Value>),
}

/// A policy whose pattern and definition are read.
#[derive(Debug)]
struct Rule {
    policy: Policy,
    keys: BTreeMap<String, Value>,
    /// None if its pattern is not understood.
    pattern: Option<Regex>,
}

/// The policies of a virtual host: those of users, then those of operators.
#[derive(Debug)]
pub struct Policies(Vec<Vec<Rule>>);

/// What a policy does to some of our exchanges and queues.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyEffect {
    /// The policy's name and pattern.
    pub policy: String,
    /// The setting and its effect in words, as what the policy does; or why it is not known.
    pub what: String,
    /// The exchanges and queues, as in `queue raw.x`; none if it is not known.
    pub objects: Vec<String>,
}

impl Policies {
    /// Reads the two lists that rabbitmqctl prints, one after the other, for a virtual host.
    ///
    /// # Errors
    /// [`PoliciesError`]
    pub fn read(text: &str, vhost: &str) -> Result<Self, PoliciesError> {
        let lists = serde_json::Deserializer::from_str(text).into_iter::<Vec<Policy>>();
        let lists = lists.collect::<Result<Vec<_>, _>>()?;
        if lists.len() != LISTS {
            return Err(PoliciesError::Lists(lists.len()));
        }
        if let Some(other) = lists.iter().flatten().find(|policy| policy.vhost != vhost) {
            return Err(PoliciesError::Vhost(printable(&other.vhost).into_owned(), vhost.to_owned()));
        }
        let read = |list: Vec<Policy>| list.into_iter().map(Rule::of).collect::<Result<_, _>>();
        Ok(Self(lists.into_iter().map(read).collect::<Result<_, _>>()?))
    }

    /// Returns how many there are.
    pub fn len(&self) -> usize {
        self.0.iter().map(Vec::len).sum()
    }

    /// Returns whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Rule {
    fn of(policy: Policy) -> Result<Self, serde_json::Error> {
        let keys = match &policy.definition {
            Definition::Text(text) => serde_json::from_str(text)?,
            Definition::Object(keys) => keys.clone(),
        };
        Ok(Self { pattern: Regex::new(&policy.pattern).ok(), policy, keys })
    }

    /// Returns whether it may apply to an object. A pattern that takes too long to match counts as one that
    /// matches.
    fn matches(&self, object: &Object<'_>) -> bool {
        let applies = match (self.policy.apply_to.as_str(), object) {
            ("all", _) | ("exchanges", Object::Exchange(_)) | ("queues", Object::Queue(_)) => true,
            ("streams", Object::Queue(queue)) => queue.is_stream(),
            ("quorum_queues", Object::Queue(queue)) => !queue.is_stream(),
            _ => false,
        };
        let pattern = self.pattern.as_ref();
        applies && pattern.is_some_and(|pattern| pattern.is_match(object.name()).unwrap_or(true))
    }

    /// Returns its name and its pattern.
    fn shown(&self) -> String {
        format!("{} (pattern {})", printable(&self.policy.name), printable(&self.policy.pattern))
    }
}

impl Topology {
    /// Returns what policies do to these exchanges and queues: nothing, if all is well.
    pub fn effects(&self, policies: &Policies) -> Vec<PolicyEffect> {
        let exchanges = self.exchanges.iter().map(|exchange: &Exchange| Object::Exchange(exchange));
        let objects: Vec<_> =
            exchanges.chain(self.queues.iter().map(|queue: &Queue| Object::Queue(queue))).collect();
        let mut found: BTreeMap<(String, String), Vec<String>> = BTreeMap::new();
        for list in &policies.0 {
            for unread in list.iter().filter(|rule| rule.pattern.is_none()) {
                let what = "has a pattern that hookswitch does not understand: look at what it applies to"
                    .to_owned();
                found.entry((unread.shown(), what)).or_default();
            }
            for object in &objects {
                for rule in in_effect(list, object) {
                    for (key, value) in &rule.keys {
                        if let Some(what) = effect(object, key, value) {
                            let what = format!("sets {} = {value}: {what}", printable(key));
                            found.entry((rule.shown(), what)).or_default().push(object.shown());
                        }
                    }
                }
            }
        }
        let effect = |((policy, what), objects)| PolicyEffect { policy, what, objects };
        found.into_iter().map(effect).collect()
    }
}

/// Returns the policies of a list that may be in effect on an object: those with the highest priority. The
/// broker does not say which of several it takes.
fn in_effect<'a>(list: &'a [Rule], object: &Object<'_>) -> impl Iterator<Item = &'a Rule> {
    let matching: Vec<_> = list.iter().filter(|rule| rule.matches(object)).collect();
    let highest = matching.iter().map(|rule| rule.policy.priority).max();
    matching.into_iter().filter(move |rule| Some(rule.policy.priority) == highest)
}
