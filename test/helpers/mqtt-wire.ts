/**
 * A client that says exactly what a test tells it to, packet by packet, and answers nothing by itself.
 * Runs over TCP or over any Duplex (WebSocket, a pair in memory).
 */
import { connect as connectTcp } from 'node:net'
import type { Duplex } from 'node:stream'
import {
  generate, parser, type IConnackPacket, type IConnectPacket, type IPublishPacket, type Packet
} from 'mqtt-packet'
import type { Test } from 'tap'
import { reset } from './reset.ts'
import { within, WAIT_MS_MAX } from './wait.ts'

type Cmd = Packet['cmd']
type PacketOf<C extends Cmd> = Extract<Packet, { cmd: C }>

export interface WireClient {
  readonly stream: Duplex
  /** Packets that have come and were not yet asked for. */
  readonly waiting: readonly Packet[]
  readonly isClosed: boolean
  /** Resolves when the connection is over, whoever ended it. */
  readonly closed: Promise<void>
  send (...packets: Packet[]): void
  /** Bytes as they are; false when the stream wants no more for now. */
  write (bytes: Buffer): boolean
  /** The next packet, whatever it is. Rejects when the connection closes first, or after `ms`. */
  next (ms?: number): Promise<Packet>
  /** The next packet, which has to be a `cmd`. */
  expect<C extends Cmd> (cmd: C, ms?: number): Promise<PacketOf<C>>
  /** The next `cmd`, as if what came before it had come after: for handshakes that others may interleave. */
  find<C extends Cmd> (cmd: C, ms?: number): Promise<PacketOf<C>>
  /** The next `count` PUBLISH packets; other packets in between are an error. */
  messages (count: number, ms?: number): Promise<IPublishPacket[]>
  /** PINGREQ, and everything that came before its PINGRESP: what the server had to say until now. */
  untilPong (ms?: number): Promise<Packet[]>
  /** Stops and resumes reading, as a client that hangs. */
  freeze (): void
  thaw (): void
  /** No DISCONNECT: RST where the stream can. */
  destroy (): void
}

export function wireClient (t: Test, stream: Duplex): WireClient {
  const packets: Packet[] = []
  let wake = (): void => {}
  let isClosed = false
  const decode = parser({ protocolVersion: 4 })
  decode.on('packet', packet => { packets.push(packet); wake() })
  decode.on('error', error => stream.destroy(error as Error))
  stream.on('data', (bytes: Buffer) => { decode.parse(bytes) })
  stream.on('error', () => {})
  const closed = new Promise<void>(resolve => {
    const over = (): void => {
      isClosed = true
      resolve()
      wake()
    }
    stream.on('close', over)
    stream.on('end', over)
  })
  t.teardown(() => { stream.destroy() })

  async function next (ms = WAIT_MS_MAX): Promise<Packet> {
    if (packets.length === 0 && !isClosed) {
      await within(new Promise<void>(resolve => { wake = resolve }), 'the next packet', ms)
    }
    const packet = packets.shift()
    if (packet === undefined) throw new Error('the connection was closed while waiting for the next packet')
    return packet
  }

  async function expect<C extends Cmd> (cmd: C, ms?: number): Promise<PacketOf<C>> {
    const packet = await next(ms)
    if (packet.cmd !== cmd) throw new Error(`expected ${cmd}, got ${describe(packet)}`)
    return packet as PacketOf<C>
  }

  return {
    stream,
    waiting: packets,
    get isClosed () { return isClosed },
    closed,
    send: (...list) => { stream.write(Buffer.concat(list.map(packet => generate(packet)))) },
    write: bytes => stream.write(bytes),
    next,
    expect,
    async find (cmd, ms) {
      const passed: Packet[] = []
      for (;;) {
        const packet = await next(ms)
        if (packet.cmd === cmd) {
          packets.unshift(...passed)
          return packet as PacketOf<typeof cmd>
        }
        passed.push(packet)
      }
    },
    async messages (count, ms) {
      const found: IPublishPacket[] = []
      while (found.length < count) found.push(await expect('publish', ms))
      return found
    },
    async untilPong (ms) {
      const found: Packet[] = []
      stream.write(generate({ cmd: 'pingreq' }))
      for (;;) {
        const packet = await next(ms)
        if (packet.cmd === 'pingresp') return found
        found.push(packet)
      }
    },
    freeze: () => { stream.pause() },
    thaw: () => { stream.resume() },
    destroy: () => { reset(stream) }
  }
}

/** A TCP connection that has said nothing yet. */
export async function openWire (t: Test, to: { readonly host?: string, readonly port: number }): Promise<WireClient> {
  const socket = connectTcp({ host: to.host ?? '127.0.0.1', port: to.port, noDelay: true })
  await within(new Promise<void>((resolve, reject) => {
    socket.once('connect', resolve)
    socket.once('error', reject)
  }), `a connection to port ${to.port}`)
  return wireClient(t, socket)
}

export interface Session { readonly client: WireClient, readonly connack: IConnackPacket }

/** Opens, sends CONNECT and awaits the CONNACK; a clean session unless told otherwise, without keep alive. */
export async function connectWire (
  t: Test, to: { readonly host?: string, readonly port: number }, connect: Partial<IConnectPacket> = {}
): Promise<Session> {
  const client = await openWire(t, to)
  client.send(connectPacket(connect))
  return { client, connack: await client.expect('connack') }
}

export function connectPacket (connect: Partial<IConnectPacket> = {}): IConnectPacket {
  return {
    cmd: 'connect', protocolId: 'MQTT', protocolVersion: 4, clean: true, keepalive: 0, clientId: uniqueId(), ...connect
  }
}

let lastId = 0
/** A client identifier that no other test of this process has. */
export function uniqueId (name = 'client'): string {
  return `${name}-${process.pid}-${++lastId}`
}

/** SUBSCRIBE and its SUBACK: the return codes. */
export async function subscribe (
  client: WireClient, filters: Readonly<Record<string, 0 | 1 | 2>> | ReadonlyArray<readonly [string, 0 | 1 | 2]>,
  messageId = 60_000
): Promise<number[]> {
  const pairs = Array.isArray(filters) ? filters : Object.entries(filters)
  client.send({ cmd: 'subscribe', messageId, subscriptions: pairs.map(([topic, qos]) => ({ topic, qos })) })
  const suback = await client.expect('suback')
  if (suback.messageId !== messageId) throw new Error(`SUBACK ${suback.messageId} for SUBSCRIBE ${messageId}`)
  return suback.granted as number[]
}

export function publishPacket (
  topic: string, payload: string | Buffer, more: Partial<IPublishPacket> = {}
): IPublishPacket {
  return { cmd: 'publish', topic, payload, qos: 0, dup: false, retain: false, ...more }
}

/** Publishes at QoS 1 and awaits the PUBACK, which has to be the next packet. */
export async function publish1 (
  client: WireClient, topic: string, payload: string | Buffer, messageId = 1, more: Partial<IPublishPacket> = {}
): Promise<void> {
  client.send(publishPacket(topic, payload, { ...more, qos: 1, messageId }))
  const puback = await client.expect('puback')
  if (puback.messageId !== messageId) throw new Error(`PUBACK ${puback.messageId} for PUBLISH ${messageId}`)
}

/** The two halves of a publish at QoS 2 as the publisher sees it. */
export async function publish2 (
  client: WireClient, topic: string, payload: string | Buffer, messageId = 1, more: Partial<IPublishPacket> = {}
): Promise<void> {
  client.send(publishPacket(topic, payload, { ...more, qos: 2, messageId }))
  await client.expect('pubrec')
  client.send({ cmd: 'pubrel', messageId })
  await client.expect('pubcomp')
}

/** Awaits the next packet, a PUBLISH, and acknowledges it as its QoS wants. */
export async function take (client: WireClient, ms?: number): Promise<IPublishPacket> {
  const message = await client.expect('publish', ms)
  const { messageId } = message
  if (message.qos === 1) client.send({ cmd: 'puback', messageId })
  if (message.qos === 2) {
    client.send({ cmd: 'pubrec', messageId })
    await client.find('pubrel', ms)
    client.send({ cmd: 'pubcomp', messageId })
  }
  return message
}

export function text (message: IPublishPacket): string {
  return message.payload.toString()
}

function describe (packet: Packet): string {
  if (packet.cmd === 'publish') return `publish ${packet.topic} qos=${packet.qos} ${text(packet).slice(0, 40)}`
  return JSON.stringify(packet).slice(0, 200)
}
