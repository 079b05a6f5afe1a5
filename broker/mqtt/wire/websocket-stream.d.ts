declare module 'websocket-stream/stream.js' {
  import type { Duplex } from 'node:stream'
  export default function websocketStream (socket: object, options?: object): Duplex
}
