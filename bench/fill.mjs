/**
 * Fills a data folder through the broker, without a network: `fill.mjs FOLDER SESSIONS MESSAGES-EACH`.
 * Sessions `device-0`, `device-1`, ... with three filters, detached; each has its messages waiting.
 */
import { randomUUID } from 'node:crypto'
import { ANONYMOUS, DEFAULT_LIMITS, QOS, anonymous, createBroker, systemClock } from '../dist/broker/index.js'
import { createEmbeddedStore } from '../dist/broker/store/embedded.js'
import { inParallel } from './load/progress.mjs'

const PAYLOAD_BYTES = 200
const EXPIRY_MS = 86_400_000
const CONNECTING_MAX = 1_000
const PUBLISHING_MAX = 20_000

const [folder, sessions, each] = [process.argv[2], Number(process.argv[3]), Number(process.argv[4])]
const broker = createBroker({
  store: createEmbeddedStore({ folder }),
  auth: anonymous,
  limits: DEFAULT_LIMITS,
  clock: systemClock,
  makeId: randomUUID
})
await broker.open()
await inParallel(sessions, CONNECTING_MAX, async (i) => {
  const request = { clientId: `device-${i}`, principal: ANONYMOUS, clean: false, expiryMs: EXPIRY_MS }
  const { session } = await broker.connect(request)
  for (const filter of [`dev/${i}/cmd/+`, `dev/${i}/cfg`, 'all/news']) await broker.subscribe(session, filter, 1)
  broker.release(session)
})
const publisher = { clientId: 'filler', principal: ANONYMOUS }
await inParallel(sessions * each, PUBLISHING_MAX, async (i) => {
  const payload = Buffer.alloc(PAYLOAD_BYTES, 'x')
  payload.writeUInt32BE(0, 0)
  payload.writeUInt32BE(Math.floor(i / sessions), 4) // a device gets its messages spread over the log
  payload.writeDoubleBE(0, 8)
  await publish({ topic: `dev/${i % sessions}/cmd/set`, payload, qos: QOS.atLeastOnce, retain: false, id: '' })
})
await broker.close()
console.log('filled')

async function publish (request) {
  await new Promise((resolve, reject) => {
    broker.publish(publisher, request, (error) => error === undefined ? resolve() : reject(error))
  })
}
