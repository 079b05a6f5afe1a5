/**
 * Events as bytes, made once for everyone who receives them in a namespace: the packets of Socket.IO protocol 5 (4 is
 * the same for events), each in a WebSocket frame (RFC 6455, 5.2; a server does not mask).
 *
 * What differs from receiver to receiver is the recovery token, which is the place of the event in the log and so the
 * same for nearly all. Who can't take frames (long polling, compression, binary values of an old client) gets the same
 * packets one by one, see wire.ts.
 */
import {
  addEncoding, CODECS, encodingOf, type Encoding, type Entry, type Message, type Offset, type Principal
} from '../../../broker/index.ts'
import { endingOf, formatToken, isToken } from '../proof/recovery-offset.ts'
import type { NamespaceRules } from '../rules/rules.ts'
import { isLifeOfVersion2, OWN_EVENTS, undeliverable, type SocketEvent } from '../translation/translate.ts'
import type { PacketOptions } from './engine.ts'
import { okJson } from './ok.ts'
import type { PacketEncoder } from './socketio.ts'
import { bodyBytes, encodeBehind, encodeFrames, encodeSpliced, headerBytes } from './write-frames.ts'
import { endOf, WrittenEvent } from './written-event.ts'

/** Packet type of Socket.IO. The encoder makes it BINARY_EVENT where an argument is binary. */
const EVENT = 2
/** Likewise, becomes BINARY_ACK. */
const ACK = 3
/** A batch of frames up to this length is copied together, so that it is one write, shared by all who get it. */
export const JOINED_BYTES_MAX = 65_536

const NO_VALUES: readonly Buffer[] = []
const NO_ARGS = Buffer.from('[]')
const NO_TEXT = -1
const OFFSET_EVENT = `${OWN_EVENTS}offset`

export interface EnginePiece {
  readonly data: string | Buffer
  readonly options: PacketOptions
}

/** One event, encoded. */
export class EncodedEvent {
  /** One frame for the text, and one for each binary value. */
  readonly frames: Buffer
  readonly isBinary: boolean
  readonly token: string | undefined
  readonly #values: readonly Buffer[]
  /** Packet of an event whose frame is the last one. */
  readonly #behind: string | undefined
  #pieces: readonly EnginePiece[] | undefined

  constructor (
    frames: Buffer, token: string | undefined, values: readonly Buffer[] = NO_VALUES, behind?: string
  ) {
    this.frames = frames
    this.isBinary = values.length > 0
    this.token = token
    this.#values = values
    this.#behind = behind
  }

  /** With the packet of a carrier behind it, as one: what is written together is torn apart as seldom as can be. */
  followedBy (packet: string, token: string): EncodedEvent {
    return new EncodedEvent(encodeBehind(this.frames, packet), token, this.#values, packet)
  }

  /** For Engine.IO's own way of writing; made when first asked for. */
  get pieces (): readonly EnginePiece[] {
    return (this.#pieces ??= this.#split())
  }

  #split (): readonly EnginePiece[] {
    const { frames } = this
    const start = headerBytes(frames)
    const end = start + bodyBytes(frames)
    // Engine.IO writes the frame instead of the text where it can
    const options = { wsPreEncodedFrame: [frames.subarray(0, end)] }
    const text = frames.toString('utf8', start + 1, end)
    const values = this.#values.map(data => ({ data, options: {} }))
    const behind = this.#behind === undefined ? [] : [{ data: this.#behind, options: {} }]
    return [{ data: text, options }, ...values, ...behind]
  }
}

/** What one message of the log is in a namespace, with its encodings. */
export class SharedEvent implements Encoding {
  readonly codec = CODECS.socketio
  next: Encoding | undefined = undefined
  #event: SocketEvent
  /** Whose encodings these are. */
  readonly frames: NamespaceFrames
  readonly #message: Message | Entry
  #forged: SharedEvent | undefined
  #plain: EncodedEvent | undefined
  #placed: EncodedEvent | undefined
  #marked: EncodedEvent | undefined
  #followed: EncodedEvent | undefined
  #asking: EncodedEvent | undefined
  #ackId = 0
  #endsInToken = false
  #ending: number | undefined

  constructor (event: SocketEvent, message: Message | Entry, frames: NamespaceFrames) {
    this.#event = event
    this.frames = frames
    this.#message = message
  }

  get event (): SocketEvent { return this.#event }

  /** Somebody else published it under a name that clients of version 2 use for their own life: what those get. */
  get forged (): SharedEvent | undefined {
    if (!isLifeOfVersion2(this.event.event) || this.frames.isTrusted(this.#message)) return undefined
    const { frames } = this
    return (this.#forged ??= new SharedEvent(undeliverable(this.#message, 'reserved-event'), this.#message, frames))
  }

  /** Would its last argument be taken for a place in the log? */
  get endsInToken (): boolean {
    if (this.#ending === undefined) this.#readEnding()
    return this.#endsInToken
  }

  /** What a client from 4.6 on may tell in place of its token (endings.ts); undefined: it ends in no text. */
  get ending (): number | undefined {
    if (this.#ending === undefined) this.#readEnding()
    return this.#ending === NO_TEXT ? undefined : this.#ending
  }

  #readEnding (): void {
    const { event, json } = this.#event
    const args = json === undefined ? this.#event.args : endOf(json)
    const last = args.at(-1)
    const told = args.length === 0 ? event : last
    this.#endsInToken = isToken(last)
    this.#ending = typeof told === 'string' ? endingOf(told) : NO_TEXT
  }

  get plain (): EncodedEvent {
    return (this.#plain ??= this.#encode())
  }

  /** With its own place in the log as token; `offset` is that place. */
  placed (offset: Offset): EncodedEvent {
    return (this.#placed ??= this.#encode(this.frames.tokenOf(offset)))
  }

  /** With an event behind it that carries its own place in the log, which is `offset`. */
  followed (offset: Offset): EncodedEvent {
    if (this.#followed !== undefined) return this.#followed
    const token = this.frames.tokenOf(offset)
    return (this.#followed = this.#encode().followedBy(this.frames.offsetPacket(token), token))
  }

  /** With another token; the last one that was asked for is kept. */
  marked (token: string): EncodedEvent {
    if (this.#marked?.token !== token) this.#marked = this.#encode(token)
    return this.#marked
  }

  /**
   * With an identifier that the client's answer will name: the same for all, and when the same message is sent again,
   * so that a late answer counts for what it answers.
   */
  asking (): { readonly encoded: EncodedEvent, readonly ackId: number } {
    if (this.#ackId === 0) this.#ackId = this.frames.nextAckId()
    this.#asking ??= this.#encode(undefined, this.#ackId)
    return { encoded: this.#asking, ackId: this.#ackId }
  }

  #encode (token?: string, ackId?: number): EncodedEvent {
    let encoded: EncodedEvent
    try {
      encoded = this.frames.encode(this.#event, token, ackId)
    } catch { // a value that JSON has no words for, made by a rule [G5]
      this.#event = undeliverable(this.#message, 'rule')
      encoded = this.frames.encode(this.#event, token, ackId)
    }
    if (!('json' in this.#event)) { // what has it holds no arguments
      this.#event = new WrittenEvent(this.#event, encoded.isBinary
        ? () => this.frames.translate(this.#message).args
        : this.frames.argsIn(encoded.frames, this.#event.event, token, ackId))
    }
    if (encoded.frames.length > EACH_KEPT_BYTES_MAX) {
      this.#plain = this.#placed = this.#marked = this.#followed = this.#asking = undefined
    }
    return encoded
  }
}

/** Of longer events only the encoding that was asked for last is kept. */
const EACH_KEPT_BYTES_MAX = 16_384

export interface FramesOptions {
  readonly encoder: PacketEncoder
  /** Of the log, for tokens. */
  readonly epoch: string
  /** Of the program, whose events are what it means them to be. */
  readonly trusted?: Principal | undefined
  /** From ACK_ID_MIN to ACK_ID_MAX; at random, see proof/application-ack.ts. */
  readonly firstAckId: number
}

/** Below are those of an application's own events: Socket.IO counts them from 0. */
export const ACK_ID_MIN = 2 ** 30
/** Clients in other languages may keep it in 32 bits. */
export const ACK_ID_MAX = 2 ** 31 - 1

/** All of a bridge. */
export class Frames {
  readonly epoch: string
  readonly trusted: Principal | undefined
  readonly #encoder: PacketEncoder
  #ackId: number
  readonly #namespaces = new WeakMap<NamespaceRules, NamespaceFrames>()

  constructor (options: FramesOptions) {
    this.epoch = options.epoch
    this.trusted = options.trusted
    this.#encoder = options.encoder
    this.#ackId = options.firstAckId
  }

  /** @param namespace as its clients know it; `rules` are those that hold there */
  namespace (namespace: string, rules: NamespaceRules): NamespaceFrames {
    let frames = this.#namespaces.get(rules)
    if (frames === undefined) {
      frames = new NamespaceFrames(this, namespace, rules)
      this.#namespaces.set(rules, frames)
    }
    return frames
  }

  nextAckId (): number {
    const ackId = this.#ackId
    this.#ackId = ackId === ACK_ID_MAX ? ACK_ID_MIN : ackId + 1
    return ackId
  }

  encode (type: number, nsp: string, data: readonly unknown[], id?: number, token?: string): EncodedEvent {
    const [text, ...others] = this.#encoder.encode({ type, nsp, data, id })
    if (others.length === 0) return new EncodedEvent(encodeFrames(text, NO_VALUES), token)
    const values = others.map(bufferOf)
    return new EncodedEvent(encodeFrames(text, values), token, values)
  }
}

/** What is encoded for one namespace. */
export class NamespaceFrames {
  readonly #frames: Frames
  readonly #namespace: string
  readonly #rules: NamespaceRules
  /** Of messages that other namespaces know too; nearly all are of one, and carry what it made of them. */
  readonly #shared = new WeakMap<Message, SharedEvent>()
  #offsetEvent: EncodedEvent | undefined
  #offsetBeginning: string | undefined
  /** How the last event began that asked for no answer: nearly always the next begins so, too. */
  #beginning: { readonly name: string, readonly text: string } | undefined

  constructor (frames: Frames, namespace: string, rules: NamespaceRules) {
    this.#frames = frames
    this.#namespace = namespace
    this.#rules = rules
  }

  isTrusted ({ principal }: Message): boolean {
    return principal === this.#frames.trusted
  }

  tokenOf (offset: Offset): string {
    return formatToken(this.#frames.epoch, offset)
  }

  nextAckId (): number {
    return this.#frames.nextAckId()
  }

  /** The same object for the same message. Never throws. */
  of (message: Message | Entry): SharedEvent {
    const known = encodingOf(message, CODECS.socketio)
    if (known instanceof SharedEvent) return known.frames === this ? known : this.#ofSeveral(message)
    return addEncoding(message, new SharedEvent(this.#rules.translate(message), message, this))
  }

  #ofSeveral (message: Message | Entry): SharedEvent {
    let shared = this.#shared.get(message)
    if (shared === undefined) {
      shared = new SharedEvent(this.#rules.translate(message), message, this)
      this.#shared.set(message, shared)
    }
    return shared
  }

  translate (message: Message): SocketEvent {
    return this.#rules.translate(message)
  }

  /** Where the arguments stand in the frame of an event: the JSON between them, and a byte on each side of it. */
  argsIn (frames: Buffer, name: string, token: string | undefined, ackId: number | undefined): Buffer {
    const { before, after } = this.#around(name, token, ackId)
    const from = headerBytes(frames) + 1 + Buffer.byteLength(before)
    const to = frames.length - Buffer.byteLength(after)
    return from >= to ? NO_ARGS : frames.subarray(from, to + 1)
  }

  /** What stands around the arguments, where there are some. */
  #around (name: string, token: string | undefined, ackId: number | undefined): { before: string, after: string } {
    return {
      before: ackId === undefined ? this.#begin(name) : this.#newBeginning(name, ackId),
      after: token === undefined ? ']' : `,"${token}"]` // base64url and digits, see formatToken
    }
  }

  #begin (name: string): string {
    if (this.#beginning?.name !== name) this.#beginning = { name, text: this.#newBeginning(name, '') }
    return this.#beginning.text
  }

  #newBeginning (name: string, ackId: number | ''): string {
    const namespace = this.#namespace === '/' ? '' : `${this.#namespace},`
    return `${EVENT}${namespace}${ackId}[${JSON.stringify(name)}`
  }

  encode (event: Pick<SocketEvent, 'event' | 'args' | 'json'>, token?: string, ackId?: number): EncodedEvent {
    const { event: name, json } = event
    if (json !== undefined) return this.#splice(name, json, token, ackId)
    const data = token === undefined ? [name, ...event.args] : [name, ...event.args, token]
    return this.#frames.encode(EVENT, this.#namespace, data, ackId, token)
  }

  /** As the encoder would have it, from arguments that are a JSON array already. */
  #splice (name: string, json: Buffer, token: string | undefined, ackId: number | undefined): EncodedEvent {
    const { before, after } = this.#around(name, token, ackId)
    return new EncodedEvent(encodeSpliced(json.length > 2 ? `${before},` : before, json, after), token)
  }

  /** To a client's event that asked for it under this identifier. */
  answer (id: number, values: readonly unknown[]): EncodedEvent {
    const json = okJson(values)
    if (json !== undefined) {
      const namespace = this.#namespace === '/' ? '' : `${this.#namespace},`
      return new EncodedEvent(encodeFrames(`${ACK}${namespace}${id}${json}`, NO_VALUES), undefined)
    }
    return this.#frames.encode(ACK, this.#namespace, values, id)
  }

  /** An event that carries nothing but a token; the last one is kept. */
  offsetEvent (token: string): EncodedEvent {
    if (this.#offsetEvent?.token !== token) {
      this.#offsetEvent = new EncodedEvent(encodeFrames(this.offsetPacket(token), NO_VALUES), token)
    }
    return this.#offsetEvent
  }

  /** One goes behind nearly every event: the encoder would take longer for it than for the event. */
  offsetPacket (token: string): string {
    this.#offsetBeginning ??= this.#newBeginning(OFFSET_EVENT, '')
    return `${this.#offsetBeginning},"${token}"]` // base64url and digits, see formatToken
  }
}

/**
 * Joins batches. The last one is kept, since whoever else is in the room gets the same; one for a bridge.
 */
export class Joiner {
  #events: readonly EncodedEvent[] = []
  #bytes = Buffer.alloc(0)

  /** The frames of the events as few buffers, in order. The list stays the caller's, and may be used again. */
  join (events: readonly EncodedEvent[]): readonly Buffer[] {
    if (events.length === 1) return [events[0].frames]
    if (isSame(events, this.#events)) return [this.#bytes]
    let length = 0
    for (const { frames } of events) length += frames.length
    const buffers = events.map(({ frames }) => frames)
    if (length > JOINED_BYTES_MAX) return buffers
    this.#events = [...events]
    this.#bytes = Buffer.concat(buffers, length)
    return [this.#bytes]
  }
}

function isSame (some: readonly EncodedEvent[], others: readonly EncodedEvent[]): boolean {
  if (some.length !== others.length) return false
  for (let i = 0; i < some.length; i++) if (some[i] !== others[i]) return false
  return true
}

function bufferOf (value: Uint8Array | ArrayBuffer): Buffer {
  if (Buffer.isBuffer(value)) return value
  return ArrayBuffer.isView(value) ? Buffer.from(value.buffer, value.byteOffset, value.byteLength) : Buffer.from(value)
}
