/**
 * What most messages do not have, as it stands behind those that do: fields, each with its kind (u8), its length (u32,
 * little-endian) and its bytes. Whoever does not know a kind skips it by its length, and keeps it with the message.
 *
 *   1  time of expiry (f64)           4  correlation data
 *   2  content type (UTF-8)           5  user property: bytes of its name (u32), name, value; once for each, in order
 *   3  response topic (UTF-8)         6  producer: sequence (f64), name
 */
import type { Extension, TimeMs } from '../model/message.ts'

const FIELD = {
  expiresAt: 1, contentType: 2, responseTopic: 3, correlationData: 4, userProperty: 5, producer: 6
} as const
const HEAD_BYTES = 5

export function encodeExtension (extension: Extension): Buffer {
  const { expiresAt, contentType, responseTopic, correlationData, userProperties, producer, unknown } = extension
  const parts: Buffer[] = []
  const add = (kind: number, ...bytes: Buffer[]): void => {
    const head = Buffer.alloc(HEAD_BYTES)
    head[0] = kind
    head.writeUInt32LE(bytes.reduce((sum, { length }) => sum + length, 0), 1)
    parts.push(head, ...bytes)
  }
  if (expiresAt !== undefined) add(FIELD.expiresAt, number(expiresAt))
  if (contentType !== undefined) add(FIELD.contentType, Buffer.from(contentType))
  if (responseTopic !== undefined) add(FIELD.responseTopic, Buffer.from(responseTopic))
  if (correlationData !== undefined) add(FIELD.correlationData, correlationData)
  for (const [name, value] of userProperties ?? []) {
    const bytes = Buffer.alloc(4)
    bytes.writeUInt32LE(Buffer.byteLength(name))
    add(FIELD.userProperty, bytes, Buffer.from(name + value))
  }
  if (producer !== undefined) add(FIELD.producer, number(producer.sequence), Buffer.from(producer.name))
  if (unknown !== undefined) parts.push(unknown)
  return Buffer.concat(parts)
}

export function decodeExtension (bytes: Buffer): Extension {
  const found: { -readonly [name in keyof Extension]: Extension[name] } = {}
  const properties: Array<readonly [string, string]> = []
  const unknown: Buffer[] = []
  for (let at = 0; at < bytes.length;) {
    const valueAt = at + HEAD_BYTES
    const end = valueAt + bytes.readUInt32LE(at + 1)
    const value = bytes.subarray(valueAt, end)
    const kind = bytes[at]
    if (kind === FIELD.expiresAt) found.expiresAt = value.readDoubleLE(0) as TimeMs
    else if (kind === FIELD.contentType) found.contentType = value.toString()
    else if (kind === FIELD.responseTopic) found.responseTopic = value.toString()
    else if (kind === FIELD.correlationData) found.correlationData = value
    else if (kind === FIELD.userProperty) {
      const nameEnd = 4 + value.readUInt32LE(0)
      properties.push([value.toString('utf8', 4, nameEnd), value.toString('utf8', nameEnd)])
    } else if (kind === FIELD.producer) {
      found.producer = { sequence: value.readDoubleLE(0), name: value.toString('utf8', 8) }
    } else unknown.push(bytes.subarray(at, end))
    at = end
  }
  if (properties.length > 0) found.userProperties = properties
  if (unknown.length > 0) found.unknown = Buffer.concat(unknown)
  return found
}

function number (value: number): Buffer {
  const bytes = Buffer.alloc(8)
  bytes.writeDoubleLE(value)
  return bytes
}
