//! The sources that are configured no more and whose raw queues are drained.

use std::{
    collections::BTreeSet,
    sync::{PoisonError, RwLock},
};

use crate::core::webhook::SourceName;

/// The names of these sources. There are none almost always.
#[derive(Default)]
pub(super) struct FormerSources(RwLock<BTreeSet<SourceName>>);

impl FormerSources {
    pub(super) fn contains(&self, source: &SourceName) -> bool {
        self.0.read().unwrap_or_else(PoisonError::into_inner).contains(source)
    }

    pub(super) fn add(&self, source: SourceName) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).insert(source);
    }
}
