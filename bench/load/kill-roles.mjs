/** What comes again after the server was killed, counted by each of its sessions. */
import { Client } from './client.mjs'
import { Progress } from './progress.mjs'
import { Publisher } from './publisher.mjs'

/** After so long without a message all is taken to be there. */
const QUIET_MS = 1_500
/** A kill comes long before. */
const MESSAGES_MAX = 1_000_000

/**
 * Sessions `killed-0`, ... on topics `killed/0`, ..., which are drained, or published to meanwhile. Is ready when each
 * has `first` messages on average: the server may be killed. Told the new port, the sessions come back.
 */
export async function killed ({ port, sessions, first, publishers = 0, windowMessages, payloadBytes },
  { isReady, told }) {
  const numbers = Array.from({ length: sessions }, (_, i) => i)
  const seen = numbers.map(() => new Set())
  const repeated = numbers.map(() => 0)
  const progress = new Progress()
  const join = async (to) => await Promise.all(numbers.map(async (i) => {
    const client = new Client({
      port: to,
      clientId: `killed-${i}`,
      onCut: () => {},
      onPublish (data, at) {
        const key = data.readUInt32BE(at) * 2 ** 32 + data.readUInt32BE(at + 4)
        if (seen[i].has(key)) repeated[i]++
        seen[i].add(key)
        progress.add(1)
      }
    })
    await client.connected
    return client
  }))
  await join(port)
  const start = performance.now()
  for (let i = 0; i < publishers; i++) {
    const publisher = new Publisher({
      port,
      clientId: `killing-${i}`,
      number: i,
      topic: `killed/${i % sessions}`,
      messages: MESSAGES_MAX,
      windowMessages,
      payloadBytes,
      onAcked: () => {},
      onCut: () => {}
    })
    await publisher.connected
    publisher.allow(MESSAGES_MAX)
  }
  const reached = await progress.reaches(first * sessions)
  const rate = first * sessions / (reached - start) * 1_000
  isReady()
  const clients = await join(await told())
  for (let before = -1; before !== progress.count;) {
    before = progress.count
    await new Promise((resolve) => setTimeout(resolve, QUIET_MS))
  }
  for (const client of clients) client.destroy()
  return { rate, repeatedMax: Math.max(...repeated), repeated: repeated.reduce((sum, count) => sum + count, 0) }
}
