/**
 * A hostile TCP proxy: what networks do to connections, on command.
 * Faults hold for the connections that are open and for those that come, until pass() is called.
 */
import { createServer, connect, type AddressInfo, type Socket } from 'node:net'
import { once } from 'node:events'
import { reset } from './reset.ts'
import { createPipe, type Faults, type Pipe } from './pipe.ts'
import type { Scope } from './temp.ts'

/** 'up' is from the client to the server. */
export type Direction = 'up' | 'down' | 'both'
/** 'reset' ends with RST, 'finish' with FIN. */
export type CutKind = 'reset' | 'finish'

export interface Proxy {
  readonly host: string
  readonly port: number
  /** Connections that are open now, as the client side sees them. */
  readonly connections: number
  /** Bytes that were taken from both sides since the start. */
  readonly bytes: { readonly up: number, readonly down: number }
  /** Where new connections go; a server that was started again may have another port. */
  target: { host: string, port: number }
  /** Ends every fault. A connection that has lost bytes in a hole stays dead, as behind a forgetful NAT. */
  pass (): void
  /** Swallows bytes, FIN and RST without a word. New connections are accepted and hang. */
  hole (direction: Direction): void
  /** Holds bytes back until pass(), as TCP does over a link that is away for a while. Nothing is lost. */
  stall (direction: Direction): void
  /** Ends the connections that are open, towards both sides. */
  cut (kind: CutKind): void
  /** The client changes its network: its side of what is open is reset, and the server hears nothing any more. */
  roam (): void
  /** Ends a connection after so many bytes of a direction, possibly inside a packet; each connection has the budget. */
  cutAfter (bytes: number, direction: 'up' | 'down', kind: CutKind): void
  /** Latency in each direction. */
  delay (ms: number): void
  /** Speed limit of each direction of each connection. */
  throttle (bytesPerSecond: number): void
  /** New connections are reset at once. */
  refuse (): void
  /** Resolves when the next connection was accepted. */
  accepted (): Promise<void>
  close (): Promise<void>
}

interface Connection { client: Socket, server: Socket, up: Pipe, down: Pipe }

/** A proxy on a free port of 127.0.0.1; closed when the test ends. */
export async function createProxy (t: Scope, target: { host?: string, port: number }): Promise<Proxy> {
  const open = new Set<Connection>()
  const bytes = { up: 0, down: 0 }
  let faults: Record<'up' | 'down', Faults> = { up: {}, down: {} }
  let refusing = false
  let waiting: Array<() => void> = []

  const listener = createServer({ allowHalfOpen: true }, client => {
    for (const resolve of waiting) resolve()
    waiting = []
    if (refusing) return client.resetAndDestroy()
    const server = connect({ ...proxy.target, allowHalfOpen: true })
    const connection: Connection = {
      client,
      server,
      up: createPipe(client, server, () => faults.up, count => { bytes.up += count }, end),
      down: createPipe(server, client, () => faults.down, count => { bytes.down += count }, end)
    }
    open.add(connection)
    const gone = (): void => { if (client.destroyed && server.destroyed) open.delete(connection) }
    client.on('close', gone)
    server.on('close', gone)
    function end (kind: CutKind): void { endConnection(connection, kind) }
  })

  function endConnection ({ client, server, up, down }: Connection, kind: CutKind): void {
    up.stop()
    down.stop()
    for (const socket of [client, server]) {
      if (kind === 'reset') reset(socket)
      else socket.end(() => socket.destroy())
    }
  }

  function set (direction: Direction, change: Faults): void {
    if (direction !== 'down') faults = { ...faults, up: { ...faults.up, ...change } }
    if (direction !== 'up') faults = { ...faults, down: { ...faults.down, ...change } }
    for (const { up, down } of open) { up.changed(); down.changed() }
  }

  const proxy: Proxy = {
    host: '127.0.0.1',
    get port () { return (listener.address() as AddressInfo).port },
    get connections () { return [...open].filter(({ client }) => !client.destroyed).length },
    bytes,
    target: { host: target.host ?? '127.0.0.1', port: target.port },
    pass () {
      refusing = false
      faults = { up: {}, down: {} }
      set('both', {})
    },
    hole: direction => set(direction, { hole: true }),
    stall: direction => set(direction, { stall: true }),
    delay: ms => set('both', { delayMs: ms }),
    throttle: bytesPerSecond => set('both', { bytesPerSecond }),
    cutAfter: (budget, direction, kind) => set(direction, { cutAfter: { bytes: budget, kind } }),
    cut (kind) { for (const connection of [...open]) endConnection(connection, kind) },
    roam () {
      for (const { client, up, down } of open) {
        up.stop()
        down.stop()
        reset(client)
      }
    },
    refuse () { refusing = true },
    accepted: async () => await new Promise(resolve => { waiting.push(resolve) }),
    async close () {
      for (const { client, server, up, down } of open) {
        up.stop()
        down.stop()
        client.destroy()
        server.destroy()
      }
      await new Promise<void>(resolve => listener.close(() => resolve()))
    }
  }
  listener.listen(0, '127.0.0.1')
  await once(listener, 'listening')
  t.teardown(() => proxy.close())
  return proxy
}
