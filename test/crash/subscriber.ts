/** A subscriber with a persistent session that writes down all it sees, and acknowledges it. */
import type { Test } from 'tap'
import { connectPacket, openWire, text, type WireClient } from '../helpers/mqtt-wire.ts'
import type { Address } from '../helpers/server.ts'
import { pause } from '../helpers/wait.ts'

/** One message as the application sees it. */
export interface Sighting {
  readonly publisher: string
  readonly number: number
  readonly dup: boolean
  /** Which run of the server, and which connection of the subscriber. */
  readonly run: number
  readonly connection: number
}

export interface LoadSubscriber {
  readonly id: string
  readonly filter: string
  readonly sightings: readonly Sighting[]
  readonly connections: number
  readonly sessionsLost: number
  /** Drops the connection without a word and comes back after `ms`. */
  leave (ms: number): void
  stop (): Promise<void>
}

export interface SubscriberOptions {
  readonly id: string
  readonly filter: string
  readonly qos: 1 | 2
  readonly to: () => Address
  readonly run: () => number
}

const RETRY_MS = 20

/** Resolves when it has subscribed. */
export async function startSubscriber (t: Test, options: SubscriberOptions): Promise<LoadSubscriber> {
  const sightings: Sighting[] = []
  /** QoS 2: identifiers that were handed to the application and not yet released (MQTT 3.1.1, 4.3.3, method B). */
  const received = new Set<number>()
  let connections = 0
  let sessionsLost = 0
  let stopped = false
  let awayMs = 0
  let current: WireClient | undefined

  async function connect (): Promise<WireClient | undefined> {
    const client = await openWire(t, options.to()).catch(() => undefined)
    if (client === undefined) return undefined
    client.send(connectPacket({ clientId: options.id, clean: false }))
    const connack = await client.expect('connack').catch(() => undefined)
    if (connack?.returnCode !== 0) return undefined
    if (connections++ > 0 && !connack.sessionPresent) sessionsLost++
    return client
  }

  function see (payload: string, dup: boolean): void {
    const [publisher, number] = payload.split(' ', 2)
    sightings.push({ publisher, number: Number(number), dup, run: options.run(), connection: connections })
  }

  async function session (client: WireClient): Promise<void> {
    while (!stopped) {
      const packet = await client.next(600_000)
      const { messageId } = packet
      if (packet.cmd === 'publish' && packet.qos === 1) {
        see(text(packet), packet.dup)
        client.send({ cmd: 'puback', messageId })
      } else if (packet.cmd === 'publish' && packet.qos === 2) {
        if (!received.has(messageId!)) see(text(packet), packet.dup)
        received.add(messageId!)
        client.send({ cmd: 'pubrec', messageId })
      } else if (packet.cmd === 'pubrel') {
        received.delete(messageId!)
        client.send({ cmd: 'pubcomp', messageId })
      }
    }
  }

  const first = await connect()
  if (first === undefined) throw new Error(`${options.id} could not connect`)
  first.send({ cmd: 'subscribe', messageId: 1, subscriptions: [{ topic: options.filter, qos: options.qos }] })
  await first.expect('suback')
  current = first
  const running = (async () => {
    while (!stopped) {
      if (current !== undefined) await session(current).catch(() => {})
      current?.destroy()
      await pause(Math.max(RETRY_MS, awayMs))
      awayMs = 0
      if (!stopped) current = await connect()
    }
  })()
  t.teardown(() => { stopped = true; current?.destroy() })

  return {
    id: options.id,
    filter: options.filter,
    sightings,
    get connections () { return connections },
    get sessionsLost () { return sessionsLost },
    leave (ms) {
      awayMs = ms
      current?.destroy()
    },
    async stop () {
      stopped = true
      current?.destroy()
      await running
    }
  }
}
