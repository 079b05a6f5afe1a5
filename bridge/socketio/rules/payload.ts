/** The forms of a payload that rules can name; `envelope` and `auto` are those of docs/envelope.md. */
import {
  decodeEnvelope, decodeJson, decodeMsgpack, decodePayload, decodeText, encodeEnvelope, encodeJson, encodeMsgpack,
  type Envelope, EnvelopeError
} from '../../../protocol/index.ts'
import type { PayloadForm, PayloadReading } from './rule.ts'

const LONE_SURROGATE = /[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/

/** One value as bytes that are no envelope. @throws EnvelopeError */
export function writeValue (form: Exclude<PayloadForm, 'envelope'>, value: unknown): Buffer {
  switch (form) {
    case 'json': return bufferOf(encodeJson(value))
    case 'msgpack': return bufferOf(encodeMsgpack(value))
    case 'text': {
      if (typeof value === 'number' || typeof value === 'boolean') return Buffer.from(String(value))
      if (typeof value !== 'string') throw new EnvelopeError('the value must be a text, to be sent as text')
      if (LONE_SURROGATE.test(value)) throw new EnvelopeError('the value is a text that UTF-8 can\'t hold')
      return Buffer.from(value)
    }
    case 'bytes':
      if (value instanceof ArrayBuffer) return Buffer.from(value)
      if (ArrayBuffer.isView(value)) return Buffer.from(value.buffer, value.byteOffset, value.byteLength)
      throw new EnvelopeError('the value must be bytes, to be sent as bytes')
  }
}

/** @throws EnvelopeError */
export function writeEnvelope (envelope: Envelope): Buffer {
  return bufferOf(encodeEnvelope(envelope))
}

/** A payload as arguments, or undefined where it can't be read so. */
export function readPayload (reading: PayloadReading, bytes: Uint8Array): Envelope | undefined {
  switch (reading) {
    case 'auto': return decodePayload(bytes)
    case 'envelope': return decodeEnvelope(bytes)
    case 'json': return one(decodeJson(bytes))
    case 'msgpack': return one(decodeMsgpack(bytes))
    case 'text': return one(decodeText(bytes))
    case 'bytes': return one(bytes)
  }
}

function one (value: unknown): Envelope | undefined {
  return value === undefined ? undefined : { id: '', args: [value] }
}

function bufferOf (bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}
