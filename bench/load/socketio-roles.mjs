/** What a process of the load can be told to do over Socket.IO. */
import { Progress, inParallel } from './progress.mjs'
import { SocketioClient } from './socketio-client.mjs'
import { SocketioEmitter, readEvent } from './socketio-emitter.mjs'
import { Tally, verdict } from './tally.mjs'

/** The share of a run that comes first, is waited for and not timed: connections and compilers warm up. */
const WARM_UP = 0.1
const CONNECTING_MAX = 50

/**
 * Emitters to receivers in rooms, all in one (`fanout`) or each in its own; every emit asks for an ack. The rate counts
 * deliveries; `pings` is how many engine pings came for each delivery while it was taken.
 */
export async function socketioFlow (spec) {
  const { port, emitters, receivers, messages, windowMessages, payloadBytes, fanout = false } = spec
  const each = Math.floor(messages / emitters)
  const progress = new Progress()
  const roomOf = (i) => fanout ? 'flow' : `flow-${i % receivers}`
  const readers = []
  await inParallel(receivers, CONNECTING_MAX, async (i) => {
    const tally = new Tally(each)
    const client = new SocketioClient({
      port,
      auth: { clientId: `receiver-${i}` },
      onEvent (data, at) {
        if (data[at + 2] !== 0x6d) return // not 'msg'
        const { from, sequence } = readEvent(data, at)
        if (tally.see(from, sequence)) progress.add(1)
      }
    })
    await client.connected
    await client.emit('join', roomOf(i))
    readers.push({ client, tally })
  })
  const writers = Array.from({ length: emitters }, (_, i) => (
    new SocketioEmitter({ port, number: i, room: roomOf(i), messages: each, windowMessages, payloadBytes })))
  await Promise.all(writers.map(({ connected }) => connected))
  const copies = emitters * (fanout ? receivers : 1)
  const expected = each * copies
  const first = Math.ceil(each * WARM_UP)
  for (const writer of writers) writer.allow(first)
  await progress.reaches(first * copies)
  const pingsBefore = pingsOf(readers)
  const before = progress.count
  const start = performance.now()
  for (const writer of writers) writer.allow(each)
  const end = await progress.reaches(expected)
  const rate = (progress.count - before) / (end - start) * 1_000
  const pings = (pingsOf(readers) - pingsBefore) / (progress.count - before)
  await Promise.all([...writers, ...readers.map(({ client }) => client)].map((one) => one.end()))
  return { rate, pings, ...verdict(readers.map(({ tally }) => tally), expected) }
}

/** Opens connections that join one room each and keeps them, silent, until told. */
export async function socketioIdle ({ port, prefix, count }, { isReady, told }) {
  const clients = []
  await inParallel(count, CONNECTING_MAX, async (i) => {
    const client = new SocketioClient({ port, auth: { clientId: `${prefix}${i}` } })
    clients.push(client)
    await client.connected
    await client.emit('join', `idle-${i}`)
  })
  isReady()
  await told()
  for (const client of clients) client.destroy()
}

function pingsOf (readers) {
  return readers.reduce((sum, { client }) => sum + client.pings, 0)
}
