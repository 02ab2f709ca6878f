//! Finding the raw queues.

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
pub async fn raw_shards(
    connection: &Connection,
    config: &Config,
    declared: &Declared,
) -> Result<Vec<(SourceName, Shard)>, Error> {
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
    let queues = declared.left_over.values().chain(declared.current.values());
    let former = queues.filter_map(|queue| queue.raw.as_ref());
    let former = former.filter(|raw| !config.sources.contains_key(&raw.source));
    all.extend(former.filter_map(|raw| Some((raw.source.clone(), Shard::of_number(raw.shard)?))));
    Ok(all)
}
