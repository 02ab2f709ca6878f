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
//! | `hookswitch:ledger:<since>:total:<source>` | hash: the sum of what is over; such a run notes how much of it was `summed` |
//!
//! What began before `since` is left alone. Nothing lives longer than 35 days after it was last touched; a run goes
//! as a whole, so that what remains still balances.

use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    time::Duration,
};

use jiff::Timestamp;
use redis::{
    ErrorKind, RedisError, RedisResult, Script, ScriptInvocation, ServerErrorKind, aio::MultiplexedConnection,
};

use super::{Link, OVERWRITTEN, Store, StoreError, is_overwritten, millis};
use crate::core::{
    ledger::{Counts, Entry, Mark, RUN_MAX, Run, State, Sum},
    webhook::SourceName,
};

const ROOT: &str = "hookswitch:ledger";

/// How much later than it is thought to have been a loss counts: Redis tells its age in seconds, and the clocks of
/// receivers may be ahead of its own.
const MARGIN: Duration = Duration::from_secs(2);

/// Runs that are read at a time.
const AT_A_TIME: usize = 500;

/// How long drawing the ledger may take; it holds up nobody.
const DRAW_MAX: Duration = Duration::from_secs(10);

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
  local since = time[1] * 1000 + math.floor(time[2] / 1000)
  if not instance and ARGV[2] ~= '' then since = ARGV[2] end
  since = string.format('%.0f', since + ARGV[3])
  redis.call('HSET', KEYS[1], 'instance', ARGV[1], 'since', since)
end
return redis.call('HGET', KEYS[1], 'since')";

/// `settle(state, key, arg)` for scripts: from `key` on stand the set of runs and, for each group of numbers, a run and a
/// block; from `arg` on, how long states live and, for each group, the run's name and the numbers' places: how many, and
/// which, each once. See [`State::may_follow`] for the rule.
///
/// A group one of whose keys was overwritten is not counted, and the key is answered: the books must not hold up the work.
pub(super) const SETTLE: &str = r"
local names = {'done', 'duplicate', 'discarded', 'refused', 'dead'}
local over = {['1'] = '02345', ['2'] = '045', ['3'] = '045', ['4'] = '0', ['5'] = '04'}
local at
local function settle_group(state, runs, ttl, run, block, member, first, last)
  local get, set, fresh = {}, {}, 0
  for n = first, last do
    get[#get + 1], get[#get + 2], get[#get + 3] = 'GET', 'u4', '#' .. ARGV[n]
  end
  at = block
  local states = redis.call('BITFIELD', block, unpack(get))
  at = run
  for n, old in ipairs(states) do
    if string.find(over[state], tostring(old), 1, true) then
      set[#set + 1], set[#set + 2], set[#set + 3], set[#set + 4] = 'SET', 'u4', '#' .. ARGV[first - 1 + n], state
      fresh = fresh + 1
      if old ~= 0 then redis.call('HINCRBY', run, names[old], -1) end
    end
  end
  if fresh > 0 then
    local count = redis.call('HINCRBY', run, names[tonumber(state)], fresh)
    redis.call('BITFIELD', block, unpack(set))
    if count == fresh then
      redis.call('PEXPIRE', run, ttl)
      redis.call('PEXPIRE', block, ttl)
      at = runs
      redis.call('SADD', runs, member)
    end
  end
end
local function settle(state, key, arg)
  local runs, ttl, unreadable = KEYS[key], ARGV[arg], {}
  key, arg = key + 1, arg + 1
  while KEYS[key] do
    local last = arg + 1 + tonumber(ARGV[arg + 1])
    local counted, failure = pcall(settle_group, state, runs, ttl, KEYS[key], KEYS[key + 1], ARGV[arg], arg + 2, last)
    if not counted then
      if type(failure) ~= 'table' then failure = {err = failure} end
      if not string.find(failure.err, 'WRONGTYPE', 1, true) then error(failure) end
      unreadable[#unreadable + 1] = at
    end
    key, arg = key + 2, last + 1
  end
  return unreadable
end
";

/// Settles numbers.
pub(super) const RECORD: &str = "return settle(ARGV[1], 1, 2)";

/// Notes how far a run has come, and that it is still wanted; fails where Redis has forgotten the ledger, so that it
/// is opened anew.
pub(super) const MARK: &str = r"
if redis.call('HGET', KEYS[3], 'since') ~= ARGV[5] then return redis.error_reply('GONE the ledger is gone') end
local through = tonumber(redis.call('HGET', KEYS[1], 'through') or '0')
if tonumber(ARGV[1]) >= through then redis.call('HSET', KEYS[1], 'through', ARGV[1]) end
if ARGV[2] == '1' then redis.call('HSET', KEYS[1], 'closed', 1) end
redis.call('PEXPIRE', KEYS[1], ARGV[4])
redis.call('SADD', KEYS[2], ARGV[3])
redis.call('PEXPIRE', KEYS[2], ARGV[4])
for block = math.floor(through / 65536), math.floor(tonumber(ARGV[1]) / 65536) do
  redis.call('PEXPIRE', KEYS[1] .. '/' .. string.format('%d', block), ARGV[4])
end";

/// Moves the counts of a run of which nothing is in the system any more to its source's total. What is moved stays on
/// the run, so that a mark that comes again finds nothing open.
pub(super) const SUM_UP: &str = r"
local names = {'done', 'duplicate', 'discarded', 'dead'}
local run = redis.call('HMGET', KEYS[1], 'through', 'refused', 'summed', unpack(names))
local settled = 0
for n = 1, #names do settled = settled + (run[n + 3] or 0) end
if (run[1] or 0) - (run[2] or 0) - (run[3] or 0) > settled then return end
for n, name in ipairs(names) do
  if run[n + 3] then redis.call('HINCRBY', KEYS[3], name, run[n + 3]) end
end
redis.call('HDEL', KEYS[1], unpack(names))
redis.call('HINCRBY', KEYS[1], 'summed', settled)
redis.call('SREM', KEYS[2], ARGV[1])
redis.call('PEXPIRE', KEYS[3], ARGV[2])";

/// Tries what [`SETTLE`] needs to be allowed.
const PROBE: &str = "settle('1', 1, 1) redis.call('DEL', KEYS[1], KEYS[2], KEYS[3])";

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

    fn block(self, member: &str, block: u64) -> String {
        format!("{ROOT}:{}:{member}/{block}", self.0)
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
    call.arg(field(&info, "run_id").unwrap_or("unknown")).arg(started(&info, now)).arg(millis(MARGIN));
    let since: String = match call.invoke_async(connection).await {
        Err(error) if is_overwritten(&error) => {
            tracing::error!(key = ROOT, "no ledger is kept{OVERWRITTEN}");
            return Ok(None);
        }
        since => since?,
    };
    let Some(since) = since.parse().ok().map(Since) else { return Ok(None) };
    let probe = Script::new(&format!("{SETTLE}{PROBE}"));
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
    /// Adds what [`SETTLE`] needs to a call. Whether there is anything to be counted.
    pub(super) fn add(
        self,
        call: &mut ScriptInvocation<'_>,
        source: &SourceName,
        entries: impl Iterator<Item = Entry>,
    ) -> bool {
        let mut groups: BTreeMap<(Run, u64), BTreeSet<u64>> = BTreeMap::new();
        for entry in entries.filter(|entry| entry.run.began > self.0) {
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
}

impl Store {
    /// Notes what became of webhooks; it may be noted again, and late.
    ///
    /// # Errors
    /// [`StoreError`]: noting it again is safe.
    pub async fn record(
        &self,
        source: &SourceName,
        entries: impl Iterator<Item = Entry>,
        state: State,
    ) -> Result<(), StoreError> {
        let mut call = self.shared.record.prepare_invoke();
        call.arg(state as u8);
        let unreadable = self
            .within_deadline(async |link| {
                if !link.since.is_some_and(|since| since.add(&mut call, source, entries)) {
                    return Ok(Vec::new());
                }
                call.invoke_async(&mut link.connection).await
            })
            .await?;
        self.tell_of(unreadable);
        Ok(())
    }

    /// Notes how far a run has come.
    ///
    /// # Errors
    /// [`StoreError`]: noting it again is safe.
    pub async fn mark(&self, source: &SourceName, mark: &Mark) -> Result<(), StoreError> {
        let refused = mark.refused.iter().map(|number| Entry { run: mark.run, number: *number });
        self.record(source, refused, State::Refused).await?;
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

    /// Whether anything was noted of a run.
    ///
    /// # Errors
    /// [`StoreError`]
    pub async fn has_run(&self, source: &SourceName, run: Run) -> Result<bool, StoreError> {
        self.within_deadline(async |link| {
            let Some(since) = link.since else { return Ok(false) };
            let key = since.run(&format!("{source}/{run}"));
            redis::cmd("EXISTS").arg(key).query_async(&mut link.connection).await
        })
        .await
    }

    /// The ledger of `sources`, and of every source that has a run; none where it is not kept. Sums up the runs that
    /// are over. `now` is in milliseconds since 1970.
    ///
    /// # Errors
    /// [`StoreError`]
    pub async fn ledger(
        &self,
        sources: impl Iterator<Item = &SourceName>,
        now: u64,
    ) -> Result<Option<Ledger>, StoreError> {
        let sources: Vec<String> = sources.map(ToString::to_string).collect();
        let Some(Link { mut connection, since }) = self.link.borrow().clone() else {
            return Err(StoreError("not connected".to_owned()));
        };
        let Some(since) = since else { return Ok(None) };
        self.within_deadline(async |link| since.still_counts(&mut link.connection).await).await?;
        let drawing = async {
            loop {
                if let Some(ledger) = self.draw(&mut connection, since, &sources, now).await? {
                    return Ok::<_, RedisError>(ledger);
                }
            }
        };
        match tokio::time::timeout(DRAW_MAX, drawing).await {
            Ok(drawn) => Ok(Some(drawn?)),
            Err(_) => Err(StoreError(format!("the ledger could not be drawn within {DRAW_MAX:?}"))),
        }
    }

    /// None if another process has summed up a run meanwhile.
    async fn draw(
        &self,
        connection: &mut MultiplexedConnection,
        since: Since,
        sources: &[String],
        now: u64,
    ) -> RedisResult<Option<Ledger>> {
        let members: Vec<String> = redis::cmd("SMEMBERS").arg(since.runs()).query_async(connection).await?;
        let runs: Vec<(&String, &str, Run)> = members
            .iter()
            .filter_map(|member| {
                let (source, run) = member.split_once('/')?;
                Some((member, source, run.parse().ok()?))
            })
            .collect();
        let mut sums: BTreeMap<String, Sum> =
            sources.iter().cloned().map(|source| (source, Sum::default())).collect();
        for (_, source, _) in &runs {
            sums.entry((*source).to_owned()).or_default();
        }
        let totals = read(connection, sums.keys().map(|source| since.total(source)).collect()).await?;
        for (sum, (total, _)) in sums.values_mut().zip(totals) {
            *sum = Sum::of_run(&total);
        }
        let counts = read(connection, runs.iter().map(|(member, ..)| since.run(member)).collect()).await?;
        let mut over = Vec::new();
        for ((member, source, run), (counts, closed)) in runs.into_iter().zip(counts) {
            let mut sum = Sum::of_run(&counts);
            let orphaned = !closed && u128::from(now) > u128::from(run.began) + LONG_OVER;
            if orphaned {
                // What its receiver had not told of must not make up for what is missing of the rest.
                sum.in_system = self.open_numbers(connection, since, member, counts.through).await?;
                sum.accepted = sum.done + sum.duplicate + sum.discarded + sum.dead + sum.in_system;
            }
            *sums.entry(source.to_owned()).or_default() += sum;
            if (closed || orphaned) && sum.in_system == 0 {
                over.push((member, source));
            }
        }
        let still: HashSet<String> = redis::cmd("SMEMBERS").arg(since.runs()).query_async(connection).await?;
        if !members.iter().all(|member| still.contains(member)) {
            return Ok(None);
        }
        for (member, source) in over {
            let mut call = self.shared.sum_up.prepare_invoke();
            call.key(since.run(member)).key(since.runs()).key(since.total(source));
            call.arg(member).arg(millis(TTL)).invoke_async::<()>(connection).await?;
        }
        let since = i64::try_from(since.0).ok().and_then(|since| Timestamp::from_millisecond(since).ok());
        Ok(Some(Ledger { since: since.unwrap_or(Timestamp::MAX), sources: sums }))
    }

    /// How many numbers of a run, up to `through`, are not settled.
    async fn open_numbers(
        &self,
        connection: &mut MultiplexedConnection,
        since: Since,
        member: &str,
        through: i64,
    ) -> RedisResult<i64> {
        let (mut open, mut number) = (0, 0);
        let through = u64::try_from(through).unwrap_or(0);
        while number <= through {
            let block = since.block(member, number);
            let states: Vec<u8> = redis::cmd("GET").arg(block).query_async(connection).await?;
            let last = (number + BLOCK - 1).min(through);
            open += i64::try_from(open_in(&states, last - number + 1)).unwrap_or(i64::MAX);
            number += BLOCK;
        }
        // There is no number 0.
        Ok(if through > 0 { open - 1 } else { 0 })
    }
}

impl Since {
    /// Fails where Redis has forgotten the ledger, or has begun another.
    async fn still_counts(self, connection: &mut MultiplexedConnection) -> RedisResult<()> {
        let since: Option<u64> = redis::cmd("HGET").arg(ROOT).arg("since").query_async(connection).await?;
        if since == Some(self.0) {
            return Ok(());
        }
        Err(RedisError::from((ErrorKind::Client, "the ledger is gone")))
    }
}

/// How many of the first `numbers` states of a block are 0; what is missing at its end is 0.
fn open_in(states: &[u8], numbers: u64) -> usize {
    let nibbles = states.iter().flat_map(|byte| [byte >> 4, byte & 0xf]).chain(std::iter::repeat(0));
    nibbles.take(usize::try_from(numbers).unwrap_or(usize::MAX)).filter(|state| *state == 0).count()
}

/// Runs or totals, and whether each is closed.
async fn read(connection: &mut MultiplexedConnection, keys: Vec<String>) -> RedisResult<Vec<(Counts, bool)>> {
    let fields = ["through", "refused", "done", "duplicate", "discarded", "dead", "summed", "closed"];
    let mut all = Vec::with_capacity(keys.len());
    for keys in keys.chunks(AT_A_TIME) {
        let mut pipe = redis::pipe();
        for key in keys {
            pipe.cmd("HMGET").arg(key).arg(&fields);
        }
        let answers: Vec<Vec<Option<i64>>> = pipe.query_async(connection).await?;
        all.extend(answers.iter().map(|answer| {
            let count = |n: usize| answer.get(n).copied().flatten().unwrap_or(0);
            let [through, refused, done, duplicate, discarded, dead, summed] = std::array::from_fn(&count);
            (Counts { through, refused, done, duplicate, discarded, dead, summed }, count(7) == 1)
        }));
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_that_are_0_or_missing_are_open() {
        assert_eq!(open_in(&[0x01, 0x10, 0x55], 6), 2);
        assert_eq!(open_in(&[0x01], 6), 5);
        assert_eq!(open_in(&[0x01], 1), 1);
    }

    #[test]
    fn a_redis_that_was_made_to_forget_does_not_say_when_it_was_started() {
        let info = "# Server\r\nuptime_in_seconds:40\r\n# Stats\r\nevicted_keys:0\r\n";
        assert_eq!(started(info, 100), "60000");
        assert_eq!(started(&info.replace("keys:0", "keys:1"), 100), "");
        assert_eq!(started(&format!("{info}cmdstat_flushall:calls=1\r\n"), 100), "");
        assert_eq!(started("", 100), "");
    }
}
