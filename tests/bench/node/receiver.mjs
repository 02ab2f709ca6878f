// The receiver of ../yardstick.rs in Node.js: answers 200 when the broker has confirmed.
import { randomBytes } from 'node:crypto'
import { createServer } from 'node:http'
import { at, openChannel, publisher } from './broker.mjs'

// What hookswitch says about a raw webhook without captured headers.
const head = {
  source: 'bench', provider: 'morph', received_at: '2026-01-02T03:04:05.678Z', entry: '19aa4b64500-5f3759df:1'
}
const headers = { yardstick: JSON.stringify(head) }
const publish = publisher(await openChannel(), 'hookswitch.raw', 'bench', headers)
// Redis still knows the ids of earlier runs.
const run = randomBytes(4).toString('hex')
let next = 0

const server = createServer((request, response) => {
  const answer = status => response.writeHead(status).end()
  if (request.method !== 'POST' || request.url !== '/in/bench') {
    answer(404)
    return
  }
  const chunks = []
  request.on('data', chunk => chunks.push(chunk))
  request.on('end', () => {
    const id = run + (next++).toString(16).padStart(8, '0')
    const body = chunks.length === 1 ? chunks[0] : Buffer.concat(chunks)
    publish(id, body).then(() => answer(200), () => answer(503))
  })
})
const [host, port] = at.listen.split(':')
server.listen(Number(port), host)
