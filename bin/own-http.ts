/** The HTTP server that the program makes for itself, with its bounds [G6] and an end that comes. */
import { type Server, createServer } from 'node:http'
import type { Socket } from 'node:net'
import type { Logger } from '../broker/index.ts'
import type { Config } from '../config/schema.ts'

export interface OwnHttp {
  readonly server: Server
  /** Stops listening and ends what is still open. */
  close (): Promise<void>
}

/** Refused connections are logged at most this often, with their number. */
const REFUSED_LOG_MS = 10_000
const HEAD_CHECK_MS = 1_000
/** Time for the last bytes of an answer when the server stops. */
const LAST_BYTES_MS_MAX = 1_000

export function createOwnHttp (
  config: Pick<Config, 'connectTimeoutMs' | 'stallTimeoutMs' | 'connectionsMax'>, log: Logger
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

  let refused = 0
  let timer: NodeJS.Timeout | undefined
  function refuse (reason: string): void {
    refused++
    timer ??= setTimeout(() => {
      log.warn({ refused, reason, connectionsMax: config.connectionsMax }, 'HTTP connections were refused')
      refused = 0
      timer = undefined
    }, REFUSED_LOG_MS).unref()
  }
  server.on('drop', () => refuse('connectionsMax are open'))
  // a connection that could not be accepted, as with too many open files; those that are open go on
  server.on('error', (error: NodeJS.ErrnoException) => { if (server.listening) refuse(error.code ?? error.message) })

  return {
    server,
    async close () {
      clearTimeout(timer)
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
