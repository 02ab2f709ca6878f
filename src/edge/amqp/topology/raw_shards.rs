//! Finding the raw queues.

use super::record::declared;
use crate::{
    config::Config,
    core::{applied::Declared, shard::Shard, webhook::SourceName},
    edge::amqp::{Connection, Error, depth::Depths, names},
};

/// Returns all raw queues: those of the configured shards, those left from when a source had more shards, and
/// those of sources that were configured once, whether they still exist or not.
///
/// A queue that is left may hold webhooks, or get some back from a delay queue. It is consumed and counted
/// until it is deleted, the highest first, since the search ends at the first that is missing.
///
/// Each source costs a line in the broker's log: over AMQP a queue is looked up by declaring it passively,
/// and a 404 closes the channel. A record of the highest number ever used would save that, but if the record
/// were lost and the queue not, nothing would consume the queue.
///
/// # Errors
/// [`Error`]: the broker is down, or cannot tell about a queue at the moment.
pub async fn raw_shards(connection: &Connection, config: &Config) -> Result<Vec<(SourceName, Shard)>, Error> {
    let mut all = Vec::new();
    let mut depths = Depths::new(connection);
    for (source, settings) in &config.sources {
        all.extend(settings.sharding.shards().map(|shard| (source.clone(), shard)));
        for shard in settings.sharding.beyond() {
            match depths.of(&names::raw_queue(source, shard)).await {
                Ok(_) => all.push((source.clone(), shard)),
                Err(Error::Missing(_)) => break,
                Err(error) => return Err(error),
            }
        }
    }
    depths.close().await?;
    // Without the record, as before the first `topology apply`, nothing is known to be left.
    if let Ok(Declared { current, left_over, .. }) = declared(connection).await {
        let former = left_over.into_values().chain(current.into_values()).filter_map(|queue| queue.raw);
        let former = former.filter(|raw| !config.sources.contains_key(&raw.source));
        all.extend(former.filter_map(|raw| Some((raw.source, Shard::of_number(raw.shard)?))));
    }
    Ok(all)
}
