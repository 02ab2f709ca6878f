//! Where the ledger is in Redis, and since when it counts.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use redis::{
    ErrorKind, RedisError, RedisResult, ScriptInvocation, ServerErrorKind, aio::MultiplexedConnection,
};

use super::{
    error::{OVERWRITTEN, is_overwritten},
    scripts::{self, millis},
};
use crate::core::{
    ledger::{Entry, Run},
    webhook::SourceName,
};

/// The key that holds which Redis it is and since when it counts.
pub(super) const ROOT: &str = "hookswitch:ledger";

/// The time by which a loss counts as later than it seems: Redis tells its age in seconds, and the clocks of
/// receivers may be ahead of its own.
const MARGIN: Duration = Duration::from_secs(2);

/// Numbers in a block: 32 KiB.
pub(super) const BLOCK: u64 = 65_536;

/// The time for which a run and its states are kept. A dead letter that is replayed later counts once more.
pub(super) const TTL: Duration = Duration::from_secs(35 * 86_400);

/// The moment since which this Redis counts, in milliseconds since 1970. It is part of the names of all keys
/// but [`ROOT`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Since(u64);

/// Opens the ledger on a new connection; none where Redis does not say which it is.
pub(super) async fn open(connection: &mut MultiplexedConnection) -> RedisResult<Option<Since>> {
    let asked = redis::cmd("INFO").arg("all").query_async::<String>(connection).await;
    let info = match asked {
        Ok(info) => info,
        Err(error) if error.kind() == ErrorKind::Server(ServerErrorKind::NoPerm) => {
            tracing::warn!(%error, "no ledger is kept: grant hookswitch's Redis user the command INFO");
            return Ok(None);
        }
        Err(error) => return Err(error),
    };
    let (now, _): (u64, u64) = redis::cmd("TIME").query_async(connection).await?;
    let script = scripts::open();
    let mut call = script.key(ROOT);
    call.arg(field(&info, "run_id").unwrap_or("unknown")).arg(started(&info, now)).arg(millis(MARGIN));
    let since: String = match call.invoke_async(connection).await {
        Err(error) if is_overwritten(&error) => {
            tracing::error!(key = ROOT, "no ledger is kept{OVERWRITTEN}");
            return Ok(None);
        }
        since => since?,
    };
    let Some(since) = since.parse().ok().map(Since) else { return Ok(None) };
    let probe = scripts::probe();
    let mut call = probe.prepare_invoke();
    for key in ["probe:runs", "probe", "probe/0"] {
        call.key(since.run(key));
    }
    match call.arg(1_000).arg("probe").arg(1).arg(0).invoke_async::<()>(connection).await {
        Ok(()) => Ok(Some(since)),
        Err(error) if matches!(error.kind(), ErrorKind::Server(_)) => {
            tracing::warn!(%error, "no ledger is kept: Redis refuses its commands");
            Ok(None)
        }
        Err(error) => Err(error),
    }
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

fn field<'a>(info: &'a str, name: &str) -> Option<&'a str> {
    info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))
}

impl Since {
    /// Returns the moment in milliseconds since 1970.
    pub(super) fn millis(self) -> u64 {
        self.0
    }

    /// Returns whether a run is counted: it began after this moment.
    pub(super) fn counts(self, run: Run) -> bool {
        run.began > self.0
    }

    /// Names the set of runs.
    pub(super) fn runs(self) -> String {
        format!("{ROOT}:{}:runs", self.0)
    }

    /// Names a run's hash.
    pub(super) fn run(self, member: &str) -> String {
        format!("{ROOT}:{}:{member}", self.0)
    }

    /// Names a block of a run's states.
    pub(super) fn block(self, member: &str, block: u64) -> String {
        format!("{ROOT}:{}:{member}/{block}", self.0)
    }

    /// Names the hash of a source's total.
    pub(super) fn total(self, source: &str) -> String {
        format!("{ROOT}:{}:total:{source}", self.0)
    }

    /// Adds the arguments of `settle.lua` to a call. Returns whether there is anything to count.
    pub(super) fn add(
        self,
        call: &mut ScriptInvocation<'_>,
        source: &SourceName,
        entries: impl Iterator<Item = Entry>,
    ) -> bool {
        let mut groups: BTreeMap<(Run, u64), BTreeSet<u64>> = BTreeMap::new();
        for entry in entries.filter(|entry| self.counts(entry.run)) {
            groups.entry((entry.run, entry.number / BLOCK)).or_default().insert(entry.number % BLOCK);
        }
        call.key(self.runs()).arg(millis(TTL));
        for ((run, block), places) in &groups {
            let member = format!("{source}/{run}");
            call.key(self.run(&member)).key(self.block(&member, *block)).arg(member).arg(places.len());
            for place in places {
                call.arg(*place);
            }
        }
        !groups.is_empty()
    }

    /// Fails if Redis has lost the ledger, or has begun another.
    pub(super) async fn still_counts(self, connection: &mut MultiplexedConnection) -> RedisResult<()> {
        let since: Option<u64> = redis::cmd("HGET").arg(ROOT).arg("since").query_async(connection).await?;
        if since == Some(self.0) {
            return Ok(());
        }
        Err(RedisError::from((ErrorKind::Client, "the ledger is gone")))
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
