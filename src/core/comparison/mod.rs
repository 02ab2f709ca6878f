//! What changes for consumers from one build to another: the events that both make of the same webhooks.

mod compare;
mod record;

use std::collections::BTreeMap;

pub use self::{
    compare::{Change, Difference, compare},
    record::{FORMAT, Failure, InvalidRecord, Outcome, Record, Unexpected},
};

/// Equal differences of several webhooks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// What they have in common. The values are those of the example.
    pub difference: Difference,
    /// The provider of the webhooks.
    pub provider: String,
    /// The number of events; of webhooks where no event is concerned.
    pub count: u64,
    /// The id of the first of the webhooks.
    pub example: String,
}

/// What two differences must have in common to be of one group: the change, the provider, the event's type,
/// and the field or error.
type GroupKey = (Change, String, Option<String>, String);

/// A comparison of two builds.
#[derive(Debug, Default)]
pub struct Comparison {
    /// Webhooks that are in only one of the two count too.
    webhooks: u64,
    unchanged: u64,
    groups: BTreeMap<GroupKey, Group>,
}

impl Comparison {
    /// Adds a webhook with the outcomes of both builds; none where a build did not get it.
    pub fn add(&mut self, provider: &str, id: &str, old: Option<&Outcome>, new: Option<&Outcome>) {
        let differences = compare(old, new);
        self.webhooks += 1;
        self.unchanged += u64::from(differences.is_empty());
        for difference in differences {
            let Difference { change, kind, what, .. } = difference.clone();
            let group = self.groups.entry((change, provider.to_owned(), kind, what));
            let (provider, example) = (provider.to_owned(), id.to_owned());
            group.or_insert(Group { difference, provider, count: 0, example }).count += 1;
        }
    }

    /// Returns the number of webhooks compared, and of those without a difference.
    pub fn counts(&self) -> (u64, u64) {
        (self.webhooks, self.unchanged)
    }

    /// Returns the groups of differences: the gravest change first, and of one change the most frequent.
    pub fn groups(&self) -> Vec<&Group> {
        let mut groups: Vec<_> = self.groups.values().collect();
        groups.sort_by_key(|group| (group.difference.change, std::cmp::Reverse(group.count)));
        groups
    }
}
