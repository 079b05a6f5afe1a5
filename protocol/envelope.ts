/**
 * The envelope: what the arguments of an event look like as bytes of a message, described in docs/envelope.md.
 *
 * JSON:        `{"$hf":1,"id":"<message id>","args":[...]}`
 * MessagePack: the same map, as soon as an argument is or holds bytes.
 *
 * The first bytes tell the two apart, and both from anything written by hand: `{"$hf":1,` is no start that somebody
 * types by accident, and 0x83 never begins a text. What is not exactly an envelope is a raw payload.
 * Shared with the client library: nothing of Node here.
 */
import { decode, encode } from '@msgpack/msgpack'
import { isPlainMsgpack } from './msgpack.ts'

export interface Envelope {
  /** Given by the publisher; the same id with the same bytes is the same message. '' where there is none. */
  readonly id: string
  readonly args: readonly unknown[]
}

/** Arrays and objects inside each other, the list of arguments counted. Deeper values are refused. */
export const ARGUMENT_DEPTH_MAX = 64
/** Current Socket.IO clients close the connection when an event has more binary values. */
export const BINARIES_PER_EVENT_MAX = 10
export const MESSAGE_ID_LENGTH_MAX = 256

/** The arguments can't travel; the message says why. */
export class EnvelopeError extends Error {
  override readonly name = 'EnvelopeError'
}

const JSON_START = new TextEncoder().encode('{"$hf":1,')
const MSGPACK_START = Uint8Array.of(0x83, 0xa3, 0x24, 0x68, 0x66, 0x01)
/** The containers around the list of arguments: the map of the envelope. */
const OUTER_DEPTH = 1

const encoder = new TextEncoder()
const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

/**
 * Values as Socket.IO sends them: those of JSON (undefined and NaN become null, a Date its text), and bytes wherever
 * they stand. Throws EnvelopeError: nested too deep or in a circle, too many binary values, a BigInt.
 */
export function encodeEnvelope (envelope: Envelope): Uint8Array {
  const text = envelopeText(envelope)
  if (text !== undefined) return encoder.encode(`${text.before}${text.args}}`)
  return encode({ $hf: 1, id: envelope.id, args: plain(envelope.args) })
}

/**
 * The envelope as JSON, in two parts without the brace that ends it; undefined where it holds bytes. Throws
 * EnvelopeError, as encodeEnvelope does.
 */
export function envelopeText ({ id, args }: Envelope): { readonly before: string, readonly args: string } | undefined {
  const found = survey(args)
  const wrong = wrongIn(found)
  if (wrong !== undefined) throw new EnvelopeError(wrong)
  return found.binaries > 0 ? undefined : { before: `{"$hf":1,"id":${json(id)},"args":`, args: json(args) }
}

/** What keeps values from travelling as arguments of an event, or undefined. */
export function wrongWith (args: readonly unknown[]): string | undefined {
  return wrongIn(survey(args))
}

function wrongIn ({ depth, binaries, placeholder }: Found): string | undefined {
  if (depth > ARGUMENT_DEPTH_MAX) return `the arguments are nested deeper than ${ARGUMENT_DEPTH_MAX} levels`
  if (binaries > BINARIES_PER_EVENT_MAX) return `the arguments hold more than ${BINARIES_PER_EVENT_MAX} binary values`
  return binaries > 0 && placeholder ? 'the key _placeholder is reserved next to binary values' : undefined
}

/** One value as JSON. Throws EnvelopeError: it holds bytes, is nested too deep, or is nothing that JSON has. */
export function encodeJson (value: unknown): Uint8Array {
  const { depth, binaries } = survey([value])
  if (depth > ARGUMENT_DEPTH_MAX) throw new EnvelopeError(`the value is deeper than ${ARGUMENT_DEPTH_MAX} levels`)
  if (binaries > 0) throw new EnvelopeError('the value holds bytes, which JSON can\'t')
  const string = json(value) as string | undefined
  if (string === undefined) throw new EnvelopeError('the value is nothing that JSON has')
  return encoder.encode(string)
}

/** One value as MessagePack, bytes as type bin. Throws EnvelopeError. */
export function encodeMsgpack (value: unknown): Uint8Array {
  const wrong = wrongWith([value])
  if (wrong !== undefined) throw new EnvelopeError(wrong)
  const settled = plain(value)
  if (settled === undefined) throw new EnvelopeError('the value is nothing that MessagePack has')
  return encode(settled)
}

/** The one value that JSON bytes hold, or undefined where they are no JSON. */
export function decodeJson (bytes: Uint8Array): unknown {
  const value = parse(text(bytes))
  return survey([value]).depth > ARGUMENT_DEPTH_MAX ? undefined : value
}

/** The one value that MessagePack bytes hold, or undefined where they are none. Bytes in it are views, not copies. */
export function decodeMsgpack (bytes: Uint8Array): unknown {
  if (!isPlainMsgpack(bytes, { depthMax: ARGUMENT_DEPTH_MAX, binariesMax: BINARIES_PER_EVENT_MAX })) return undefined
  try {
    const value = decode(bytes)
    return wrongWith([value]) === undefined ? value : undefined
  } catch {
    return undefined
  }
}

/** The text that bytes hold, or undefined where they are not UTF-8. */
export function decodeText (bytes: Uint8Array): string | undefined {
  return text(bytes)
}

/** Arguments as they would arrive: values of JSON, and bytes. Throws EnvelopeError. */
export function settle (args: readonly unknown[]): unknown[] {
  const wrong = wrongWith(args)
  if (wrong !== undefined) throw new EnvelopeError(wrong)
  return args.map(value => plain(value) ?? null)
}

/** The envelope in these bytes, or undefined where they are a raw payload. Bytes in it are views, not copies. */
export function decodeEnvelope (bytes: Uint8Array): Envelope | undefined {
  if (startsWith(bytes, JSON_START)) return check(parse(text(bytes)))
  if (!startsWith(bytes, MSGPACK_START)) return undefined
  const bounds = { depthMax: ARGUMENT_DEPTH_MAX + OUTER_DEPTH, binariesMax: BINARIES_PER_EVENT_MAX }
  if (!isPlainMsgpack(bytes, bounds)) return undefined
  try {
    return check(decode(bytes))
  } catch { // text that is not UTF-8, a key named __proto__
    return undefined
  }
}

/**
 * What any payload means as arguments of an event. A payload that is no envelope is one argument: JSON if it parses,
 * else text if it is UTF-8, else bytes.
 */
export function decodePayload (bytes: Uint8Array): Envelope {
  const envelope = decodeEnvelope(bytes)
  if (envelope !== undefined) return envelope
  const string = text(bytes)
  if (string === undefined) return { id: '', args: [bytes] }
  const value = parse(string)
  return { id: '', args: [value !== undefined && survey([value]).depth <= ARGUMENT_DEPTH_MAX ? value : string] }
}

function check (value: unknown): Envelope | undefined {
  if (typeof value !== 'object' || value === null) return undefined
  const { $hf: version, id, args } = value as Record<string, unknown>
  if (version !== 1 || typeof id !== 'string' || id.length > MESSAGE_ID_LENGTH_MAX) return undefined
  if (!Array.isArray(args)) return undefined
  const found = survey(args)
  if (found.depth > ARGUMENT_DEPTH_MAX || (found.binaries > 0 && found.placeholder)) return undefined
  return { id, args }
}

interface Found {
  /** Levels of arrays and objects; ARGUMENT_DEPTH_MAX + 1 stands for everything deeper. */
  depth: number
  binaries: number
  /** A receiver would take an object with this key for one of the binary values. */
  placeholder: boolean
}

function survey (args: readonly unknown[]): Found {
  const found = { depth: 0, binaries: 0, placeholder: false }
  check(args, 1)
  return found

  function check (value: unknown, depth: number): void {
    if (typeof value !== 'object' || value === null || found.depth > ARGUMENT_DEPTH_MAX) return
    if (isBinary(value)) {
      found.binaries++
      return
    }
    found.depth = Math.max(found.depth, depth)
    if (depth > ARGUMENT_DEPTH_MAX) return
    if (Array.isArray(value)) {
      for (const element of value) check(element, depth + 1)
    } else if (hasToJson(value)) {
      check(value.toJSON(), depth)
    } else {
      if ((value as { _placeholder?: unknown })._placeholder === true) found.placeholder = true
      for (const key of Object.keys(value)) check((value as Record<string, unknown>)[key], depth + 1)
    }
  }
}

/** The value as JSON would carry it, with bytes left in place; undefined where JSON leaves it out. */
function plain (value: unknown): unknown {
  if (typeof value === 'number') return Number.isFinite(value) ? value : null
  if (typeof value === 'bigint') throw new EnvelopeError('a BigInt can\'t be sent; send it as text')
  if (typeof value === 'function' || typeof value === 'symbol') return undefined
  if (typeof value !== 'object' || value === null) return value
  if (isBinary(value)) return ArrayBuffer.isView(value) ? bytesOf(value) : new Uint8Array(value)
  if (Array.isArray(value)) return value.map(element => plain(element) ?? null)
  if (hasToJson(value)) return plain(value.toJSON())
  const entries = Object.entries(value).map(([key, inner]) => [key, plain(inner)] as const)
  // fromEntries defines properties, so that a key named __proto__ stays a key
  return Object.fromEntries(entries.filter(([, inner]) => inner !== undefined))
}

function bytesOf (view: ArrayBufferView): Uint8Array {
  return new Uint8Array(view.buffer, view.byteOffset, view.byteLength)
}

function json (value: unknown): string {
  try {
    return JSON.stringify(value)
  } catch (error) {
    throw new EnvelopeError(`the arguments are not JSON: ${(error as Error).message.split('\n')[0]}`, { cause: error })
  }
}

function parse (string: string | undefined): unknown {
  try {
    return string === undefined ? undefined : JSON.parse(string)
  } catch {
    return undefined
  }
}

function text (bytes: Uint8Array): string | undefined {
  try {
    return decoder.decode(bytes)
  } catch {
    return undefined
  }
}

function isBinary (value: object): value is ArrayBuffer | ArrayBufferView {
  return value instanceof ArrayBuffer || ArrayBuffer.isView(value)
}

function hasToJson (value: object): value is { toJSON (): unknown } {
  return 'toJSON' in value && typeof value.toJSON === 'function'
}

function startsWith (bytes: Uint8Array, start: Uint8Array): boolean {
  return bytes.length >= start.length && start.every((byte, index) => bytes[index] === byte)
}
