//! Keys whose events are confirmed and whose done marks Redis could not take.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use crate::core::{
    events::{
        key::{BodyHash, StoreKey},
        order::Place,
    },
    ledger::Entry,
};

/// The confirmed keys of this process whose done marks are missing. A delivery with such a key must not be
/// published again: it marks the key done instead.
#[derive(Default)]
pub(super) struct Unmarked(Mutex<HashMap<StoreKey, MissingMark>>);

/// A done mark that is missing.
#[derive(Clone, Copy, Debug)]
pub(super) struct MissingMark {
    /// The entry of the webhook that was published.
    pub(super) entry: Option<Entry>,
    /// The hash of its body.
    pub(super) body: BodyHash,
    /// The last place of its events.
    pub(super) place: Option<Place>,
    /// The time at which the mark would expire.
    pub(super) until: Instant,
}

impl Unmarked {
    /// Returns whether the done mark of a key is missing.
    pub(super) fn contains(&self, key: StoreKey) -> bool {
        self.lock().contains_key(&key)
    }

    /// Returns the missing mark of a key.
    pub(super) fn get(&self, key: StoreKey) -> Option<MissingMark> {
        self.lock().get(&key).copied()
    }

    /// Adds missing marks. Drops those that would have expired: another process may have marked their keys
    /// since, and then none of their deliveries comes here any more.
    pub(super) fn add(&self, missing: impl Iterator<Item = (StoreKey, MissingMark)>) {
        let (mut map, now) = (self.lock(), Instant::now());
        map.retain(|_, missing| missing.until > now);
        map.extend(missing);
    }

    /// Removes keys that are marked now.
    pub(super) fn remove(&self, keys: impl Iterator<Item = StoreKey>) {
        let mut map = self.lock();
        for key in keys {
            map.remove(&key);
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<StoreKey, MissingMark>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::core::events::key::IdempotencyKey;

    #[test]
    fn a_missing_mark_is_kept_until_it_is_made_or_would_have_expired() {
        let source = "a".parse().expect("a name");
        let [first, second] = ["1", "2"].map(|part| IdempotencyKey::from_parts(&[part]).store_key(&source));
        let mark = |until| MissingMark { entry: None, body: BodyHash::of(b"1"), place: None, until };
        let (unmarked, now) = (Unmarked::default(), Instant::now());
        unmarked.add([(first, mark(now))].into_iter());
        assert!(unmarked.contains(first) && !unmarked.contains(second));
        unmarked.add([(second, mark(now + Duration::from_secs(60)))].into_iter());
        assert!(!unmarked.contains(first), "it would have expired");
        assert_eq!(unmarked.get(second).map(|missing| missing.body), Some(BodyHash::of(b"1")));
        unmarked.remove([second].into_iter());
        assert!(!unmarked.contains(second));
    }
}
