//! A budget of bytes for what clients send, over all connections.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

/// A budget of bytes. Cloning it shares it.
#[derive(Clone, Debug)]
pub struct Memory(Arc<Account>);

#[derive(Debug)]
struct Account {
    max: AtomicUsize,
    used: AtomicUsize,
    /// The budget that this one is a share of: what is taken here is taken there too.
    whole: Option<Memory>,
}

/// No bytes are left in a budget.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the budget of bytes is used up")]
pub struct MemoryFull;

impl Memory {
    /// Creates a budget of `max` bytes.
    pub fn new(max: usize) -> Self {
        Self::of(max, None)
    }

    /// Creates a share of this budget: at most `max` bytes of it.
    pub fn share(&self, max: usize) -> Self {
        Self::of(max, Some(self.clone()))
    }

    fn of(max: usize, whole: Option<Self>) -> Self {
        Self(Arc::new(Account { max: AtomicUsize::new(max), used: AtomicUsize::new(0), whole }))
    }

    /// Changes the size. What is taken stays taken, even if it is more.
    pub fn resize(&self, max: usize) {
        self.0.max.store(max, Ordering::Relaxed);
    }

    /// Returns an empty holding, to grow.
    pub fn hold(&self) -> Held {
        Held { memory: self.clone(), bytes: 0 }
    }

    /// Returns true if `bytes` more could be taken now.
    pub fn has_room_for(&self, bytes: usize) -> bool {
        let Account { max, used, whole } = &*self.0;
        let fits = bytes <= max.load(Ordering::Relaxed).saturating_sub(used.load(Ordering::Relaxed));
        fits && whole.as_ref().is_none_or(|whole| whole.has_room_for(bytes))
    }

    fn take(&self, bytes: usize) -> Result<(), MemoryFull> {
        let Account { max, used, whole } = &*self.0;
        let max = max.load(Ordering::Relaxed);
        let grown = |used: usize| used.checked_add(bytes).filter(|used| *used <= max);
        used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, grown).map_err(|_| MemoryFull)?;
        let taken = whole.as_ref().map_or(Ok(()), |whole| whole.take(bytes));
        if taken.is_err() {
            used.fetch_sub(bytes, Ordering::Relaxed);
        }
        taken
    }

    fn give_back(&self, bytes: usize) {
        self.0.used.fetch_sub(bytes, Ordering::Relaxed);
        if let Some(whole) = &self.0.whole {
            whole.give_back(bytes);
        }
    }
}

/// Bytes taken from a [`Memory`], which are given back when this is dropped.
#[derive(Debug)]
pub struct Held {
    memory: Memory,
    bytes: usize,
}

impl Held {
    /// Takes `bytes` more.
    ///
    /// # Errors
    /// [`MemoryFull`]: none of them was taken.
    pub fn grow(&mut self, bytes: usize) -> Result<(), MemoryFull> {
        self.memory.take(bytes)?;
        self.bytes += bytes;
        Ok(())
    }

    /// Returns the bytes held.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Gives all bytes back.
    pub(super) fn release(&mut self) {
        self.memory.give_back(self.bytes);
        self.bytes = 0;
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.release();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_ends_before_the_whole_and_gives_back_to_both() {
        let whole = Memory::new(10);
        let (a, b) = (whole.share(6), whole.share(6));
        let (mut of_a, mut of_b) = (a.hold(), b.hold());
        assert_eq!(of_a.grow(7), Err(MemoryFull));
        assert_eq!(of_a.grow(6), Ok(()));
        assert!(b.has_room_for(4) && !b.has_room_for(5));
        assert_eq!(of_b.grow(5), Err(MemoryFull));
        assert_eq!(of_b.grow(4), Ok(()));
        assert_eq!(whole.hold().grow(1), Err(MemoryFull));
        drop(of_a);
        assert_eq!(of_b.grow(2), Ok(()));
        drop(of_b);
        assert!(whole.has_room_for(10) && !whole.has_room_for(11));
    }

    #[test]
    fn a_budget_that_shrinks_gives_nothing_until_enough_came_back() {
        let memory = Memory::new(10);
        let [mut first, mut second] = [memory.hold(), memory.hold()];
        assert_eq!((first.grow(4), second.grow(4)), (Ok(()), Ok(())));
        memory.resize(5);
        assert!(!memory.has_room_for(1) && second.grow(1) == Err(MemoryFull));
        drop(first);
        assert_eq!(second.grow(1), Ok(()));
    }
}
