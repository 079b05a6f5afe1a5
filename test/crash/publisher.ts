/** A publisher that keeps its side of the bargain: a window, receipts, and what got none is sent again with DUP. */
import type { Test } from 'tap'
import type { Packet } from 'mqtt-packet'
import { connectPacket, openWire, publishPacket, type WireClient } from '../helpers/mqtt-wire.ts'
import type { Address } from '../helpers/server.ts'
import { pause } from '../helpers/wait.ts'

export interface LoadPublisher {
  readonly id: string
  readonly qos: 1 | 2
  /** Sequence numbers that got a receipt: PUBACK or PUBREC [G1]. */
  readonly receipts: ReadonlySet<number>
  /** Sent more than once, because no receipt had come when the connection broke. */
  readonly resent: ReadonlySet<number>
  /** Sequence numbers from 0 that were sent at all. */
  readonly sent: number
  /** Connections after the first one that found no session [G5]. */
  readonly sessionsLost: number
  /** Sends nothing new; resolves when everything has its receipt and its handshake is over. */
  finish (): Promise<void>
}

export interface PublisherOptions {
  readonly id: string
  readonly qos: 1 | 2
  readonly topic: string
  readonly window: number
  readonly payloadBytes: number
  /** Asked at every connect: the server may be away, or elsewhere. */
  readonly to: () => Address
}

interface Open { readonly number: number, state: 'publish' | 'release' }

const RETRY_MS = 20
const WAIT_MS = 90_000

export function startPublisher (t: Test, options: PublisherOptions): LoadPublisher {
  const { id, qos, topic, window } = options
  const receipts = new Set<number>()
  const resent = new Set<number>()
  /** In the order of sending [MQTT-4.6.0-1]. Packet identifiers follow the sequence; the window is far smaller. */
  const open = new Map<number, Open>()
  let next = 0
  let connects = 0
  let sessionsLost = 0
  let finishing = false
  let stopped = false

  const idOf = (number: number): number => number % 60_000 + 1
  const packetOf = (number: number, dup: boolean): Packet =>
    publishPacket(topic, `${id} ${number} `.padEnd(options.payloadBytes), { qos, dup, messageId: idOf(number) })
  const isDone = (): boolean => stopped || (finishing && open.size === 0)

  async function connect (): Promise<WireClient | undefined> {
    const client = await openWire(t, options.to()).catch(() => undefined)
    if (client === undefined) return undefined
    client.send(connectPacket({ clientId: id, clean: false }))
    const connack = await client.expect('connack').catch(() => undefined)
    if (connack?.returnCode !== 0) return undefined
    if (connects++ > 0 && !connack.sessionPresent) sessionsLost++
    return client
  }

  /** One connection, from the resending of what is open to its end. */
  async function session (client: WireClient): Promise<void> {
    for (const [messageId, { number, state }] of open) {
      if (state === 'release') { client.send({ cmd: 'pubrel', messageId }); continue }
      resent.add(number)
      client.send(packetOf(number, true))
    }
    while (!isDone()) {
      while (open.size < window && !finishing) {
        const number = next++
        open.set(idOf(number), { number, state: 'publish' })
        client.send(packetOf(number, false))
      }
      const packet = await client.next(WAIT_MS)
      const entry = packet.messageId === undefined ? undefined : open.get(packet.messageId)
      if (entry === undefined) continue
      if (packet.cmd === 'puback' || packet.cmd === 'pubrec') receipts.add(entry.number)
      if (packet.cmd === 'pubrec') {
        entry.state = 'release'
        client.send({ cmd: 'pubrel', messageId: packet.messageId })
      } else if (packet.cmd === 'puback' || packet.cmd === 'pubcomp') open.delete(packet.messageId!)
    }
  }

  const running = (async () => {
    while (!isDone()) {
      const client = await connect()
      if (client === undefined) { await pause(RETRY_MS); continue }
      await session(client).catch(() => {})
      client.destroy()
    }
  })()
  t.teardown(() => { stopped = true })

  return {
    id,
    qos,
    receipts,
    resent,
    get sent () { return next },
    get sessionsLost () { return sessionsLost },
    async finish () {
      finishing = true
      await running
    }
  }
}
