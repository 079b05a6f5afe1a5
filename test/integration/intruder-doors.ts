/** The doors of the intruder's suite: MQTT packet by packet, and the clients of Socket.IO as they were shipped. */
import { once } from 'node:events'
import type { Packet } from 'mqtt-packet'
import type { Test } from 'tap'
import { createWebSocketStream, WebSocket } from 'ws'
import { connectPacket, openWire, publishPacket, wireClient, type WireClient } from '../helpers/mqtt-wire.ts'
import { legacyClient, type LegacySocket, type Version } from '../helpers/socketio-clients.ts'
import { until, within } from '../helpers/wait.ts'
import { PASSWORD, textOf, type Door, type Guest, type House, type Who } from './intruder-words.ts'

export interface MqttGuest extends Guest {
  /** The next packet that is no PUBLISH, which are taken and acknowledged. */
  ask (...packets: Packet[]): Promise<Packet>
  /** No DISCONNECT: a will is due. */
  break (): void
}

/** A guest listens for as long as it is there. */
const LONG_MS = 2_147_483_647

const FOREIGN_FILTERS = [
  '#', '+/#', '+/+/#', 'io/#', 'io/+/user/+/+', 'io/_/user/u1/+', 'io/_/user/u1/#', 'io/_/user/+/news',
  'io/+/user/u1/news', 'io/_/user/%75%31/+', 'io/_/room/u1/+', 'io/_/room/+/+', 'own/u1/#', 'own/u1/kept', 'own/+/kept',
  'own/#', '/#', 'own/u1', '$SYS/#', '$SYS/+', '$SYS/broker/uptime', '$share/g/#', '$share/g/io/_/user/u1/+',
  '$share/g/own/u1/kept', '$share/u1/+/+/user/#', '$share/g/$SYS/#', '$share/g/$share/h/own/u1/#', '$queue/own/u1/#',
  '$inbox/io/_/user/u1/+', '$inbox/#', '$share/g/$inbox/#'
]

const FOREIGN_TOPICS = [
  'own/u1/kept', 'own/u1/x', 'own/sender/x', 'io/_/user/u1/news', 'io/_/user/u1/holdfast:closed', 'io/_/all/news',
  'io/_/all/holdfast:closed', 'io/_/room/u1/news', 'io/_/user/%75%31/news', '$SYS/x', '$holdfast/gap', '$x',
  '$share/g/own/u1/x', '$inbox/io/_/user/u1/x', 'plain', '/own/u1/x'
]

const FOREIGN_WILLS = ['own/u1/kept', 'io/_/user/u1/news', 'io/_/all/holdfast:closed', '$SYS/x']

/** Names that only the server gives. */
const OWN_NAMES = ['io:_:fresh', 'io:_::fresh', '$inbox/io/_/user/u1/+', '$share/g/own/u1/#']

export function mqttDoor (name: string, open: (t: Test, house: House) => Promise<WireClient>): Door<MqttGuest> {
  const door: Door<MqttGuest> = {
    name,
    sessionOf: (clientId) => clientId,
    async enter (t, house, { clientId, username, password, token, clean = true, will }) {
      const shown = token ?? password
      const name = username ?? (token === undefined ? undefined : 'whoever')
      const client = await open(t, house)
      client.send(connectPacket({
        clientId, clean, username: name, ...shown !== undefined && { password: Buffer.from(shown) }, ...will && { will }
      }))
      const { returnCode } = await client.expect('connack')
      if (returnCode !== 0) throw new Error(`refused: CONNACK ${returnCode}`)
      return mqttGuest(client)
    },
    async settle (t, house, who) {
      const guest = await door.enter(t, house, { ...who, clean: false })
      house.entered.set(who.clientId, who.username!)
      const code = await subscribe(guest, `io/_/user/${who.username}/+`)
      if (code !== 1) throw new Error(`the filter of ${who.username} was refused`)
      return guest
    },
    async overreach (t, house, principal, guest) {
      const granted: string[] = []
      for (const filter of FOREIGN_FILTERS) if (await subscribe(guest, filter) !== 0x80) granted.push(filter)
      await publishAll(guest, [...FOREIGN_TOPICS, `io/_/user/${principal}/news`,
        `io/_/room/${principal}/holdfast:closed`])
      const shown = await credentials(house, principal)
      for (const topic of FOREIGN_WILLS) await dieWith(t, house, door, { ...shown, clientId: 'dying' }, topic)
      for (const clientId of OWN_NAMES) {
        const came = await door.enter(t, house, { ...shown, clientId, clean: false }).then(() => true, () => false)
        if (came) granted.push(`the session ${clientId}`)
      }
      return granted
    }
  }
  return door
}

/** As a user of the file, or by a token where there is none of that name. */
export async function credentials (
  { forge }: House, principal: string
): Promise<Pick<Who, 'username' | 'password' | 'token'>> {
  if (['u2', 'wide'].includes(principal)) return { username: principal, password: PASSWORD }
  return { token: await forge.good(principal) }
}

export async function subscribe (guest: MqttGuest, topic: string): Promise<number> {
  const suback = await guest.ask({ cmd: 'subscribe', messageId: 9, subscriptions: [{ topic, qos: 1 }] })
  return (suback as { granted: number[] }).granted[0]
}

async function publishAll (guest: MqttGuest, topics: readonly string[]): Promise<void> {
  for (const topic of topics) {
    for (const payload of ['"forged"', '']) { // an empty one would remove what is retained
      for (const retain of [true, false]) {
        await guest.ask(publishPacket(topic, payload, { retain }), { cmd: 'pingreq' })
        await guest.ask(publishPacket(topic, payload, { retain, qos: 1, messageId: 1 }))
        await guest.ask(publishPacket(topic, payload, { retain, qos: 2, messageId: 2 }))
        await guest.ask({ cmd: 'pubrel', messageId: 2 })
      }
    }
  }
}

async function dieWith (t: Test, house: House, door: Door<MqttGuest>, who: Who, topic: string): Promise<void> {
  const { holdfast } = house
  const { refused } = holdfast.stats()
  const will = { topic, payload: Buffer.from('"forged"'), qos: 1, retain: true } as const
  const dying = await door.enter(t, house, { ...who, will }).catch(() => undefined)
  if (dying === undefined) return
  dying.break()
  await until(() => holdfast.session(who.clientId) === undefined && holdfast.stats().refused > refused,
    `the will for ${topic} to be refused`)
}

function mqttGuest (client: WireClient): MqttGuest {
  const got: string[] = []
  let answered: ((packet: Packet) => void) | undefined
  const pump = async (): Promise<void> => {
    for (;;) {
      const packet = await client.next(LONG_MS)
      if (packet.cmd !== 'publish') answered?.(packet)
      else {
        got.push(textOf(packet.payload as Buffer))
        if (packet.qos === 1) client.send({ cmd: 'puback', messageId: packet.messageId })
      }
    }
  }
  pump().catch(() => {}) // the connection is over
  return {
    got,
    get isClosed () { return client.isClosed },
    async ask (...packets) {
      const what = `an answer to ${JSON.stringify(packets[0]).slice(0, 120)}`
      const answer = new Promise<Packet>((resolve) => { answered = resolve })
      client.send(...packets)
      const over = client.closed.then(() => { throw new Error(`closed in place of ${what}`) })
      return await within(Promise.race([answer, over]), what)
    },
    break () { client.destroy() },
    async leave () {
      client.send({ cmd: 'disconnect' })
      await within(client.closed, 'the end')
    }
  }
}

export const overTcp = async (t: Test, { mqtt }: House): Promise<WireClient> => await openWire(t, mqtt)

export async function overWebSocket (t: Test, { url }: House): Promise<WireClient> {
  const socket = new WebSocket(`${url.replace('http', 'ws')}/mqtt`, ['mqtt'])
  t.teardown(() => { socket.terminate() })
  await within(once(socket, 'open'), 'the WebSocket to open')
  return wireClient(t, createWebSocketStream(socket))
}

interface SocketGuest extends Guest {
  ask (...args: readonly unknown[]): Promise<{ readonly status: string }>
}

const FOREIGN_ROOMS = ['u1', '#', '+', 'u1/#', '../user/u1', '../room/u1', '%75%31', '', '_', 'sender', ['u1'],
  { 0: 'u1' }]
const HEARD = ['news', 'forged', 'holdfast:undeliverable', 'holdfast:gap', 'holdfast:closed']

export function socketioDoor (version: Version, over: 'polling' | 'websocket'): Door<SocketGuest> {
  const door: Door<SocketGuest> = {
    name: `Socket.IO ${version} over ${over}`,
    sessionOf: (clientId) => `io:_:${clientId}`,
    async enter (t, house, { clientId, username, password, token, namespace = '/' }) {
      return await socketGuest(t, legacyClient(version, `${house.url}${namespace}`, {
        transports: [over],
        reconnection: false,
        [version === '2.5' ? 'query' : 'auth']: JSON.parse(JSON.stringify({ clientId, username, password, token }))
      }))
    },
    async settle (t, house, who) {
      const guest = await door.enter(t, house, who)
      house.entered.set(door.sessionOf(who.clientId), who.username!)
      return guest
    },
    async overreach (_t, { forge }, principal, guest) {
      const targets = [
        ...['u1', principal, 'sender', '+', '#', '../u1', '%75%31'].map((user) => ({ user })),
        ...['u1', '+', '#', '../user/u1', '../../all'].map((room) => ({ room })),
        { user: ['u1'] }, { user: 'u1', room: principal }, 'u1', null, JSON.parse('{"__proto__":{"user":"u1"}}'), ['u1']
      ]
      const asked: unknown[][] = [
        ...FOREIGN_ROOMS.map((room) => ['join', room]), ['join', ['u1', principal]],
        ...targets.map((target) => ['send', target, 'news', 'forged']),
        ...['holdfast:closed', 'holdfast:session', 'disconnect'].map((event) =>
          ['send', { room: principal }, event, 'forged']),
        ['news', 'forged'], ['__proto__', 'forged'], ['constructor', 'forged'], ['holdfast:closed', 'forged'],
        ['holdfast:token', await forge.good('u1')], ['holdfast:token', { username: 'u1', password: 'wrong' }]
      ]
      const granted: string[] = []
      for (const args of asked) if ((await guest.ask(...args)).status !== 'error') granted.push(JSON.stringify(args))
      return granted
    }
  }
  return door
}

async function socketGuest (t: Test, socket: LegacySocket): Promise<SocketGuest> {
  const got: string[] = []
  t.teardown(() => { socket.disconnect() })
  for (const event of HEARD) {
    socket.on(event, (value: unknown) => { got.push(event === 'news' ? String(value) : `${event} ${String(value)}`) })
  }
  const closed = new Promise<void>((resolve) => { socket.once('disconnect', () => { resolve() }) })
  await within(new Promise<void>((resolve, reject) => {
    const refuse = (why?: { code?: string, data?: { code?: string } }): void => {
      reject(new Error(`refused: ${why?.data?.code ?? why?.code ?? 'cut'}`))
    }
    socket.once('connect', () => { resolve() })
    for (const event of ['connect_error', 'error']) socket.once(event, refuse)
    socket.once('disconnect', () => { refuse() })
  }), 'CONNECT')
  return {
    got,
    get isClosed () { return !socket.connected },
    ask: async (...args) => await within(new Promise((resolve) => {
      socket.emit(...args as [string], (answer: { status: string }) => { resolve(answer) })
    }), `an answer to ${JSON.stringify(args)}`),
    async leave () {
      socket.disconnect()
      await closed
    }
  }
}
