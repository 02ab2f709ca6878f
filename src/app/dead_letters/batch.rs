//! Taking the letters of a plan out of a pass, some at a time.

use tokio_util::sync::CancellationToken;

use super::{error::DeadLetterError, plan::Plan};
use crate::{
    core::letters::Journal,
    edge::amqp::consume::dead_queue::{Held, Pass},
};

/// Bytes of bodies in hand at a time, not counting the last letter's.
const BATCH_BYTES: usize = 4 << 20;

/// Takes the next letters of `plan`, at most `size`. Returns fewer at the end, when the pass is old, or when
/// `stop` is cancelled. Letters that an earlier job has settled and could not ack are acked on the way.
pub(super) async fn next_batch(
    pass: &mut Pass<'_>,
    plan: &mut Plan,
    journal: &Journal,
    size: usize,
    stop: &CancellationToken,
) -> Result<Vec<Held>, DeadLetterError> {
    let (mut batch, mut bytes) = (Vec::new(), 0);
    while batch.len() < size
        && bytes < BATCH_BYTES
        && plan.remaining(pass.source()) > 0
        && !pass.is_old()
        && !stop.is_cancelled()
    {
        let Some(held) = pass.next().await? else { break };
        if journal.is_settled(held.letter.id) {
            pass.ack(&held).await?;
        } else if plan.take(&held.letter) {
            bytes += held.letter.queued.webhook.body.len();
            batch.push(held);
        }
    }
    Ok(batch)
}
