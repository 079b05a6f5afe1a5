/** What a process of the load can be told to do; each role takes a spec and resolves to what it measured. */
import { Client } from './client.mjs'
import { Progress, inParallel } from './progress.mjs'
import { Publisher } from './publisher.mjs'
import { Tally, verdict } from './tally.mjs'

/** The share of a run that comes first, is waited for and not timed: connections and compilers warm up. */
const WARM_UP = 0.1
const CONNECTING_MAX = 100
/** Time for what is still on its way when the traffic ends. */
const AFTERWARDS_MS_MAX = 5_000

/**
 * Publishers to persistent subscribers that are connected: `fanout` makes all use one topic, else publisher i writes to
 * the topic of subscriber i. The rate counts deliveries.
 */
export async function flow (spec) {
  const { port, publishers, subscribers, messages, windowMessages, payloadBytes, fanout = false } = spec
  const each = Math.floor(messages / publishers)
  const progress = new Progress()
  const topicOf = (i) => fanout ? 'flow/all' : `flow/in/${i % subscribers}`
  const readers = range(subscribers).map((i) => reader({ port, clientId: `reader-${i}`, messages: each, progress }))
  await Promise.all(readers.map(({ client }) => client.connected))
  await Promise.all(readers.map(({ client }, i) => client.subscribe([topicOf(i)])))
  const writers = await startPublishers({ port, publishers, each, windowMessages, payloadBytes, topicOf })
  const copies = publishers * (fanout ? subscribers : 1)
  const expected = each * copies
  const first = Math.ceil(each * WARM_UP)
  for (const writer of writers) writer.allow(first)
  await progress.reaches(first * copies)
  const before = progress.count
  const start = performance.now()
  for (const writer of writers) writer.allow(each)
  const end = await progress.reaches(expected)
  const rate = (progress.count - before) / (end - start) * 1_000
  await Promise.all([...writers, ...readers.map(({ client }) => client)].map((one) => one.end()))
  return { rate, ...verdict(readers.map(({ tally }) => tally), expected) }
}

/** Publishes `messages` and waits for every receipt. */
export async function publish ({ port, publishers, messages, windowMessages, payloadBytes, topics }) {
  const each = Math.floor(messages / publishers)
  const progress = new Progress()
  const topicOf = (i) => topics[i % topics.length]
  const writers = await startPublishers({ port, publishers, each, windowMessages, payloadBytes, topicOf, progress })
  const start = performance.now()
  for (const writer of writers) writer.allow(each)
  const end = await progress.reaches(each * publishers)
  await Promise.all(writers.map((writer) => writer.end()))
  return { rate: progress.count / (end - start) * 1_000, acked: progress.count }
}

/** Makes sessions `prefix0`, `prefix1`, ... and leaves them; {i} in a filter stands for the number. */
export async function sessions ({ port, prefix, count, filters }) {
  await inParallel(count, CONNECTING_MAX, async (i) => {
    const client = new Client({ port, clientId: `${prefix}${i}`, onPublish: () => {} })
    await client.connected
    await client.subscribe(filters.map((filter) => filter.replace('{i}', String(i))))
    await client.end()
  })
}

/**
 * Comes back to detached sessions and reads what waited: `each` messages of each of the `publishers`. After `msMax` it
 * leaves, with what it has got.
 */
export async function drain ({ port, clientIds, publishers, each, msMax }) {
  const progress = new Progress()
  const start = performance.now()
  const readers = clientIds.map((clientId) => reader({ port, clientId, messages: each, progress }))
  const expected = clientIds.length * publishers * each
  const end = await progress.reaches(expected, msMax)
  await Promise.all(readers.map(({ client }) => client.end()))
  return { rate: progress.count / (end - start) * 1_000, ...verdict(readers.map(({ tally }) => tally), expected) }
}

/** Opens connections with one filter each and keeps them, silent, until told. */
export async function idle ({ port, prefix, count }, { isReady, told }) {
  const clients = []
  await inParallel(count, CONNECTING_MAX, async (i) => {
    const client = new Client({ port, clientId: `${prefix}${i}`, onPublish: () => {} })
    clients.push(client)
    await client.connected
    await client.subscribe([`idle/${i}`])
  })
  isReady()
  await told()
  for (const client of clients) client.destroy()
}

/** Comes back to a session and takes nothing, until told. */
export async function freeze ({ port, clientId }, { isReady, told }) {
  const client = new Client({ port, clientId, onPublish: () => {} })
  await client.connected
  client.freeze()
  isReady()
  await told()
  client.destroy()
}

/**
 * Messages at a steady rate, each publisher to its own subscriber. Being told a word ends a period and begins another,
 * named by the word; 'end' ends it all. Measures the latency of the messages that were sent in each period.
 */
export async function traffic (spec, { isReady, told }) {
  const { port, pairs, perSecond, secondsMax, windowMessages, payloadBytes } = spec
  const each = Math.ceil(perSecond * secondsMax / pairs)
  const progress = new Progress()
  const samples = []
  const onMessage = (sentAt) => samples.push([sentAt, performance.now() - sentAt])
  const topicOf = (i) => `traffic/${i}`
  const readers = range(pairs).map((i) => (
    reader({ port, clientId: `traffic-${i}`, messages: each, progress, onMessage })))
  await Promise.all(readers.map(({ client }) => client.connected))
  await Promise.all(readers.map(({ client }, i) => client.subscribe([topicOf(i)])))
  const writers = await startPublishers({ port, publishers: pairs, each, windowMessages, payloadBytes, topicOf })
  const start = performance.now()
  const timer = setInterval(() => { // all that have become due
    const due = Math.floor((performance.now() - start) * perSecond / pairs / 1_000)
    for (const writer of writers) writer.allow(due - writer.allowed)
  }, 1)
  isReady()
  const periods = []
  for (let word = 'warm-up'; word !== 'end';) {
    const from = performance.now()
    const next = await told()
    periods.push({ word, from, to: performance.now() })
    word = next
  }
  clearInterval(timer)
  const expected = writers.reduce((total, writer) => total + writer.allowed, 0)
  await progress.reaches(expected, AFTERWARDS_MS_MAX)
  for (const one of [...writers, ...readers.map(({ client }) => client)]) one.destroy()
  const seen = verdict(readers.map(({ tally }) => tally), expected)
  return { periods: periods.map((one) => latencies(one, samples)), ...seen }
}

function latencies ({ word, from, to }, samples) {
  const sorted = samples.filter(([at]) => at >= from && at < to).map(([, took]) => took).sort((a, b) => a - b)
  const quantile = (q) => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * q))] ?? NaN
  return { word, messages: sorted.length, ms: to - from, p50Ms: quantile(0.5), p99Ms: quantile(0.99) }
}

function reader ({ port, clientId, messages, progress, onMessage = () => {} }) {
  const tally = new Tally(messages)
  const client = new Client({
    port,
    clientId,
    onPublish (data, at) {
      if (tally.see(data.readUInt32BE(at), data.readUInt32BE(at + 4))) progress.add(1)
      onMessage(data.readDoubleBE(at + 8))
    },
    onAcks: () => {}
  })
  return { client, tally }
}

async function startPublishers ({ port, publishers, each, windowMessages, payloadBytes, topicOf, progress }) {
  const writers = range(publishers).map((i) => new Publisher({
    port,
    clientId: `writer-${i}`,
    number: i,
    topic: topicOf(i),
    messages: each,
    windowMessages,
    payloadBytes,
    onAcked: (count) => progress?.add(count)
  }))
  await Promise.all(writers.map(({ connected }) => connected))
  return writers
}

function range (count) {
  return Array.from({ length: count }, (_, i) => i)
}
