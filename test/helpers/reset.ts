import type { Duplex } from 'node:stream'
import type { Socket } from 'node:net'

/**
 * Ends a connection with RST where the stream can. A socket that is shutting down cannot be reset: Node then keeps
 * its handle open for ever, so it is destroyed.
 */
export function reset (stream: Duplex): void {
  if ('resetAndDestroy' in stream && !stream.writableEnded && !stream.destroyed) (stream as Socket).resetAndDestroy()
  else stream.destroy()
}
