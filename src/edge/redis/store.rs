//! The handle to Redis.

use std::{
    collections::HashSet,
    sync::{Arc, Mutex, PoisonError},
    time::Instant,
};

use redis::RedisResult;
use tokio::sync::{mpsc, watch};

use super::{
    error::{OVERWRITTEN, StoreError, is_overwritten},
    keeper::{Broken, LinkKeeper, Wanted},
    link::{Bucket, Link},
    owner::{KnownOwner, Owner, Record},
    scripts::Scripts,
};
use crate::{
    config::Redis,
    core::identity::BrokerIdentity,
    edge::{metrics::LinkMetrics, trouble::Trouble},
};

/// Failures of commands that may wait until the keeper of the link sees them. One is enough.
const FAILURES_MAX: usize = 16;

/// The handle to Redis; cheap to clone.
#[derive(Clone)]
pub struct Store {
    shared: Arc<Shared>,
    link: watch::Receiver<Result<Link, StoreError>>,
}

struct Shared {
    /// What the next connection is to be.
    wanted: watch::Sender<Wanted>,
    scripts: Scripts,
    owner: KnownOwner,
    /// Keys of the ledger that were found overwritten: each is reported once.
    overwritten: Mutex<HashSet<String>>,
    metrics: Arc<LinkMetrics>,
    /// Asks for a new connection.
    broken: mpsc::Sender<Broken>,
}

impl Store {
    /// Starts the task that keeps the connection. It ends when the last handle is dropped.
    ///
    /// # Errors
    /// An address in the configuration is invalid.
    pub fn start(config: &Redis, metrics: Arc<LinkMetrics>) -> Result<Self, StoreError> {
        let (wanted, newest) = watch::channel(Wanted::of(config)?);
        let connecting = StoreError::new(Trouble::StoreDown, "not connected yet");
        let (sender, link) = watch::channel(Err(connecting));
        let (broken, failures) = mpsc::channel(FAILURES_MAX);
        let owner = KnownOwner::default();
        let keeper = LinkKeeper {
            wanted: newest,
            namespace: config.namespace.clone(),
            owner: owner.clone(),
            broken: failures,
            link: sender,
            metrics: metrics.clone(),
        };
        tokio::spawn(keeper.run());
        let (scripts, overwritten) = (Scripts::new(), Mutex::default());
        let shared = Arc::new(Shared { wanted, scripts, owner, overwritten, metrics, broken });
        Ok(Self { shared, link })
    }

    /// Changes the addresses, the Sentinels, the certificates and the time limit for the next connection; the
    /// present one stays as it is.
    ///
    /// # Errors
    /// An address is invalid: nothing changes.
    pub fn reconfigure(&self, config: &Redis) -> Result<(), StoreError> {
        self.shared.wanted.send_replace(Wanted::of(config)?);
        Ok(())
    }

    /// Takes the namespace for a broker and virtual host, as a worker does. From then on every connection is
    /// refused whose namespace belongs to another.
    ///
    /// # Errors
    /// [`StoreError`], with [`Trouble::StoreForeign`] if it belongs to another.
    pub async fn take_for(&self, broker: &BrokerIdentity) -> Result<(), StoreError> {
        self.belong_to(Owner { broker: broker.clone(), takes: true }).await
    }

    /// Does the same as [`Store::take_for`], but takes nothing, as a command does.
    ///
    /// # Errors
    /// [`StoreError`], with [`Trouble::StoreForeign`] if it belongs to another.
    pub async fn check_owner(&self, broker: &BrokerIdentity) -> Result<(), StoreError> {
        self.belong_to(Owner { broker: broker.clone(), takes: false }).await
    }

    async fn belong_to(&self, owner: Owner) -> Result<(), StoreError> {
        self.shared.owner.set(owner.clone());
        let Link { number, .. } = self.link()?;
        let checking = async |link: &Link| {
            let (mut connection, namespace) = (link.home().connection(), link.home().names.namespace());
            let record = Record::read(&mut connection, namespace, Some(&owner)).await?;
            Ok(record.check(namespace, Some(&owner)))
        };
        let checked = self.within_deadline(checking).await?;
        if let Err(foreign) = &checked {
            self.replace_link(number, foreign.clone());
        }
        checked
    }

    /// Returns what prevents its use now.
    pub fn trouble(&self) -> Option<Trouble> {
        self.link.borrow().as_ref().err().map(StoreError::trouble)
    }

    /// Returns a receiver of every change of the connection: there is one, or the reason why not.
    pub fn watch(&self) -> watch::Receiver<Result<Link, StoreError>> {
        self.link.clone()
    }

    /// Returns the scripts.
    pub(super) fn scripts(&self) -> &Scripts {
        &self.shared.scripts
    }

    /// Returns the present connection.
    ///
    /// # Errors
    /// The reason why there is none.
    pub(super) fn link(&self) -> Result<Link, StoreError> {
        self.link.borrow().clone()
    }

    /// Runs a command. On any failure the connection is replaced, which closes the gate until Redis can be
    /// used again: redis-rs does not reconnect after a timeout, and a command that was refused will be
    /// refused again. Only if the answer is that a key was overwritten is the connection kept: it works, and
    /// another would meet the same key.
    pub(super) async fn within_deadline<T>(
        &self,
        command: impl AsyncFnOnce(&Link) -> RedisResult<T>,
    ) -> Result<T, StoreError> {
        let link = self.link()?;
        let (_pending, sent) = (self.shared.metrics.pending_one(), Instant::now());
        let answer = tokio::time::timeout(link.timeout, command(&link)).await;
        let error = match answer {
            Ok(Ok(value)) => {
                self.shared.metrics.answered(sent.elapsed());
                return Ok(value);
            }
            Ok(Err(error)) if is_overwritten(&error) => {
                let error = StoreError::from(error);
                tracing::error!("{error}");
                return Err(error);
            }
            Ok(Err(error)) => error.into(),
            Err(_) => StoreError::new(Trouble::StoreDown, format!("no answer within {:?}", link.timeout)),
        };
        self.replace_link(link.number, error.clone());
        Err(error)
    }

    /// Runs a command on what is not divided into buckets.
    pub(super) async fn at_home<T>(
        &self,
        command: impl AsyncFnOnce(&Bucket) -> RedisResult<T>,
    ) -> Result<T, StoreError> {
        self.within_deadline(async |link| command(link.home()).await).await
    }

    fn replace_link(&self, number: u64, error: StoreError) {
        // If it is full, the keeper knows already.
        drop(self.shared.broken.try_send((number, error)));
    }

    /// Reports keys of the ledger that were overwritten, each once. The ledger is secondary: such a key holds
    /// up no delivery.
    pub(super) fn report_overwritten(&self, keys: Vec<String>) {
        let mut reported = self.shared.overwritten.lock().unwrap_or_else(PoisonError::into_inner);
        for key in keys {
            if !reported.contains(&key) {
                tracing::error!(key, "the ledger cannot count{OVERWRITTEN}");
                reported.insert(key);
            }
        }
    }
}
