//! The handle to Redis.

use std::{
    collections::HashSet,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use redis::RedisResult;
use tokio::sync::{Notify, watch};

use super::{
    error::{OVERWRITTEN, StoreError, is_overwritten},
    link::{self, Link},
    scripts::Scripts,
};
use crate::{
    config::Redis,
    edge::{metrics::LinkMetrics, trouble::Trouble},
};

/// The handle to Redis; cheap to clone.
#[derive(Clone)]
pub struct Store {
    shared: Arc<Shared>,
    link: watch::Receiver<Option<Link>>,
}

struct Shared {
    /// The time that a command may take.
    timeout: Duration,
    scripts: Scripts,
    /// Keys of the ledger that were found overwritten: each is reported once.
    overwritten: Mutex<HashSet<String>>,
    /// Asks for a new connection.
    broken: Arc<Notify>,
}

impl Store {
    /// Starts the task that keeps the connection. It ends when the last handle is dropped.
    ///
    /// # Errors
    /// An address in the configuration is invalid.
    pub fn start(config: &Redis, metrics: Arc<LinkMetrics>) -> Result<Self, StoreError> {
        let clients = config.urls.iter().map(|url| link::client(url.reveal())).collect::<Result<_, _>>()?;
        let (sender, link) = watch::channel(None);
        let broken = Arc::new(Notify::new());
        tokio::spawn(link::keep(clients, config.timeout, broken.clone(), sender, metrics));
        let (scripts, overwritten) = (Scripts::new(), Mutex::default());
        let shared = Arc::new(Shared { timeout: config.timeout, scripts, overwritten, broken });
        Ok(Self { shared, link })
    }

    /// Returns what prevents its use now.
    pub fn trouble(&self) -> Option<Trouble> {
        self.link.borrow().is_none().then_some(Trouble::StoreDown)
    }

    /// Returns a receiver of every change of the connection: there is one or none.
    pub fn watch(&self) -> watch::Receiver<Option<Link>> {
        self.link.clone()
    }

    /// Returns the scripts.
    pub(super) fn scripts(&self) -> &Scripts {
        &self.shared.scripts
    }

    /// Returns the present connection.
    ///
    /// # Errors
    /// There is none.
    pub(super) fn link(&self) -> Result<Link, StoreError> {
        self.link.borrow().clone().ok_or_else(|| StoreError("not connected".to_owned()))
    }

    /// Runs a command. On any failure the connection is replaced: redis-rs does not reconnect after a
    /// timeout, and on a dead link every command would time out until the kernel gave up. Only if the answer
    /// is that a key was overwritten is the connection kept: it works, and another would meet the same key.
    pub(super) async fn within_deadline<T>(
        &self,
        command: impl AsyncFnOnce(&mut Link) -> RedisResult<T>,
    ) -> Result<T, StoreError> {
        let mut link = self.link()?;
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
