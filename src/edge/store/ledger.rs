//! The ledger in Redis (see [`crate::core::ledger`]).
//!
//! `hookswitch:ledger` holds which Redis it is and since when it counts; everything else has that moment in its name,
//! so that whatever a restart of Redis has lost is never added to what came later:
//!
//! | key | what |
//! | --- | --- |
//! | `hookswitch:ledger:<since>:runs` | set of `<source>/<run>` |
//! | `hookswitch:ledger:<since>:<source>/<run>` | hash: `through`, `closed`, and a count of every state |
//! | `hookswitch:ledger:<since>:<source>/<run>/<block>` | the states of 65,536 numbers, four bits each |
//! | `hookswitch:ledger:<since>:total:<source>` | hash: the counts of the runs that are summed up |
//!
//! What began before `since` is left alone. Nothing lives longer than [`TTL`] after it was last touched; a run goes
//! as a whole, so that what remains still balances.

use std::{collections::BTreeMap, time::Duration};

use jiff::Timestamp;
use redis::{ErrorKind, RedisResult, Script, ScriptInvocation, ServerErrorKind, aio::MultiplexedConnection};

use super::{Store, StoreError, millis};
use crate::core::{
    ledger::{Entry, Mark, RUN_MAX, Run, State, Sum},
    webhook::SourceName,
};

const ROOT: &str = "hookswitch:ledger";

/// Numbers in a block: 32 KiB.
const BLOCK: u64 = 65_536;

/// How long a run and its states are kept. A dead letter that is replayed later counts once more.
const TTL: Duration = Duration::from_secs(35 * 86_400);

/// A run whose receiver has not closed it by now, in milliseconds after its beginning, has lost its receiver.
const LONG_OVER: u128 = RUN_MAX.as_millis() * 4;

/// Since when this Redis counts. Another instance than last time means that it was started anew, or that a replica took
/// over, and what its predecessor knew last may be gone: it counts from now. One that knows nothing counts from its
/// start, unless it was made to forget (`ARGV[2]` is empty).
const OPEN: &str = r"
local instance = redis.call('HGET', KEYS[1], 'instance')
if instance ~= ARGV[1] then
  local time = redis.call('TIME')
  local since = string.format('%.0f', time[1] * 1000 + math.floor(time[2] / 1000))
  if not instance and ARGV[2] ~= '' then since = ARGV[2] end
  redis.call('HSET', KEYS[1], 'instance', ARGV[1], 'since', since)
end
return redis.call('HGET', KEYS[1], 'since')";

/// `settle(state, place)` for scripts whose keys 2 to 4 are a run, a block and the set of runs, and whose last two
/// arguments are the run's name and how long states live. See [`State::may_follow`] for the rule.
pub(super) const SETTLE: &str = r"
local names = {'done', 'duplicate', 'discarded', 'refused', 'dead'}
local over = {['0'] = '5', ['2'] = '045', ['3'] = '045', ['4'] = '0', ['5'] = '04'}
local function settle(state, place)
  local at = '#' .. place
  if state ~= '1' then
    local old = redis.call('BITFIELD', KEYS[3], 'GET', 'u4', at)[1]
    if not string.find(over[state], tostring(old), 1, true) then return end
  end
  local old = redis.call('BITFIELD', KEYS[3], 'SET', 'u4', at, state)[1]
  if old == tonumber(state) then return end
  if old ~= 0 then redis.call('HINCRBY', KEYS[2], names[old], -1) end
  if state ~= '0' and redis.call('HINCRBY', KEYS[2], names[tonumber(state)], 1) == 1 then
    redis.call('SADD', KEYS[4], ARGV[#ARGV - 1])
    redis.call('PEXPIRE', KEYS[2], ARGV[#ARGV])
    redis.call('PEXPIRE', KEYS[3], ARGV[#ARGV])
  end
end
";

/// Settles one number.
pub(super) const RECORD: &str = "settle(ARGV[1], ARGV[2])";

/// Notes how far a run has come, and that it is still wanted; fails where Redis has forgotten the ledger, so that it
/// is opened anew.
pub(super) const MARK: &str = r"
if redis.call('HGET', KEYS[3], 'since') ~= ARGV[5] then return redis.error_reply('GONE the ledger is gone') end
local through = tonumber(redis.call('HGET', KEYS[1], 'through') or '0')
if tonumber(ARGV[1]) >= through then redis.call('HSET', KEYS[1], 'through', ARGV[1]) end
if ARGV[2] == '1' then redis.call('HSET', KEYS[1], 'closed', 1) end
redis.call('SADD', KEYS[2], ARGV[3])
redis.call('PEXPIRE', KEYS[1], ARGV[4])
for block = math.floor(through / 65536), math.floor(tonumber(ARGV[1]) / 65536) do
  redis.call('PEXPIRE', KEYS[1] .. '/' .. string.format('%d', block), ARGV[4])
end";

/// Adds a run of which nothing is in the system any more to its source's total, once.
pub(super) const SUM_UP: &str = r"
local names = {'done', 'duplicate', 'discarded', 'dead'}
local run = redis.call('HMGET', KEYS[1], 'through', 'refused', unpack(names))
local open = (run[1] or 0) - (run[2] or 0)
for n = 1, #names do open = open - (run[n + 2] or 0) end
if open > 0 or redis.call('SREM', KEYS[2], ARGV[1]) == 0 then return end
for n, name in ipairs(names) do
  redis.call('HINCRBY', KEYS[3], name, run[n + 2] or 0)
end
redis.call('DEL', KEYS[1])";

/// The ledger of all sources at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ledger {
    /// Runs that began before this are not counted: Redis was started then, or cleared.
    pub since: Timestamp,
    /// The sum of each source that was asked for, or that has a run.
    pub sources: BTreeMap<String, Sum>,
}

/// Where a connection keeps the ledger: the moment since which this Redis counts, in milliseconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Since(u64);

impl Since {
    fn runs(self) -> String {
        format!("{ROOT}:{}:runs", self.0)
    }

    fn run(self, member: &str) -> String {
        format!("{ROOT}:{}:{member}", self.0)
    }

    fn block(self, member: &str, number: u64) -> String {
        format!("{ROOT}:{}:{member}/{}", self.0, number / BLOCK)
    }

    fn total(self, source: &str) -> String {
        format!("{ROOT}:{}:total:{source}", self.0)
    }
}

/// Opens the ledger on a new connection; none where Redis does not say which it is.
pub(super) async fn open(connection: &mut MultiplexedConnection) -> RedisResult<Option<Since>> {
    let asked = redis::cmd("INFO").arg("all").query_async::<String>(connection).await;
    let info = match asked {
        Ok(info) => info,
        Err(error) if error.kind() == ErrorKind::Server(ServerErrorKind::NoPerm) => {
            tracing::warn!(%error, "no ledger is kept: give hookswitch's Redis user the permission for INFO");
            return Ok(None);
        }
        Err(error) => return Err(error),
    };
    let (now, _): (u64, u64) = redis::cmd("TIME").query_async(connection).await?;
    let script = Script::new(OPEN);
    let mut call = script.key(ROOT);
    call.arg(field(&info, "run_id").unwrap_or("unknown")).arg(started(&info, now));
    let since: String = call.invoke_async(connection).await?;
    Ok(since.parse().ok().map(Since))
}

/// When Redis was started, in milliseconds since 1970; empty if it has been made to forget something since.
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
    /// Adds what [`SETTLE`] needs to a call whose first key is there. Whether the entry is to be counted.
    pub(super) fn add(
        self,
        call: &mut ScriptInvocation<'_>,
        source: &SourceName,
        entry: Option<Entry>,
    ) -> bool {
        let Some(entry) = entry.filter(|entry| entry.run.began > self.0) else { return false };
        let member = format!("{source}/{}", entry.run);
        call.key(self.run(&member))
            .key(self.block(&member, entry.number))
            .key(self.runs())
            .arg(entry.number % BLOCK)
            .arg(member)
            .arg(millis(TTL));
        true
    }
}

impl Store {
    /// Notes what became of a webhook; it may be noted again, and late.
    ///
    /// # Errors
    /// [`StoreError`]: noting it again is safe.
    pub async fn record(&self, source: &SourceName, entry: Entry, state: State) -> Result<(), StoreError> {
        let mut call = self.shared.record.prepare_invoke();
        // The scripts' first key is that of an idempotency key, which is of no use here.
        call.key("").arg(state as u8);
        self.within_deadline(async |link| {
            if !link.since.is_some_and(|since| since.add(&mut call, source, Some(entry))) {
                return Ok(());
            }
            call.invoke_async(&mut link.connection).await
        })
        .await
    }

    /// Notes how far a run has come.
    ///
    /// # Errors
    /// [`StoreError`]: noting it again is safe.
    pub async fn mark(&self, source: &SourceName, mark: &Mark) -> Result<(), StoreError> {
        for number in &mark.refused {
            self.record(source, Entry { run: mark.run, number: *number }, State::Refused).await?;
        }
        self.within_deadline(async |link| {
            let Some(since) = link.since.filter(|since| mark.run.began > since.0) else { return Ok(()) };
            let member = format!("{source}/{}", mark.run);
            let mut call = self.shared.mark.prepare_invoke();
            call.key(since.run(&member)).key(since.runs()).key(ROOT);
            call.arg(mark.through).arg(u8::from(mark.closed)).arg(member).arg(millis(TTL)).arg(since.0);
            call.invoke_async(&mut link.connection).await
        })
        .await
    }

    /// The ledger of `sources`, and of every source that has a run; none where Redis does not say which it is.
    /// Sums up the runs that are over. `now` is in milliseconds since 1970.
    ///
    /// # Errors
    /// [`StoreError`]
    pub async fn ledger(
        &self,
        sources: impl Iterator<Item = &SourceName>,
        now: u64,
    ) -> Result<Option<Ledger>, StoreError> {
        let mut sums: BTreeMap<String, Sum> =
            sources.map(|source| (source.to_string(), Sum::default())).collect();
        self.within_deadline(async |link| {
            let Some(since) = link.since else { return Ok(None) };
            let connection = &mut link.connection;
            let runs: Vec<String> = redis::cmd("SMEMBERS").arg(since.runs()).query_async(connection).await?;
            for source in runs.iter().filter_map(|member| Some(member.split_once('/')?.0)) {
                sums.entry(source.to_owned()).or_default();
            }
            for (source, sum) in &mut sums {
                *sum = read(connection, &since.total(source)).await?.0;
            }
            for member in &runs {
                let Some((source, run)) = member.split_once('/') else { continue };
                let (counts, closed) = read(connection, &since.run(member)).await?;
                *sums.entry(source.to_owned()).or_default() += counts;
                let old =
                    run.parse().is_ok_and(|run: Run| u128::from(now) > u128::from(run.began) + LONG_OVER);
                if (closed || old) && counts.in_system == 0 {
                    let mut call = self.shared.sum_up.prepare_invoke();
                    call.key(since.run(member)).key(since.runs()).key(since.total(source)).arg(member);
                    call.invoke_async::<()>(connection).await?;
                }
            }
            let millis = i64::try_from(since.0).unwrap_or(i64::MAX);
            let since = Timestamp::from_millisecond(millis).unwrap_or(Timestamp::MAX);
            Ok(Some(Ledger { since, sources: std::mem::take(&mut sums) }))
        })
        .await
    }
}

/// A run, or a total; and whether it is closed.
async fn read(connection: &mut MultiplexedConnection, key: &str) -> RedisResult<(Sum, bool)> {
    let fields = ["through", "refused", "done", "duplicate", "discarded", "dead", "closed"];
    let counts: Vec<Option<i64>> = redis::cmd("HMGET").arg(key).arg(&fields).query_async(connection).await?;
    let count = |n: usize| counts.get(n).copied().flatten().unwrap_or(0);
    Ok((Sum::of_run(count(0), count(1), count(2), count(3), count(4), count(5)), count(6) == 1))
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
