// The worker of ../yardstick.rs in Node.js: claims, rewrites, publishes with a confirm, marks done, acks.
import { Redis } from 'ioredis'
import { at, openChannel, publisher } from './broker.mjs'

const PREFETCH = 256
// Deliveries acked at a time.
const ACKS = 32

// Commands of one turn of the event loop are sent together.
const redis = new Redis(at.redis, { enableAutoPipelining: true })
// One channel for both, so that acks are sent together with publishes.
const channel = await openChannel()
const publish = publisher(channel, 'hookswitch.published', 'call.ended.bench', {})

let taken = 0
let through = 0
let acked = 0
const ready = new Set()

await channel.prefetch(PREFETCH)
await channel.consume('raw.bench', async delivery => {
  taken += 1
  const id = delivery.properties.messageId
  const name = `y:${id}`
  if (await redis.set(name, 'claimed', 'PX', 30_000, 'NX')) {
    await publish(id, rewrite(delivery.content, id))
    await redis.set(name, 'done', 'PX', 604_800_000)
  }
  settle(delivery.fields.deliveryTag)
})

// One ack for many: once there are enough in a row, or nothing else is in progress.
function settle (tag) {
  ready.add(tag)
  while (ready.delete(through + 1)) through += 1
  if (through - acked >= ACKS || through === taken) {
    channel.ack({ fields: { deliveryTag: through } }, true)
    acked = through
  }
}

function rewrite (body, id) {
  const { data } = JSON.parse(body)
  const { fields } = data
  return Buffer.from(JSON.stringify({
    specversion: '1.0',
    id,
    type: 'call.updated',
    source: 'yardstick',
    call_id: data.id,
    direction: fields.direction,
    status: fields.status,
    started_at: fields.startedAt,
    answered_at: fields.answeredAt,
    ended_at: fields.endedAt,
    duration_s: fields.duration,
    recording_url: fields.recordingUrl,
    from: fields.externalNumber,
    to: fields.internalNumber,
    users: fields.users.map(user => user.id),
    contacts: fields.contacts.map(contact => contact.id),
    raw: data
  }))
}
