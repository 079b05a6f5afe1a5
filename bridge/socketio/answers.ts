/**
 * The ack functions that handlers get as their last argument, in place of Socket.IO's own: what is answered in one turn
 * of the event loop shares a write. They come from its private `ack` method; a contract test fails when an upgrade
 * changes that.
 */
import type { Socket } from 'socket.io'
import type { Connection } from './connection.ts'
import type { NamespaceFrames } from './wire/frames.ts'
import { privateSocketOf } from './wire/socketio.ts'

/** `connection` is the one below the socket, `frames` are those of its namespace. */
export function answerThrough (socket: Socket, connection: Connection, frames: NamespaceFrames): void {
  privateSocketOf(socket).ack = id => {
    let isAnswered = false
    return (...answer) => {
      if (isAnswered) return
      isAnswered = true
      const encoded = frames.answer(id, answer)
      if (encoded.isBinary) connection.carriesBytes()
      connection.wire.writeOne(encoded)
    }
  }
}
