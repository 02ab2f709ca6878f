//! What Redis tells of itself.

use futures_util::future::try_join_all;

use super::{error::StoreError, since::field, store::Store};
use crate::edge::metrics::StoreMemory;

impl Store {
    /// Asks Redis for its memory, and what it does when that is full. Of the servers of a Redis Cluster the
    /// one tells its memory that is closest to its limit: each fills up by itself.
    ///
    /// # Errors
    /// [`StoreError`]: it is not known.
    pub async fn memory(&self) -> Result<StoreMemory, StoreError> {
        let infos = self.within_deadline(async |link| {
            let asking = link
                .servers
                .iter()
                .map(async |server| redis::cmd("INFO").query_async::<String>(&mut server.clone()).await);
            try_join_all(asking).await
        });
        Ok(infos.await?.iter().map(|info| memory(info)).reduce(fuller).unwrap_or_default())
    }
}

/// Returns the memory of the fuller one of two servers, and the evictions of both.
fn fuller(a: StoreMemory, b: StoreMemory) -> StoreMemory {
    // Without a limit, what is used decides.
    let share = |of: &StoreMemory| if of.max > 0 { of.used as f64 / of.max as f64 } else { 0.0 };
    let b_is_fuller = (share(&b), b.used) > (share(&a), a.used);
    StoreMemory {
        may_evict: a.may_evict || b.may_evict,
        evicted: a.evicted + b.evicted,
        ..if b_is_fuller { b } else { a }
    }
}

/// Reads the answer to `INFO`. What a server does not tell counts as 0.
fn memory(info: &str) -> StoreMemory {
    let number = |name| field(info, name).and_then(|value| value.trim().parse().ok()).unwrap_or_default();
    StoreMemory {
        used: number("used_memory"),
        max: number("maxmemory"),
        may_evict: field(info, "maxmemory_policy").is_some_and(|policy| policy.trim() != "noeviction"),
        evicted: number("evicted_keys"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_several_servers_the_fullest_one_counts() {
        let full = StoreMemory { used: 90, max: 100, may_evict: false, evicted: 1 };
        let large = StoreMemory { used: 500, max: 1_000, may_evict: true, evicted: 2 };
        let told = StoreMemory { may_evict: true, evicted: 3, ..full };
        assert_eq!((fuller(full, large), fuller(large, full)), (told, told));
        let unlimited = |used| StoreMemory { used, ..StoreMemory::default() };
        assert_eq!(fuller(unlimited(1), unlimited(2)).used, 2);
    }

    #[test]
    fn an_answer_to_info_is_read() {
        let info = "# Memory\r\nused_memory:1048576\r\nused_memory_human:1.00M\r\nmaxmemory:2097152\r\n\
                    maxmemory_policy:allkeys-lru\r\n# Stats\r\nevicted_keys:7\r\n";
        let told = StoreMemory { used: 1 << 20, max: 2 << 20, may_evict: true, evicted: 7 };
        assert_eq!(memory(info), told);
        assert!(!memory(&info.replace("allkeys-lru", "noeviction")).may_evict);
        assert_eq!(memory(""), StoreMemory::default());
    }
}
