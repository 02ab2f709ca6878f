//! The memory of what is claimed and what is done: idempotency keys in Redis.
//!
//! A key holds nothing, a claim (its owner's token, with a lease) or `done` (the body's fingerprint, a number). Any
//! trouble with Redis means "not known", never "not a duplicate": the caller waits. A key that holds anything else was
//! overwritten by somebody: that is told of this key alone, and holds up no other.

pub mod ledger;
mod waves;

use std::{
    collections::HashSet,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use redis::{
    AsyncConnectionConfig, Client, ConnectionInfo, IntoConnectionInfo, RedisError, RedisResult, Script,
    Value, aio::MultiplexedConnection, io::tcp::TcpSettings,
};
use tokio::sync::{Notify, watch};

use self::ledger::{SETTLE, Since};
use super::{metrics::LinkMetrics, trouble::Trouble};
use crate::{
    config::Redis,
    core::{
        delivery::{lifecycle::Claim, retry::Reconnect},
        events::key::IdempotencyKey,
        ledger::{Entry, State},
        webhook::SourceName,
    },
};

/// The kernel gives a silent connection up after this long: a black-holed link is not noticed otherwise.
const SILENCE_MAX: Duration = Duration::from_secs(5);

/// Claims every key for the owner at the same place after the lease. Re-entrant for the same owner: a claim that timed
/// out may have succeeded. Only what is wrong with a key is this key's answer; any other error is all keys'.
const CLAIM: &str = r"
local answers = {}
for n, key in ipairs(KEYS) do
  local owner = ARGV[n + 1]
  answers[n] = 'claimed'
  if not redis.call('SET', key, owner, 'NX', 'PX', ARGV[1]) then
    local v = redis.pcall('GET', key)
    if type(v) == 'table' then
      if not string.find(v.err, 'WRONGTYPE', 1, true) then return v end
      v = ''
    end
    if v == owner then
      redis.call('SET', key, owner, 'PX', ARGV[1])
    elseif string.find(v, '^o[%x%-]+$') then
      answers[n] = 'busy'
    elseif string.find(v, '^%d+$') then
      answers[n] = v
    else
      answers[n] = 'unreadable'
    end
  end
end
return answers";

/// Marks keys done, whoever holds them. The first argument is how many, the second how long they stay, then their
/// fingerprints; the ledger's part follows. What the ledger could not read is answered.
const DONE: &str = r"
local count = tonumber(ARGV[1])
for n = 1, count do redis.call('SET', KEYS[n], ARGV[n + 2], 'PX', ARGV[2]) end
if KEYS[count + 1] then return settle('1', count + 1, count + 3) end";

/// Gives a claim back, if it is still ours: what cannot be read is not.
const RELEASE: &str = r"
if redis.pcall('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end
return 0";

/// Follows on what went wrong with a key of our own, where somebody has put something else.
const OVERWRITTEN: &str = "; somebody has overwritten one of hookswitch's keys: the runbook says how to find and mend it \
                           (\"A key in Redis was overwritten\")";

/// Redis is away, slow, or refuses (out of memory, read only, loading).
#[derive(Debug, thiserror::Error)]
#[error("Redis: {0}")]
pub struct StoreError(String);

impl From<RedisError> for StoreError {
    fn from(error: RedisError) -> Self {
        let what_to_do = if is_overwritten(&error) { OVERWRITTEN } else { "" };
        Self(format!("{error}{what_to_do}"))
    }
}

/// A key to claim.
#[derive(Clone, Copy, Debug)]
pub struct ToClaim<'a> {
    /// See [`IdempotencyKey::store_name`].
    pub name: [u8; 18],
    /// Who claims it.
    pub owner: &'a str,
    /// The webhook's place in the ledger.
    pub entry: Option<Entry>,
}

/// A key to mark done.
#[derive(Clone, Copy, Debug)]
pub struct ToMark {
    /// See [`IdempotencyKey::store_name`].
    pub name: [u8; 18],
    /// Of the body that was published.
    pub fingerprint: u64,
    /// The webhook's place in the ledger.
    pub entry: Option<Entry>,
}

/// The handle to Redis; cheap to clone.
#[derive(Clone)]
pub struct Store {
    shared: Arc<Shared>,
    link: watch::Receiver<Option<Link>>,
}

/// A connection to Redis, and where it keeps the ledger.
#[derive(Clone)]
pub struct Link {
    connection: MultiplexedConnection,
    since: Option<Since>,
}

struct Shared {
    timeout: Duration,
    claim: Script,
    done: Script,
    release: Script,
    record: Script,
    mark: Script,
    sum_up: Script,
    note_fate: Script,
    /// Keys of the ledger that could not be read: each is told of once.
    unreadable: Mutex<HashSet<String>>,
    /// Asks the keeper for a new connection.
    broken: Notify,
}

impl Store {
    /// Starts the task that keeps the connection.
    ///
    /// # Errors
    /// An address is none.
    pub fn start(config: &Redis, metrics: Arc<LinkMetrics>) -> Result<Self, StoreError> {
        let clients = config.urls.iter().map(|url| client(url.reveal())).collect::<Result<_, _>>()?;
        let (sender, link) = watch::channel(None);
        let shared = Arc::new(Shared {
            timeout: config.timeout,
            claim: Script::new(CLAIM),
            done: Script::new(&format!("{SETTLE}{DONE}")),
            release: Script::new(RELEASE),
            record: Script::new(&format!("{SETTLE}{}", ledger::RECORD)),
            mark: Script::new(ledger::MARK),
            sum_up: Script::new(ledger::SUM_UP),
            note_fate: Script::new(waves::NOTE),
            unreadable: Mutex::default(),
            broken: Notify::new(),
        });
        tokio::spawn(keep(clients, shared.clone(), sender, metrics));
        Ok(Self { shared, link })
    }

    /// What keeps us from using it now.
    pub fn trouble(&self) -> Option<Trouble> {
        self.link.borrow().is_none().then_some(Trouble::StoreDown)
    }

    /// Tells of every change; there is a connection or none.
    pub fn watch(&self) -> watch::Receiver<Option<Link>> {
        self.link.clone()
    }

    /// Claims keys, all at once; an answer for each. Whoever is done already is counted as a duplicate.
    ///
    /// # Errors
    /// [`StoreError`]: the claims may or may not have been made; claiming again with the same owners is safe.
    pub async fn claim(
        &self,
        source: &SourceName,
        claims: &[ToClaim<'_>],
        lease: Duration,
    ) -> Result<Vec<Claim>, StoreError> {
        let mut call = self.shared.claim.prepare_invoke();
        call.arg(millis(lease));
        for claim in claims {
            call.key(claim.name.as_slice()).arg(claim.owner);
        }
        let answers: Vec<String> =
            self.within_deadline(async |link| call.invoke_async(&mut link.connection).await).await?;
        let read = |(claim, answer): (&ToClaim<'_>, String)| match answer.as_str() {
            "claimed" => Claim::Claimed,
            "busy" => Claim::Busy,
            done => match done.parse() {
                Ok(fingerprint) => Claim::Done { fingerprint },
                Err(_) => Claim::Unreadable { name: claim.name },
            },
        };
        let answers: Vec<Claim> = claims.iter().zip(answers).map(read).collect();
        let done = |(claim, answer): (&ToClaim<'_>, &Claim)| match answer {
            Claim::Done { .. } => claim.entry,
            Claim::Claimed | Claim::Busy | Claim::Unmarked | Claim::Unreadable { .. } => None,
        };
        let duplicates: Vec<Entry> = claims.iter().zip(&answers).filter_map(done).collect();
        if !duplicates.is_empty() {
            self.record(source, duplicates.into_iter(), State::Duplicate).await?;
        }
        Ok(answers)
    }

    /// Marks keys done, all at once, whoever holds them: the confirm of the events has made it true. So are their
    /// entries.
    ///
    /// # Errors
    /// [`StoreError`]: they may or may not be marked; marking again is safe.
    pub async fn done(&self, source: &SourceName, marks: &[ToMark], ttl: Duration) -> Result<(), StoreError> {
        let mut call = self.shared.done.prepare_invoke();
        call.arg(marks.len()).arg(millis(ttl));
        for mark in marks {
            call.key(mark.name.as_slice()).arg(mark.fingerprint);
        }
        let unreadable: Vec<String> = self
            .within_deadline(async |link| {
                if let Some(since) = link.since {
                    since.add(&mut call, source, marks.iter().filter_map(|mark| mark.entry));
                }
                call.invoke_async(&mut link.connection).await
            })
            .await?;
        self.tell_of(unreadable);
        Ok(())
    }

    /// Gives a claim back, so that a retry need not wait for the lease to end.
    ///
    /// # Errors
    /// [`StoreError`]: then the lease ends by itself.
    pub async fn release(&self, name: [u8; 18], owner: &str) -> Result<(), StoreError> {
        let mut call = self.shared.release.prepare_invoke();
        call.key(name.as_slice()).arg(owner);
        self.within_deadline(async |link| call.invoke_async::<i64>(&mut link.connection).await)
            .await
            .map(drop)
    }

    /// Forgets that `key` is done, so that a replay of it is not swallowed.
    ///
    /// # Errors
    /// [`StoreError`]: it may or may not be forgotten.
    pub async fn forget(&self, source: &SourceName, key: &IdempotencyKey) -> Result<(), StoreError> {
        let name = key.store_name(source);
        let mut call = redis::cmd("DEL");
        call.arg(name.as_slice());
        self.within_deadline(async |link| call.query_async::<i64>(&mut link.connection).await).await.map(drop)
    }

    /// The ledger's books come second: a key of it that cannot be read holds up no delivery, and is told of instead.
    fn tell_of(&self, unreadable: Vec<String>) {
        let mut told = self.shared.unreadable.lock().unwrap_or_else(PoisonError::into_inner);
        for key in unreadable {
            if !told.contains(&key) {
                tracing::error!(key, "the ledger cannot count{OVERWRITTEN}");
                told.insert(key);
            }
        }
    }

    /// Runs a command. On any failure the connection is replaced: redis-rs itself does not reconnect after a
    /// time-out, and on a dead link every command would time out until the kernel gave up. Only where the answer is that
    /// a key was overwritten the link is well, and another would meet the same key.
    async fn within_deadline<T>(
        &self,
        command: impl AsyncFnOnce(&mut Link) -> RedisResult<T>,
    ) -> Result<T, StoreError> {
        let link = self.link.borrow().clone();
        let Some(mut link) = link else {
            return Err(StoreError("not connected".to_owned()));
        };
        let answer = tokio::time::timeout(self.shared.timeout, command(&mut link)).await;
        let error = match answer {
            Ok(Ok(value)) => return Ok(value),
            Ok(Err(error)) if is_overwritten(&error) => {
                let error = StoreError::from(error);
                tracing::error!("{error}");
                return Err(error);
            }
            Ok(Err(error)) => error.into(),
            Err(_) => StoreError(format!("no answer within {:?}", self.shared.timeout)),
        };
        self.shared.broken.notify_one();
        Err(error)
    }
}

/// Whether somebody has put something else where we keep one of our own keys.
fn is_overwritten(error: &RedisError) -> bool {
    error.code() == Some("WRONGTYPE")
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// What connects to one address.
fn client(url: &str) -> Result<Client, StoreError> {
    let tcp = TcpSettings::default().set_nodelay(true).set_user_timeout(SILENCE_MAX);
    let address: ConnectionInfo = url
        .into_connection_info()
        .map_err(|_| StoreError("redis.url: expected redis://host:port/db".to_owned()))?
        .set_tcp_settings(tcp);
    Client::open(address).map_err(|error| StoreError(error.to_string()))
}

/// Connects, shows the connection, and starts anew when somebody finds it broken; ends with the last handle.
async fn keep(
    clients: Vec<Client>,
    shared: Arc<Shared>,
    show: watch::Sender<Option<Link>>,
    metrics: Arc<LinkMetrics>,
) {
    let mut reconnect = Reconnect::default();
    let mut good = 0;
    while !show.is_closed() {
        if let Some(link) = open_any(&clients, &mut good, shared.timeout).await {
            reconnect.reset();
            show.send_replace(Some(link));
            tokio::select! {
                () = shared.broken.notified() => {}
                () = show.closed() => return,
            }
            show.send_replace(None);
            metrics.reconnects.inc();
        }
        tokio::select! {
            () = tokio::time::sleep(reconnect.next_delay()) => {}
            () = show.closed() => return,
        }
    }
}

/// Connects to the first address that takes writes, beginning with the one that did last: a master that was replaced
/// and comes back as a master, without what was done since, must not take over again.
async fn open_any(clients: &[Client], good: &mut usize, timeout: Duration) -> Option<Link> {
    for n in (0..clients.len()).map(|next| (*good + next) % clients.len()) {
        let address = clients[n].get_connection_info().addr();
        match tokio::time::timeout(SILENCE_MAX, open(&clients[n], timeout)).await {
            Ok(Ok(link)) => {
                tracing::info!(%address, "connected to Redis");
                *good = n;
                return Some(link);
            }
            Ok(Err(error)) => tracing::warn!(%address, %error, "Redis cannot be used"),
            Err(_) => tracing::warn!(%address, "Redis does not answer"),
        }
    }
    None
}

/// Connects, and makes sure that Redis takes writes: one that is read only, loading or full is of no use.
async fn open(client: &Client, timeout: Duration) -> RedisResult<Link> {
    let config = AsyncConnectionConfig::new()
        .set_connection_timeout(Some(timeout))
        .set_response_timeout(Some(timeout));
    let mut connection = client.get_multiplexed_async_connection_with_config(&config).await?;
    let probe = format!("hookswitch:probe:{}", std::process::id());
    redis::cmd("SET").arg(&probe).arg(1).arg("PX").arg(1_000).query_async::<()>(&mut connection).await?;
    warn_of_settings(&mut connection).await;
    let since = ledger::open(&mut connection).await?;
    Ok(Link { connection, since })
}

/// Says loudly if Redis may forget keys. Where `CONFIG` is not allowed, nothing is known and nothing is said.
async fn warn_of_settings(connection: &mut MultiplexedConnection) {
    for (setting, good, risk) in [
        ("maxmemory-policy", "noeviction", "it may evict idempotency keys, and duplicates come through"),
        ("appendonly", "yes", "a restart forgets idempotency keys, and duplicates come through"),
    ] {
        let answer = redis::cmd("CONFIG").arg("GET").arg(setting).query_async::<Value>(connection).await;
        let pair: Option<Vec<String>> = answer.ok().and_then(|value| redis::from_redis_value(value).ok());
        if let Some(value) = pair.as_ref().and_then(|pair| pair.get(1)).filter(|value| *value != good) {
            tracing::warn!(setting, %value, expected = good, "Redis is not set up to remember: {risk}");
        }
    }
}
