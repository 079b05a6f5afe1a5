/**
 * Aedes's client of a connection, and what is put in place of its parts. As in aedes.ts, which leans on the other
 * details, test/integration/aedes-contract.test.ts fails when one of these changes:
 *
 * - `client._nextBatch` is what reads: it listens to 'readable', and is called when a packet is done with. In its place
 *   the intake reads, in turns: the place to refuse a packet by its length, and to take what makes up nearly all
 *   traffic past parser and engine, which were 30 to 45 % of the work (docs/performance.md).
 *   Aedes itself calls `client.pause` when it begins to authenticate, and `client.resume` behind CONNACK.
 * - `client._parsingBatch` is counted up with every packet that Aedes begins with, and has to be 0 before CONNECT.
 * - `client._parser` is an event emitter whose one 'packet' listener is where Aedes begins; the gate stands before it.
 * - `client._keepaliveTimer` runs from the last packet; what is taken directly must refresh it too.
 * - `client._disconnected` says that DISCONNECT has come: then client.close() publishes no will.
 * - Of its stream it uses what engine-stream.ts has; it takes 'end', 'close' and 'error' for the end of the client.
 */
import type { EventEmitter } from 'node:events'
import type { Duplex } from 'node:stream'
import type { Aedes, Client } from 'aedes'
import type { Broker, PublishRequest } from '../../broker.ts'
import { HoldfastError } from '../../model/errors.ts'
import { copyUnits, Intake } from '../../system/intake.ts'
import type { Limits } from '../../model/limits.ts'
import type { Logger } from '../../system/logger.ts'
import type { PacketId } from '../../model/message.ts'
import type { Who } from '../../system/refusals.ts'
import { checkFilter } from '../../model/topics.ts'
import type { Turns } from '../../system/turns.ts'
import type { MqttConnection } from '../connection.ts'
import { takeDirectly, type DirectHandlers } from '../wire/direct.ts'
import { Ending } from '../ending.ts'
import { EngineStream } from './stream.ts'
import { FirstBytes } from '../foreign.ts'
import { PacketGate, type GatedPacket, type GateOptions } from '../wire/packet-gate.ts'
import type { ContractPacket } from './contract.ts'
import { SkippedPublish, headerEnd } from '../wire/skipped-publish.ts'
import { TopicReader } from '../wire/topic-reader.ts'
import { WholePackets } from '../wire/whole-packets.ts'

export const CONNECTION = Symbol('connection')

/** Aedes's client with the details that are used of it. */
export interface InnerClient extends Client {
  [CONNECTION]: MqttConnection
  _parser: EventEmitter & { parse (chunk: Buffer): number }
  _parsingBatch: number
  _nextBatch: Callback
  pause: () => void
  resume: () => void
  _keepaliveInterval: number
  _keepaliveTimer: NodeJS.Timeout | null
  _disconnected: boolean
  will: ContractPacket | null
  /** As CONNECT brought it; `will` is set later. */
  _will: ContractPacket | null | undefined
}

/** As CONNECT brought it. */
export function askedWill (client: InnerClient): ContractPacket | undefined { return client._will ?? undefined }
export function dropWill (client: InnerClient): void { client._will = undefined }

/** As the log names it. */
export function toldOf (client: InnerClient): Who {
  return { ...client[CONNECTION].who, clientId: client.id }
}

export type Callback = (error?: Error | null) => void

export interface EngineClientOptions {
  readonly aedes: Aedes
  readonly broker: Broker
  readonly log: Logger
  readonly turns: Turns
  /** PUBLISH at QoS 0 or 1, taken directly. */
  publish (client: InnerClient, request: PublishRequest, packetId: number): void
  /** PUBLISH that was skipped, as it is too large. */
  refuse (client: InnerClient, packet: SkippedPublish, topic: string, packetId: number): void
  /** The largest of them; a connection that sends a larger one ends. */
  readonly skippedBytesMax: number
  /** Aedes is done with the client, and nothing of it is taken any more. */
  over (client: InnerClient): void
}

const NO_BYTES = Buffer.alloc(0)
const NO_HTTP = 'HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Type: text/plain\r\n\r\n' +
  'MQTT is spoken here. HTTP, WebSockets and Socket.IO have a port of their own (httpPort).\n'

/** Packets that may follow CONNECT before CONNACK; they come of a turn or two, as reading stops meanwhile. */
export const EARLY_PACKETS_MAX = 4_096

/** Starts speaking MQTT on a connection. */
export function openClient (connection: MqttConnection, options: EngineClientOptions): InnerClient {
  const { aedes, broker, log } = options
  const { wire } = connection
  const stream = new EngineStream({
    stream: wire.stream,
    isDead: () => connection.isDead,
    writing: () => { connection.writes++ },
    over (error) {
      intake.stop()
      connection.finish(error)
      options.over(client)
      ending.changed()
    }
  })
  const client = aedes.handle(stream as unknown as Duplex) as InnerClient
  client[CONNECTION] = connection
  const ending = new Ending({
    clock: broker.clock,
    waitMsMax: broker.limits.stallTimeoutMs,
    // what was under way when the engine let go of the client is never told to be done: nothing waits for it
    isBusy: () => !client.closed && (client._parsingBatch > 0 || connection.hasPending),
    end (isLate) {
      if (isLate) {
        log.warn({ clientId: client.id, remoteAddress: wire.remoteAddress },
          'a connection has ended, and what it sent before was not done with after stallTimeoutMs; it is given up')
      }
      client.close()
    }
  })
  const intake = connection.intake = makeIntake(client, connection, options, ending)
  connection.gate = makeGate(client, connection, broker.limits, {
    connecting: () => { intake.pause() },
    leave () {
      client._disconnected = true // [MQTT-3.14.4-3], whatever happens until it is carried out
      intake.stop() // [MQTT-3.14.4-2]
      ending.begin()
    }
  })
  connection.setFlow(client.pause, client.resume, () => { ending.changed() })
  const ended = (): void => {
    intake.end()
    if (connection.isClosed || isAbandoned(connection)) client.close()
  }
  wire.stream.on('end', ended)
  wire.onClose(() => {
    ended()
    stream.dead()
  })
  return client
}

/** The client has gone before it was let in, and nothing is left to do for it: CONNECT was all that came. */
function isAbandoned ({ gate, intake }: MqttConnection): boolean {
  return gate!.isConnecting && !gate!.hasWaiting && intake!.isEmpty
}

/** What is read of the socket: refused by its length, taken directly, or left to Aedes's parser. */
function makeIntake (client: InnerClient, connection: MqttConnection, options: EngineClientOptions,
  ending: Ending): Intake {
  const { broker, turns, publish } = options
  const { guard, refusals, wire: { stream } } = connection
  const isOver = (): boolean => client.closed || client._disconnected
  const packets = new WholePackets({
    parse: (bytes) => { client._parser.parse(bytes) },
    refuse: (sentence) => { endFor(client, sentence) },
    isOver
  })
  /** A fixed header of which more is to come. */
  let header = NO_BYTES
  const first = new FirstBytes()
  let skipped: SkippedPublish | undefined
  const skip = (bytes: Buffer): number => {
    const packet = skipped!
    const taken = packet.feed(bytes)
    intake.turn.left -= copyUnits(taken)
    if (packet.isOver) {
      skipped = undefined
      refuseSkipped(client, packet, options)
    }
    return taken
  }
  const handlers: DirectHandlers = {
    topics: new TopicReader(),
    publish (request, packetId) {
      const before = broker.offered
      publish(client, request, packetId)
      intake.turn.left -= broker.offered - before // QoS 0 has been passed on; it may have many subscribers
    },
    acknowledge (packetId) {
      if (connection.gate!.takesAnswer('puback', packetId)) connection.acknowledge(packetId as PacketId)
    },
    rest: (bytes) => { packets.take(bytes) },
    cut (bytes) {
      const end = headerEnd(bytes)
      if (end === undefined) {
        header = Buffer.from(bytes)
        return bytes.length
      }
      const wrong = guard.feed(bytes)
      if (wrong === undefined) {
        packets.take(bytes)
        return bytes.length
      }
      skipped = connection.gate!.isOpen ? SkippedPublish.of(bytes, options.skippedBytesMax) : undefined
      if (skipped !== undefined) {
        guard.reset()
        return end + skip(bytes.subarray(end))
      }
      // a CONNECT of 200 MB costs its sender five bytes, not us 200 MB
      refusals.oversize(connection.who, wrong, connection.gate!.isOpen ? 'packetBytesMax' : 'connectPacketBytesMax')
      client.emit('error', new HoldfastError('MESSAGE_TOO_LARGE', wrong))
      return bytes.length
    },
    lengthMax: () => guard.packetBytesMax,
    isDirect: () => connection.gate!.isOpen,
    isOver
  }
  const intake = new Intake({
    stream,
    processed: () => client._parsingBatch,
    over: () => { ending.begin() },
    take (chunk, turn) {
      if (client._keepaliveInterval > 0) client._keepaliveTimer?.refresh() // [MQTT-3.1.2-24]
      connection.heard()
      if (turn.left <= 0) return 0
      if (skipped !== undefined) return skip(chunk)
      const foreign = first.feed(chunk)
      if (foreign !== undefined) {
        refusals.foreign(connection.who, foreign)
        if (foreign.name !== 'MQTT') { // of MQTT, another version is answered
          if (foreign.name === 'HTTP') stream.write(NO_HTTP) // for a person with a browser
          client.emit('error', new Error(`it speaks ${foreign.name}`))
          return chunk.length
        }
      }
      const open = guard.feedOpen(chunk)
      if (open > 0) {
        turn.left -= copyUnits(open)
        packets.take(open < chunk.length ? chunk.subarray(0, open) : chunk)
      }
      if (header.length === 0) return takeDirectly(chunk, open, turn, handlers)
      const before = header
      header = NO_BYTES
      return takeDirectly(Buffer.concat([before, chunk]), 0, turn, handlers) - before.length // its packet is taken
    }
  }, turns)
  stream.on('readable', () => { intake.readable() })
  lead(client, intake, ending)
  return intake
}

/** Aedes's own reading is the intake's from now on. */
function lead (client: InnerClient, intake: Intake, ending: Ending): void {
  client._nextBatch = (error) => {
    if (error != null) {
      client.emit('error', error)
      return
    }
    if (client._parsingBatch > 0) client._parsingBatch--
    intake.processedOne()
    ending.changed()
  }
  client._parsingBatch = 0
  client.pause = () => { intake.pause() }
  client.resume = () => { intake.resume() }
}

function refuseSkipped (client: InnerClient, packet: SkippedPublish, { refuse }: EngineClientOptions): void {
  const { identity } = packet
  if (identity === undefined) endFor(client, 'PUBLISH that is malformed [MQTT-4.8.0-1]')
  else refuse(client, packet, identity.topic, identity.packetId)
}

/** The client broke the protocol: its connection ends without an answer [MQTT-4.8.0-1]. */
function endFor (client: InnerClient, sentence: string): void {
  const connection = client[CONNECTION]
  connection.refusals.violation(connection.who, sentence)
  client.emit('error', new Error(sentence))
}

/** CONNACK with return code 1, "unacceptable protocol version" [MQTT-3.1.2-2]. */
const UNACCEPTABLE_VERSION = Buffer.from([0x20, 2, 0, 1])

function makeGate (client: InnerClient, connection: MqttConnection, limits: Limits,
  begins: Pick<GateOptions, 'connecting' | 'leave'>): PacketGate {
  const parser = client._parser
  const [handle] = parser.listeners('packet')
  parser.removeAllListeners('packet')
  const gate = new PacketGate({
    pass: (packet) => { handle.call(parser, packet) },
    ...begins,
    refuse: (sentence) => { endFor(client, sentence) },
    mayFilter: (filter) => {
      try {
        checkFilter(filter, limits, true)
        return true
      } catch (error) {
        connection.refusals.filter(connection.who, filter, error as HoldfastError)
        return false
      }
    },
    wrongAnswer: (answer, packetId) => connection.wrongAnswer(answer, packetId as PacketId),
    waitingMax: EARLY_PACKETS_MAX
  })
  parser.on('packet', (packet: GatedPacket) => { gate.take(packet) })
  parser.prependListener('error', (error: Error) => {
    if (!client.connecting && !client.connected && error.message === 'Invalid protocol version') {
      connection.wire.stream.write(UNACCEPTABLE_VERSION)
    }
  })
  return gate
}
