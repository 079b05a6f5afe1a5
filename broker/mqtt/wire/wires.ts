/** The two byte streams that MQTT travels on, as wires. */
import type { IncomingMessage } from 'node:http'
import type { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import websocketStream from 'websocket-stream/stream.js'
import * as ws from 'ws'
import type { WebSocket } from 'ws'
import { certificateOf } from '../../auth/peer-certificate.ts'
import type { Wire } from '../connection.ts'
import { FrameSplitter } from './frame-splitter.ts'

export function tcpWire (socket: Socket): Wire {
  socket.setNoDelay(true)
  return {
    stream: socket,
    via: 'mqtt',
    remoteAddress: socket.remoteAddress ?? '',
    certificate: certificateOf(socket),
    bufferedBytes: () => socket.writableLength,
    takenBytes: () => socket.bytesWritten - socket.writableLength,
    onClose: (listener) => { socket.once('close', listener) }
  }
}

/** What is used of websocket-stream's Transform, which is of readable-stream 2 and lacks the newer accessors. */
interface OldTransform {
  _writableState: { length: number }
  _readableState: { length: number }
  _read (bytes: number): void
}

/** What ws reads frames with. */
interface Received {
  _receiver?: { _write? (chunk: Buffer, encoding: BufferEncoding, done: (error?: Error | null) => void): void }
}

/** Received and not yet read by the broker; beyond it the WebSocket is paused. */
const INBOUND_BYTES_MAX = 16_384
/** Nobody who takes nothing is answered. */
const PONG_BUFFERED_BYTES_MAX = 65_536
/** RFC 6455, 7.4.1. */
const UNSUPPORTED_DATA = 1_003
const INTERNAL_ERROR = 1_011

/** The module, as far as it is looked at. */
export interface WsModule {
  readonly WebSocket: new (address: null, protocols: undefined, options: object) => object
  readonly Receiver?: { readonly prototype: object }
}

/** Looks, before the start, whether ws has the private names that are used here. Throws with what is missing. */
export function checkWs ({ WebSocket, Receiver }: WsModule = ws as unknown as WsModule): void {
  const missing = [
    ...'_receiver' in new WebSocket(null, undefined, {}) ? [] : ['WebSocket._receiver'],
    ...'_write' in (Receiver?.prototype ?? {}) ? [] : ['Receiver._write']
  ]
  if (missing.length === 0) return
  throw new Error(`ws lacks ${missing.join(' and ')}, which MQTT over WebSocket leans on; install ws 8.23 (npm ls ws)`)
}

/** ws gathers a frame, and a message, before it hands it on: it is given none that is large [G6]. */
function splitFrames (socket: WebSocket): void {
  const { _receiver: receiver } = socket as unknown as Received
  const write = receiver?._write
  if (receiver === undefined || write === undefined) { // of a ws to come: rather nobody is let in
    socket.close(INTERNAL_ERROR, 'the server has another version of ws')
    return
  }
  const splitter = new FrameSplitter()
  receiver._write = (chunk, encoding, done) => {
    const bytes = splitter.feed(chunk)
    if (bytes.length === 0) done()
    else write.call(receiver, bytes, encoding, done)
  }
}

/**
 * The newest ping is answered, and those before it with it (RFC 6455, 5.5.3). ws answers each, and ends a connection
 * that brings many at once without a word.
 */
function answerPings (socket: WebSocket): void {
  let newest: Buffer | undefined
  socket.on('ping', (data) => {
    const isFirst = newest === undefined
    newest = data
    if (!isFirst) return
    setImmediate(() => {
      if (socket.readyState === socket.OPEN && socket.bufferedAmount < PONG_BUFFERED_BYTES_MAX) socket.pong(newest)
      newest = undefined
    })
  })
}

/**
 * websocket-stream joins small writes into one frame, which makes it two to three times as fast as ws's own stream;
 * what it lacks is backpressure inwards: it is added here.
 */
export function websocketWire (socket: WebSocket, request: IncomingMessage): Wire {
  socket.binaryType = 'arraybuffer'
  splitFrames(socket)
  answerPings(socket)
  const stream = websocketStream(socket) as unknown as Duplex
  const old = stream as unknown as OldTransform
  const read = old._read
  socket.on('message', (_data, isBinary) => { // runs after websocket-stream's own listener has pushed it
    if (!isBinary) socket.close(UNSUPPORTED_DATA, 'MQTT travels in binary frames') // [MQTT-6.0.0-1]
    else if (old._readableState.length > INBOUND_BYTES_MAX) socket.pause()
  })
  old._read = function (this: OldTransform, bytes: number) {
    read.call(this, bytes)
    if (socket.isPaused) socket.resume()
  }
  const listeners: Array<() => void> = []
  // In place of websocket-stream's, which destroy the stream: what came before the end is still to be read.
  socket.onerror = () => {}
  socket.onclose = () => { for (const listener of listeners) listener() }
  return {
    stream,
    via: 'websocket',
    remoteAddress: request.socket.remoteAddress ?? '',
    certificate: certificateOf(request.socket),
    bufferedBytes: () => old._writableState.length + request.socket.writableLength,
    takenBytes: () => request.socket.bytesWritten - request.socket.writableLength,
    onClose: (listener) => { listeners.push(listener) }
  }
}
