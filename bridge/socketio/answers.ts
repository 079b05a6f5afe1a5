/**
 * The ack functions that handlers get as their last argument, in place of Socket.IO's own: what is answered in one turn
 * of the event loop shares a write. They come from its private `ack` method; a contract test fails when an upgrade
 * changes that.
 */
import type { Socket } from 'socket.io'
import { privateSocketOf } from './engine.ts'
import type { NamespaceFrames } from './frames.ts'
import type { Wire } from './wire.ts'

/** `wire` is that of the connection below the socket, `frames` those of its namespace. */
export function answerThrough (socket: Socket, wire: Wire, frames: NamespaceFrames): void {
  privateSocketOf(socket).ack = id => {
    let isAnswered = false
    return (...answer) => {
      if (isAnswered) return
      isAnswered = true
      wire.writeOne(frames.answer(id, answer))
    }
  }
}
