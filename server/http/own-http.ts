/** The HTTP server that the program makes for itself, with its bounds [G6] and an end that comes. */
import { type Server, createServer } from 'node:http'
import type { Socket } from 'node:net'
import { type Refusals, foreignOf } from '../../broker/index.ts'
import type { Config } from '../../config/schema.ts'

export interface OwnHttp {
  readonly server: Server
  /** Are there connectionsMax already? That is told. */
  isFull (socket: Socket): boolean
  /** A connection of whoever listens, which may be this server itself. */
  take (socket: Socket): void
  /** Stops listening and ends what is still open. */
  close (): Promise<void>
}

const HEAD_CHECK_MS = 1_000
/** Time for the last bytes of an answer when the server stops. */
const LAST_BYTES_MS_MAX = 1_000

export function createOwnHttp (
  config: Pick<Config, 'connectTimeoutMs' | 'stallTimeoutMs' | 'connectionsMax'>, refusals: Refusals
): OwnHttp {
  const server = createServer({
    headersTimeout: config.connectTimeoutMs,
    // the body of a request counts from the first byte of its head
    requestTimeout: Math.max(config.connectTimeoutMs, config.stallTimeoutMs),
    connectionsCheckingInterval: Math.min(HEAD_CHECK_MS, config.connectTimeoutMs)
  })
  const sockets = new Set<Socket>() // connectionsMax of them at most
  // what it would do with a connection; who gets there is said elsewhere
  const handlers = server.listeners('connection')
  server.removeAllListeners('connection')
  server.on('clientError', (error: HttpError, socket) => refuseBytes(error, socket as Socket, refusals))

  function isFull ({ remoteAddress }: Socket): boolean {
    if (sockets.size < config.connectionsMax) return false
    refusals.note({
      kind: 'connections',
      who: { remoteAddress },
      what: 'a connection of HTTP was refused, as there are connectionsMax already',
      toDo: 'raise connectionsMax, or find out who opens so many'
    })
    return true
  }

  return {
    server,
    isFull,
    take (socket) {
      if (isFull(socket)) {
        socket.destroy()
        return
      }
      sockets.add(socket)
      socket.once('close', () => sockets.delete(socket))
      for (const handler of handlers) Reflect.apply(handler, server, [socket])
    },
    async close () {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()))
      // an answer that is on its way gets out; an idle or upgraded connection is not waited for
      server.closeIdleConnections()
      for (const socket of sockets) socket.destroySoon()
      const cut = setTimeout(() => { for (const socket of sockets) socket.destroy() }, LAST_BYTES_MS_MAX)
      await closed
      clearTimeout(cut)
    }
  }
}

/** What Node.js has not understood as HTTP. */
interface HttpError extends NodeJS.ErrnoException { readonly rawPacket?: Buffer }

const TO_DO = {
  TLS: 'use http:// and ws:// here, or httpsPort, which speaks TLS once tlsCert is set',
  'PROXY protocol': 'turn it off in the proxy (as send-proxy of HAProxy, proxy_protocol of nginx)',
  MQTT: 'MQTT over TCP has a port of its own (mqttPort); here it is spoken over WebSocket, at mqttPath (ws://)'
} as const
const STATUS: Readonly<Record<string, string>> = {
  HPE_HEADER_OVERFLOW: '431 Request Header Fields Too Large', ERR_HTTP_REQUEST_TIMEOUT: '408 Request Timeout'
}

/** Answers as Node.js would, and tells who it was. */
function refuseBytes ({ code = '', message, rawPacket }: HttpError, socket: Socket, refusals: Refusals): void {
  if (code !== 'ECONNRESET') {
    const who = { remoteAddress: socket.remoteAddress }
    const foreign = rawPacket === undefined ? undefined : foreignOf(rawPacket, { anyMqtt: true })
    if (foreign === undefined || foreign === 'more' || foreign.name === 'HTTP') {
      refusals.note({
        kind: 'requests',
        who,
        about: { error: message },
        sameAs: code,
        what: 'a request was refused, as it is no HTTP or took too long',
        toDo: 'look at the client, or at what stands between'
      })
    } else {
      refusals.note({
        kind: 'foreign', who, what: `somebody speaks ${foreign.name} where HTTP is spoken`, toDo: TO_DO[foreign.name]
      })
    }
  }
  if (socket.writable && socket.bytesWritten === 0) {
    socket.end(`HTTP/1.1 ${STATUS[code] ?? '400 Bad Request'}\r\nConnection: close\r\n\r\n`)
  }
  socket.destroySoon()
}
