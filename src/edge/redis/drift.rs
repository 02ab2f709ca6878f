//! Schema drift: what the providers sent that their adapters do not expect, kept across restarts.
//!
//! A hash per source holds a bounded number of paths: a sender chooses them. It is forgotten when no drift
//! has come for [`KEPT`].

use std::time::Duration;

use jiff::Timestamp;

use super::{
    error::{StoreError, is_overwritten},
    scripts::{CALL_MAX, millis},
    store::Store,
};
use crate::core::{providers::Sighting, webhook::SourceName};

/// Most paths of a source that are kept; further ones are counted as one, `OTHERS`.
const PATHS_MAX: usize = 200;

/// The type under which the paths of a source beyond the most that are kept are counted.
pub const OTHERS: &str = "others";

/// The time for which the drift of a source is kept after its last.
const KEPT: Duration = Duration::from_secs(90 * 86_400);

impl Store {
    /// Adds sightings to the drift of a source.
    ///
    /// # Errors
    /// [`StoreError`]: they may or may not be added.
    pub async fn note_drift(&self, source: &SourceName, sightings: &[Sighting]) -> Result<(), StoreError> {
        for sightings in sightings.chunks(CALL_MAX / 5) {
            self.at_home(async |home| {
                let mut call = self.scripts().note_drift.prepare_invoke();
                call.key(home.names.drift(source)).arg(PATHS_MAX).arg(millis(KEPT));
                for Sighting { path, class, length, first, last, webhooks } in sightings {
                    call.arg(format!("{class} {path}"));
                    call.arg(first.as_millisecond().max(0)).arg(last.as_millisecond().max(0));
                    call.arg(*webhooks).arg(length);
                }
                call.invoke_async::<()>(&mut home.connection()).await
            })
            .await?;
        }
        Ok(())
    }

    /// Returns the drift of a source, in no order. What another program wrote is left out.
    ///
    /// # Errors
    /// [`StoreError`]
    pub async fn drift_of(&self, source: &SourceName) -> Result<Vec<Sighting>, StoreError> {
        let reading = self.at_home(async |home| {
            let key = home.names.drift(source);
            let values = redis::cmd("HVALS").arg(key).query_async(&mut home.connection()).await;
            values.or_else(|error| if is_overwritten(&error) { Ok(Vec::new()) } else { Err(error) })
        });
        let values: Vec<Vec<u8>> = reading.await?;
        Ok(values.iter().filter_map(|value| sighting(value)).collect())
    }

    /// Forgets the drift of a source.
    ///
    /// # Errors
    /// [`StoreError`]: it may or may not be forgotten.
    pub async fn forget_drift(&self, source: &SourceName) -> Result<(), StoreError> {
        self.at_home(async |home| {
            redis::cmd("DEL").arg(home.names.drift(source)).query_async(&mut home.connection()).await
        })
        .await
    }
}

/// Reads the value of a field; none for the number of fields.
fn sighting(value: &[u8]) -> Option<Sighting> {
    let mut words = str::from_utf8(value).ok()?.splitn(6, ' ');
    let mut next = || words.next();
    let (first, last, webhooks) = (next()?, next()?, next()?);
    let (length, class, path) = (next()?.to_owned(), next()?.to_owned(), next()?.to_owned());
    let at = |ms: &str| Timestamp::from_millisecond(ms.parse().ok()?).ok();
    Some(Sighting {
        path,
        class,
        length,
        first: at(first)?,
        last: at(last)?,
        webhooks: webhooks.parse().ok()?,
    })
}
