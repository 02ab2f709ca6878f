// Shared by worker and receiver: addresses, the connection, and messages like the yardstick's
// (../yardstick.rs).
import { parseArgs } from 'node:util'
import amqp from 'amqplib'

const string = { type: 'string' }
export const { values: at } = parseArgs({ options: { amqp: string, redis: string, listen: string } })


export async function openChannel () {
  const connection = await amqp.connect(at.amqp, { noDelay: true })
  writeTogether(connection.connection.stream)
  return connection.createConfirmChannel()
}

// amqplib writes one or two chunks per message, each with a system call of its own. Corking writes all chunks
// of one turn of the event loop at once, which saves about a tenth of the worker's CPU.
function writeTogether (socket) {
  const write = socket.write
  socket.write = function (...chunk) {
    if (socket.writableCorked === 0) {
      socket.cork()
      process.nextTick(() => socket.uncork())
    }
    return write.apply(socket, chunk)
  }
}

// Publishes with the properties that hookswitch's messages have; resolves when the broker has confirmed.
export function publisher (channel, exchange, key, headers) {
  const fixed = {
    mandatory: true,
    persistent: true,
    contentType: 'application/json',
    appId: 'yardstick',
    type: 'event',
    timestamp: 1,
    headers
  }
  return (messageId, body) => new Promise((resolve, reject) => {
    channel.publish(exchange, key, body, { ...fixed, messageId }, error => {
      if (error) reject(error)
      else resolve()
    })
  })
}
