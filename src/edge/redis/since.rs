//! Where the ledger is in Redis, and since when it counts.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use redis::{ErrorKind, RedisError, RedisResult, ScriptInvocation, aio::MultiplexedConnection};

use super::{
    error::{OVERWRITTEN, is_overwritten},
    names::{self, MarkNames, Names},
    scripts::{self, millis},
};
use crate::core::{
    events::key::StoreKey,
    ledger::{Entry, NUMBER_MAX, Run},
    webhook::SourceName,
};

/// The time by which a loss counts as later than it seems: Redis tells its age in seconds, and the clocks of
/// receivers may be ahead of its own.
const MARGIN: Duration = Duration::from_secs(2);

/// Numbers in a block: 32 KiB.
pub(super) const BLOCK: u64 = 65_536;

/// Numbers in a word of a block: 32 bits, which scripts read and write at once.
const WORD: u64 = 8;

/// The time for which a run and its states are kept. A dead letter that is replayed later counts once more.
pub(super) const TTL: Duration = Duration::from_secs(35 * 86_400);

/// Where the ledger is: the key that holds which Redis it is and since when it counts (the root), and that
/// moment in milliseconds since 1970. The moment is part of the names of all other keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Since {
    root: Arc<str>,
    millis: u64,
}

/// A server, as it was found when a connection was opened.
#[derive(Clone, Debug)]
pub(super) struct Instance {
    /// Its own id of this process of it.
    run_id: String,
    /// Its start in milliseconds since 1970; empty if it has been made to forget something since.
    started: String,
}

impl Instance {
    /// Asks a server.
    pub(super) async fn of(connection: &mut MultiplexedConnection) -> RedisResult<Self> {
        let info: String = redis::cmd("INFO").arg("all").query_async(connection).await?;
        let (now, _): (u64, u64) = redis::cmd("TIME").query_async(connection).await?;
        let run_id = field(&info, "run_id").unwrap_or("unknown").to_owned();
        Ok(Self { run_id, started: started(&info, now) })
    }
}

/// Opens the ledger of a namespace on a new connection; none where another program has overwritten its root.
///
/// What hookswitch's user may not do is an error. Deliveries must not go on uncounted: what is not counted
/// would look lost for good.
pub(super) async fn open(
    connection: &mut MultiplexedConnection,
    instance: &Instance,
    namespace: &str,
    marks: MarkNames,
) -> RedisResult<Option<Since>> {
    let root = names::ledger(namespace);
    let script = scripts::open();
    let mut call = script.key(root.as_str());
    call.arg(&instance.run_id).arg(&instance.started).arg(millis(MARGIN));
    let since: String = match call.arg(marks.as_str()).invoke_async(connection).await {
        Err(error) if is_overwritten(&error) => {
            tracing::error!(key = root, "no ledger is kept{OVERWRITTEN}");
            return Ok(None);
        }
        since => since?,
    };
    Ok(since.parse().ok().map(|millis| Since { root: root.into(), millis }))
}

/// Tries every command that is needed, so that a missing permission is found now.
pub(super) async fn probe(
    connection: &mut MultiplexedConnection,
    names: &Names,
    since: Option<&Since>,
) -> RedisResult<()> {
    let script = scripts::probe();
    let mut call = script.prepare_invoke();
    call.key(names.mark(&StoreKey::default())).key(names.probe("any"));
    if let Some(since) = since {
        call.key(&*since.root);
        for key in ["runs", "run", "run/0"] {
            call.key(names.probe(key));
        }
        call.arg(since.millis).arg(1_000).arg("probe").arg(1).arg("#0").arg(1);
    }
    call.invoke_async(connection).await
}

/// Returns the start of Redis in milliseconds since 1970; empty if it has been made to forget something
/// since.
fn started(info: &str, now: u64) -> String {
    let forgot = info.contains("\ncmdstat_flush") || field(info, "evicted_keys") != Some("0");
    match field(info, "uptime_in_seconds").and_then(|uptime| uptime.parse::<u64>().ok()) {
        Some(uptime) if !forgot => (now.saturating_sub(uptime) * 1_000).to_string(),
        Some(_) | None => String::new(),
    }
}

/// Returns the value of a field in the answer to `INFO`.
pub(super) fn field<'a>(info: &'a str, name: &str) -> Option<&'a str> {
    info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))
}

impl Since {
    /// Names the root.
    pub(super) fn root(&self) -> &str {
        &self.root
    }

    /// Returns the moment in milliseconds since 1970.
    pub(super) fn millis(&self) -> u64 {
        self.millis
    }

    /// Returns whether a run is counted: it began after this moment.
    pub(super) fn counts(&self, run: Run) -> bool {
        run.began > self.millis
    }

    /// Names the set of runs.
    pub(super) fn runs(&self) -> String {
        self.name("runs")
    }

    /// Names a run's hash.
    pub(super) fn run(&self, member: &str) -> String {
        self.name(member)
    }

    /// Names a block of a run's states.
    pub(super) fn block(&self, member: &str, block: u64) -> String {
        format!("{}:{}:{member}/{block}", self.root, self.millis)
    }

    /// Names the hash of a source's total.
    pub(super) fn total(&self, source: &str) -> String {
        format!("{}:{}:total:{source}", self.root, self.millis)
    }

    fn name(&self, what: &str) -> String {
        format!("{}:{}:{what}", self.root, self.millis)
    }

    /// Fails if Redis has lost the ledger, or has begun another.
    pub(super) async fn still_counts(&self, connection: &mut MultiplexedConnection) -> RedisResult<()> {
        let since: Option<u64> =
            redis::cmd("HGET").arg(&*self.root).arg("since").query_async(connection).await?;
        if since == Some(self.millis) {
            return Ok(());
        }
        Err(RedisError::from((ErrorKind::Client, "GONE the ledger is gone")))
    }

    /// Adds the arguments of `settle.lua` to a call. Returns whether there is anything to count.
    ///
    /// The number of a webhook comes with its message. One that no receiver gives is not counted.
    pub(super) fn add(
        &self,
        call: &mut ScriptInvocation<'_>,
        source: &SourceName,
        entries: impl IntoIterator<Item = Entry>,
    ) -> bool {
        let mut groups: BTreeMap<(Run, u64), BTreeMap<u64, u8>> = BTreeMap::new();
        for Entry { run, number } in
            entries.into_iter().filter(|entry| self.counts(entry.run) && entry.number <= NUMBER_MAX)
        {
            let (block, place) = (number / BLOCK, number % BLOCK);
            let words = groups.entry((run, block)).or_default();
            *words.entry(place / WORD).or_default() |= 0x80 >> (place % WORD);
        }
        if groups.is_empty() {
            return false;
        }
        call.key(&*self.root).key(self.runs()).arg(self.millis).arg(millis(TTL));
        for ((run, block), words) in &groups {
            let member = format!("{source}/{run}");
            call.key(self.run(&member)).key(self.block(&member, *block)).arg(member).arg(words.len());
            for (word, numbers) in words {
                call.arg(format!("#{word}")).arg(numbers);
            }
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_redis_that_was_made_to_forget_does_not_say_when_it_was_started() {
        let info = "# Server\r\nuptime_in_seconds:40\r\n# Stats\r\nevicted_keys:0\r\n";
        assert_eq!(started(info, 100), "60000");
        assert_eq!(started(&info.replace("keys:0", "keys:1"), 100), "");
        assert_eq!(started(&format!("{info}cmdstat_flushall:calls=1\r\n"), 100), "");
        assert_eq!(started("", 100), "");
    }
}
