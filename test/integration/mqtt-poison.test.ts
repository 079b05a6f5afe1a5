/**
 * MQTT clients that end their connection each time they get a certain message (broker/session/poison.ts): it is set
 * aside, and the rest comes in order. Clients that leave for reasons of their own have nothing set aside.
 */
import { once } from 'node:events'
import type { IPublishPacket } from 'mqtt-packet'
import t, { type Test } from 'tap'
import type { SetAsideMessage, ClientId } from '../../broker/index.ts'
import { startInProcess, type InProcess } from '../helpers/in-process.ts'
import { connectWire, publish1, publish2, subscribe, text, uniqueId, type WireClient } from '../helpers/mqtt-wire.ts'
import { pause } from '../helpers/wait.ts'

const HOLD_MS = 20
const LIMITS = { trialHoldMs: HOLD_MS, takeoverQuietMs: 1 }
const HOW_MANY = 8

t.jobs = 4

/** How a device goes when it gets what it can't take. */
const ENDS: Readonly<Record<string, (client: WireClient) => void>> = {
  'is reset': client => { client.destroy() },
  'closes the connection': client => { client.stream.end() },
  'says goodbye': client => {
    client.send({ cmd: 'disconnect' })
    client.stream.end()
  },
  'begins anew without a word': () => {}
}

interface Device {
  readonly clientId: string
  /** Undefined: it has been dealt with, and is acknowledged. */
  takes (message: IPublishPacket, client: WireClient): Promise<unknown> | undefined
}

/** Lives on one connection after the other, until it has handled `last`. Returns what it handled. */
async function live (t: Test, server: InProcess, { clientId, takes }: Device, last: string,
  connectionsMax: number): Promise<{ handled: string[], connections: number }> {
  const handled: string[] = []
  for (let connections = 1; connections <= connectionsMax; connections++) {
    const { client } = await connectWire(t, server, { clientId, clean: false })
    let lastId: number | undefined
    while (!client.isClosed) {
      const packet = await client.next().catch(() => undefined)
      if (packet === undefined) break
      let isDone = false
      if (packet.cmd === 'pubrel') {
        client.send({ cmd: 'pubcomp', messageId: packet.messageId! })
        isDone = packet.messageId === lastId
      } else if (packet.cmd === 'publish') {
        const left = takes(packet, client)
        if (left !== undefined) {
          await left
          break
        }
        handled.push(text(packet))
        client.send({ cmd: packet.qos === 2 ? 'pubrec' : 'puback', messageId: packet.messageId! })
        if (text(packet) === last) lastId = packet.messageId
        isDone = text(packet) === last && packet.qos === 1
      }
      if (!isDone) continue
      await client.untilPong() // all is acknowledged
      return { handled, connections }
    }
  }
  return { handled, connections: connectionsMax }
}

/** A session with HOW_MANY messages that wait for it. */
async function waiting (t: Test, server: InProcess, qos: 1 | 2 = 1): Promise<string> {
  const clientId = uniqueId()
  const { client } = await connectWire(t, server, { clientId, clean: false })
  await subscribe(client, { 'm/#': qos })
  const detached = once(server.broker.events, 'detached')
  client.destroy()
  await detached
  const { client: publisher } = await connectWire(t, server)
  for (let i = 0; i < HOW_MANY; i++) await (qos === 1 ? publish1 : publish2)(publisher, `m/${i}`, String(i))
  return clientId
}

async function allSetAside ({ broker }: InProcess, clientId: string): Promise<SetAsideMessage[]> {
  const all: SetAsideMessage[] = []
  for await (const one of broker.listSetAside(clientId as ClientId)) all.push(one)
  return all
}

const upTo = (count: number, without: readonly string[] = []): string[] =>
  Array.from({ length: count }, (_, i) => String(i)).filter(one => !without.includes(one))

for (const [how, end] of Object.entries(ENDS)) {
  for (const [poison, qos] of [[['0'], 1], [['3', '4'], 1], [['0', '5'], 2]] as const) {
    const where = `message ${poison.join(' and ')} of ${HOW_MANY}, QoS ${qos},`
    t.test(`[G5] a device that ${how} at ${where} gets the rest, in order`, async t => {
      const server = await startInProcess(t, { limits: { ...LIMITS, redeliveriesMax: 4 } })
      const told: string[] = []
      server.broker.events.on('set-aside', ({ topic }) => { told.push(topic) })
      const clientId = await waiting(t, server, qos)
      const { handled, connections } = await live(t, server, {
        clientId,
        takes (message, client) {
          if (!(poison as readonly string[]).includes(text(message))) return undefined
          end(client)
          return Promise.resolve()
        }
      }, String(HOW_MANY - 1), 60)
      t.same([...new Set(handled)], upTo(HOW_MANY, poison), 'the first sight of each [G3]')
      t.same(told, poison.map(one => `m/${one}`))
      t.same((await allSetAside(server, clientId)).map(({ message }) => message.topic), told)
      t.equal(server.broker.session(clientId as ClientId)?.inflightMessages, 0)
      t.comment(`${connections} connections`)
    })
  }
}

interface Innocent {
  readonly redeliveriesMax: number
  readonly visits: number
  /** One connection, on which it answers nothing. */
  visit (client: WireClient): Promise<unknown>
}

const INNOCENTS: Readonly<Record<string, Innocent>> = {
  'is there for a moment only, each time,': {
    redeliveriesMax: 10,
    visits: 15,
    async visit (client) {
      await pause(2 * HOLD_MS)
      client.send({ cmd: 'disconnect' })
      client.stream.end()
    }
  },
  'waits in vain for its pong behind a message': {
    redeliveriesMax: 4,
    visits: 8,
    async visit (client) {
      await client.find('publish')
      client.send({ cmd: 'pingreq' })
      await pause(2 * HOLD_MS)
      client.destroy()
    }
  }
}

for (const [what, { redeliveriesMax, visits, visit }] of Object.entries(INNOCENTS)) {
  t.test(`[G2] a client that ${what} has nothing set aside`, async t => {
    const server = await startInProcess(t, { limits: { ...LIMITS, redeliveriesMax } })
    const clientId = await waiting(t, server)
    for (let i = 0; i < visits; i++) await visit((await connectWire(t, server, { clientId, clean: false })).client)
    t.equal(server.broker.stats().setAside, 0)
    const { handled } = await live(t, server, { clientId, takes: () => undefined }, String(HOW_MANY - 1), 1)
    t.same(handled, upTo(HOW_MANY))
  })
}
