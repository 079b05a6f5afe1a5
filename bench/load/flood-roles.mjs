/** What must cost bystanders nothing: each role goes on until it is told to end. And the bystander itself. */
import { setTimeout as sleep } from 'node:timers/promises'
import { Client } from './client.mjs'
import { publishPacket, subscribePacket } from './packets.mjs'
import { Progress, inParallel } from './progress.mjs'
import { SocketioClient, frame } from './socketio-client.mjs'

const CONNECTING_MAX = 100
const TOPICS_AT_ONCE = 300
/** Bytes that a flooder has waiting at most, and what it writes at once. */
const FLOOD_BYTES = 262_144
const FLOOD_FRAMES = 500
const PAUSE_MS = 1

/** A small message of one client to another, every so often, at QoS 0: no disk in between. One period for each word. */
export async function exchange ({ port, everyMs }, { isReady, told }) {
  const samples = []
  const reader = new Client({
    port,
    clientId: 'bystander-reader',
    clean: true,
    onPublish: (data, at) => {
      const sentAt = data.readDoubleBE(at)
      samples.push([sentAt, performance.now() - sentAt])
    }
  })
  const writer = new Client({ port, clientId: 'bystander-writer', clean: true, onPublish: () => {} })
  await Promise.all([reader.connected, writer.connected])
  await reader.subscribe(['bystander'], 0)
  let sent = 0
  const timer = setInterval(() => {
    const payload = Buffer.alloc(8)
    payload.writeDoubleBE(performance.now())
    writer.write(publishPacket('bystander', payload))
    sent++
  }, everyMs)
  isReady()
  const periods = []
  for (let word = 'warm-up'; word !== 'end';) {
    const from = performance.now()
    const next = await told()
    periods.push({ word, from, to: performance.now() })
    word = next
  }
  clearInterval(timer)
  for (let ms = 0; samples.length < sent && ms < 10_000; ms += PAUSE_MS) await sleep(PAUSE_MS)
  reader.destroy()
  writer.destroy()
  return { lost: sent - samples.length, periods: periods.map((one) => quantiles(one, samples)) }
}

function quantiles ({ word, from, to }, samples) {
  const sorted = samples.filter(([at]) => at >= from && at < to).map(([, took]) => took).sort((a, b) => a - b)
  const at = (share) => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? NaN
  return { word, count: sorted.length, p50Ms: at(0.5), p99Ms: at(0.99), maxMs: at(1) }
}

/** One message on each of many topics; resolves when all have a receipt. */
export async function fillTopics ({ port, prefix, topics, retain = false }) {
  const progress = new Progress()
  let sent = 0
  const client = new Client({
    port,
    clientId: 'filler',
    clean: true,
    onPublish: () => {},
    onAcks (count) {
      progress.add(count)
      write(count)
    }
  })
  await client.connected
  function write (count) {
    const end = Math.min(sent + count, topics)
    for (; sent < end; sent++) {
      client.write(publishPacket(`${prefix}${sent}`, 'x', { packetId: 1 + sent % 65_535, retain }))
    }
  }
  write(TOPICS_AT_ONCE)
  await progress.reaches(topics)
  await client.end()
}

/** Comes back to one session after the other and takes what waits; a session that has all of it leaves. */
export async function takeAll ({ port, clientIds, each }, { isReady, told }) {
  isReady()
  await told()
  for (const clientId of clientIds) {
    const progress = new Progress()
    const client = new Client({ port, clientId, onPublish: () => progress.add(1), onCut: () => progress.add(each) })
    await progress.reaches(each)
    client.destroy()
  }
}

/** SUBSCRIBE to everything, again and again, and reads nothing. */
export async function subscribeAgain ({ port, times }, { isReady, told }) {
  const client = new Client({ port, clientId: 'again', clean: true, onPublish: () => {}, onCut: () => {} })
  await client.connected
  isReady()
  await told()
  client.freeze()
  const one = subscribePacket(['#'], 1)
  client.write(Buffer.concat(Array.from({ length: times }, () => one)))
  await told()
  client.destroy()
}

/** MQTT clients that publish as fast as the server takes it, at QoS 0, to nobody. */
export async function mqttFlood ({ port, clients }, { isReady, told }) {
  const packets = Buffer.concat(Array.from({ length: FLOOD_FRAMES }, () => publishPacket('flood', '')))
  await flood(clients, { isReady, told }, (i) => ({
    client: new Client({ port, clientId: `flood-${i}`, clean: true, onPublish: () => {}, onCut: () => {} }),
    bytes: packets
  }))
}

/** Socket.IO clients that emit as fast as the server takes it: an event that means nothing, or one that is named. */
export async function socketioFlood ({ socketioPort, clients, event = 'x', rooms = 0, asks = false },
  { isReady, told }) {
  const frames = Buffer.concat(Array.from({ length: FLOOD_FRAMES }, (_, i) =>
    frame(`42${asks ? i : ''}${JSON.stringify([event])}`)))
  await flood(clients, { isReady, told }, (i) => ({
    client: new SocketioClient({ port: socketioPort, auth: { clientId: `flood-${i}` }, onCut: () => {} }),
    bytes: frames
  }), async (client) => {
    for (let room = 0; room < rooms; room++) await client.emit('join', `room-${room}`)
  })
}

async function flood (clients, { isReady, told }, make, prepare = async () => {}) {
  const all = Array.from({ length: clients }, (_, i) => make(i))
  await Promise.all(all.map(({ client }) => client.connected))
  for (const { client } of all) await prepare(client)
  isReady()
  await told()
  let isOver = false
  const over = told().then(() => { isOver = true })
  while (!isOver) {
    for (const { client, bytes } of all) if (!client.ended && client.waitingBytes < FLOOD_BYTES) client.write(bytes)
    await sleep(PAUSE_MS)
  }
  await over
  for (const { client } of all) client.destroy()
}

/** One Socket.IO client that names a room with very many bytes, a few times a second. */
export async function hugeNames ({ socketioPort, bytes, perSecond }, { isReady, told }) {
  const name = frame(`42${JSON.stringify(['join', '%'.repeat(bytes)])}`)
  const make = () => new SocketioClient({ port: socketioPort, auth: { clientId: 'huge' }, onCut: () => {} })
  let client = make()
  await client.connected
  isReady()
  await told()
  let isOver = false
  const over = told().then(() => { isOver = true })
  while (!isOver) {
    if (client.ended) {
      client = make()
      await client.connected.catch(() => {})
    }
    if (!client.ended) client.write(name)
    await sleep(1_000 / perSecond)
  }
  await over
  client.destroy()
}

/** Two clients of one name that come back as soon as they are thrown out. */
export async function takeovers ({ port, socketioPort }, { isReady, told }) {
  isReady()
  await told()
  let isOver = false
  const over = told().then(() => { isOver = true })
  async function rival () {
    while (!isOver) {
      const cut = withResolvers()
      const client = socketioPort === undefined
        ? new Client({ port, clientId: 'rival', onPublish: () => {}, onCut: cut.resolve })
        : new SocketioClient({ port: socketioPort, auth: { clientId: 'rival' }, onCut: cut.resolve })
      client.connected.catch(() => {})
      await Promise.race([cut.promise, over])
      client.destroy()
    }
  }
  await Promise.all([rival(), rival()])
}

function withResolvers () {
  let resolve
  const promise = new Promise((_resolve) => { resolve = _resolve })
  return { promise, resolve }
}

/** One message at a time to very many sessions that are connected, at QoS 1. */
export async function fanOut ({ port, sessions, everyMs }, { isReady, told }) {
  const all = []
  await inParallel(sessions, CONNECTING_MAX, async (i) => {
    const client = new Client({ port, clientId: `many-${i}`, onPublish: () => {} })
    all.push(client)
    await client.connected
    await client.subscribe(['many'])
  })
  const writer = new Client({ port, clientId: 'many-writer', clean: true, onPublish: () => {} })
  await writer.connected
  isReady()
  await told()
  let sent = 0
  const timer = setInterval(() => {
    writer.write(publishPacket('many', 'x', { packetId: 1 + sent++ % 65_535 }))
  }, everyMs)
  await told()
  clearInterval(timer)
  for (const one of [writer, ...all]) one.destroy()
}

/** Nothing but what the server does by itself. */
export async function nothing (_spec, { isReady, told }) {
  isReady()
  await told()
  await told()
}
