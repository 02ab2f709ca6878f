//! What Redis tells of itself.

use super::{error::StoreError, since::field, store::Store};
use crate::edge::metrics::StoreMemory;

impl Store {
    /// Asks Redis for its memory, and what it does when that is full.
    ///
    /// # Errors
    /// [`StoreError`]: it is not known.
    pub async fn memory(&self) -> Result<StoreMemory, StoreError> {
        let info: String = self
            .within_deadline(async |link| redis::cmd("INFO").query_async(&mut link.connection).await)
            .await?;
        Ok(memory(&info))
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
    fn an_answer_to_info_is_read() {
        let info = "# Memory\r\nused_memory:1048576\r\nused_memory_human:1.00M\r\nmaxmemory:2097152\r\n\
                    maxmemory_policy:allkeys-lru\r\n# Stats\r\nevicted_keys:7\r\n";
        let told = StoreMemory { used: 1 << 20, max: 2 << 20, may_evict: true, evicted: 7 };
        assert_eq!(memory(info), told);
        assert!(!memory(&info.replace("allkeys-lru", "noeviction")).may_evict);
        assert_eq!(memory(""), StoreMemory::default());
    }
}
