/** The HTTP server that the program makes for itself, with its bounds [G6] and an end that comes. */
import { type Server, createServer } from 'node:http'
import type { Socket } from 'node:net'
import { type Refusals, foreignOf } from '../../broker/index.ts'
import type { Config } from '../../config/schema.ts'

export interface OwnHttp {
  readonly server: Server
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
  server.maxConnections = config.connectionsMax
  server.on('connection', (socket) => {
    sockets.add(socket)
    socket.once('close', () => sockets.delete(socket))
  })

  server.on('drop', (dropped) => refusals.note({
    kind: 'connections',
    who: { remoteAddress: dropped?.remoteAddress },
    what: 'a connection of HTTP was refused, as there are connectionsMax already',
    toDo: 'raise connectionsMax, or find out who opens so many'
  }))
  // a connection that could not be accepted, as with too many open files; those that are open go on
  server.on('error', (error: NodeJS.ErrnoException) => {
    if (!server.listening) return // whoever asked for that is told
    refusals.note({
      kind: 'connections',
      who: {},
      about: { error: error.message },
      what: 'a connection of HTTP could not be taken from the system',
      toDo: 'let the process have more open files (ulimit -n), or look at what the error says'
    })
  })
  server.on('clientError', (error: HttpError, socket) => refuseBytes(error, socket as Socket, refusals))

  return {
    server,
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
  TLS: 'use http:// and ws:// here, or put something before this port that ends TLS',
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
