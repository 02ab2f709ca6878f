//! The settings that running workers use, as they say themselves: for a command that wants to know whether it
//! does what they would do.
//!
//! Each worker writes its settings into the hash of the present minute, which Redis forgets soon after. So
//! nobody has to clean up after a worker that is gone.

use std::{collections::BTreeSet, time::Duration};

use jiff::Timestamp;

use super::{error::StoreError, scripts::millis, store::Store};

/// The time for which the settings of a minute are kept.
const KEPT: Duration = Duration::from_secs(180);

/// Returns the number of the present minute.
fn minute(now: Timestamp) -> i64 {
    now.as_second().div_euclid(60)
}

impl Store {
    /// Says which settings a worker uses, in words that equal workers share. To be repeated every minute.
    ///
    /// # Errors
    /// [`StoreError`]: it is not said.
    pub async fn say_settings(&self, worker: &str, settings: &str, now: Timestamp) -> Result<(), StoreError> {
        self.at_home(async |home| {
            let name = home.names.settings(minute(now));
            redis::cmd("HSET")
                .arg(&name)
                .arg(worker)
                .arg(settings)
                .query_async::<()>(&mut home.connection())
                .await?;
            redis::cmd("PEXPIRE").arg(&name).arg(millis(KEPT)).query_async(&mut home.connection()).await
        })
        .await
    }

    /// Returns the different settings that workers have said in the last one or two minutes.
    ///
    /// # Errors
    /// [`StoreError`]: they are not known.
    pub async fn settings_said(&self, now: Timestamp) -> Result<BTreeSet<String>, StoreError> {
        let mut said = BTreeSet::new();
        for minute in [minute(now) - 1, minute(now)] {
            let settings: Vec<String> = self
                .at_home(async |home| {
                    let name = home.names.settings(minute);
                    redis::cmd("HVALS").arg(name).query_async(&mut home.connection()).await
                })
                .await?;
            said.extend(settings);
        }
        Ok(said)
    }
}
