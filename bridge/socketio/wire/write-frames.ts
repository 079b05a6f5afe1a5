/** Frames of a WebSocket as a server sends them: unmasked, never in fragments (RFC 6455, 5.2). */

/** Packet type of Engine.IO, before the text of each Socket.IO packet: '4'. */
const MESSAGE = 0x34
const TEXT_FRAME = 0x81
const BINARY_FRAME = 0x82
const SHORT_BYTES_MAX = 125
const MEDIUM_BYTES_MAX = 65_535

/** One for the text, and one for each binary value. */
export function encodeFrames (text: string, values: readonly Buffer[]): Buffer {
  const textBytes = 1 + Buffer.byteLength(text)
  let length = headerLength(textBytes) + textBytes
  for (const value of values) length += headerLength(value.length) + value.length
  const bytes = Buffer.allocUnsafe(length)
  let at = writeHeader(bytes, 0, TEXT_FRAME, textBytes)
  bytes[at] = MESSAGE
  at += 1 + bytes.write(text, at + 1)
  for (const value of values) {
    at = writeHeader(bytes, at, BINARY_FRAME, value.length)
    at += value.copy(bytes, at)
  }
  return bytes
}

/** Frames with one more behind them. */
export function encodeBehind (frames: Buffer, text: string): Buffer {
  const textBytes = 1 + Buffer.byteLength(text)
  const bytes = Buffer.allocUnsafe(frames.length + headerLength(textBytes) + textBytes)
  const at = writeHeader(bytes, frames.copy(bytes), TEXT_FRAME, textBytes)
  bytes[at] = MESSAGE
  bytes.write(text, at + 1)
  return bytes
}

/** `json` without its brackets. */
export function encodeSpliced (before: string, json: Buffer, after: string): Buffer {
  const innerBytes = json.length - 2
  const beforeBytes = Buffer.byteLength(before)
  const textBytes = 1 + beforeBytes + innerBytes + Buffer.byteLength(after)
  const bytes = Buffer.allocUnsafe(headerLength(textBytes) + textBytes)
  let at = writeHeader(bytes, 0, TEXT_FRAME, textBytes)
  bytes[at] = MESSAGE
  at += 1 + bytes.write(before, at + 1)
  at += json.copy(bytes, at, 1, 1 + innerBytes)
  bytes.write(after, at)
  return bytes
}

function headerLength (bodyLength: number): number {
  return bodyLength <= SHORT_BYTES_MAX ? 2 : bodyLength <= MEDIUM_BYTES_MAX ? 4 : 10
}

function writeHeader (bytes: Buffer, at: number, first: number, bodyLength: number): number {
  bytes[at] = first
  if (bodyLength <= SHORT_BYTES_MAX) {
    bytes[at + 1] = bodyLength
    return at + 2
  }
  if (bodyLength <= MEDIUM_BYTES_MAX) {
    bytes[at + 1] = 126
    return bytes.writeUInt16BE(bodyLength, at + 2)
  }
  bytes[at + 1] = 127
  bytes.writeUInt16BE(0, at + 2)
  return bytes.writeUIntBE(bodyLength, at + 4, 6)
}

/** Of the first frame. */
export function headerBytes (frames: Buffer): number {
  return frames[1] <= SHORT_BYTES_MAX ? 2 : frames[1] === 126 ? 4 : 10
}

export function bodyBytes (frames: Buffer): number {
  return frames[1] <= SHORT_BYTES_MAX
    ? frames[1]
    : frames[1] === 126 ? frames.readUInt16BE(2) : frames.readUIntBE(4, 6)
}
