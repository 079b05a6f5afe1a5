/**
 * One origin for the pages of examples/chat and for a server behind a hostile link, as a web server in front would make
 * it: connections for a page end here, every other one is passed on byte by byte with all that is done to it.
 */
import { readFileSync } from 'node:fs'
import { createServer as createHttpServer } from 'node:http'
import { connect, createServer, type AddressInfo, type Socket } from 'node:net'
import { once } from 'node:events'
import { bundleOf } from '../helpers/socketio-clients.ts'
import { reset } from '../helpers/reset.ts'
import type { Scope } from '../helpers/temp.ts'

const EXAMPLE = new URL('../../examples/chat/', import.meta.url)

/** Resolves to the origin. */
export async function startFront (t: Scope, target: { readonly host: string, readonly port: number }): Promise<string> {
  const files: Readonly<Record<string, readonly [type: string, content: Buffer]>> = {
    '/v2': ['text/html', readFileSync(new URL('v2.html', EXAMPLE))],
    '/v4': ['text/html', readFileSync(new URL('v4.html', EXAMPLE))],
    '/socket.io-2.js': ['text/javascript', readFileSync(bundleOf('2.5'))],
    '/favicon.ico': ['image/x-icon', Buffer.alloc(0)]
  }
  const pages = createHttpServer((request, response) => {
    const [type, content] = files[request.url ?? '']
    response.writeHead(200, { 'content-type': `${type}; charset=utf-8`, connection: 'close' }).end(content)
  })
  const open = new Set<Socket>()
  const listener = createServer({ allowHalfOpen: true }, client => {
    open.add(client)
    client.on('close', () => open.delete(client))
    client.on('error', () => {})
    client.once('data', bytes => {
      client.pause()
      client.unshift(bytes)
      const path = /^GET ([^ ]+) /.exec(bytes.toString('latin1', 0, 2_000))?.[1] ?? ''
      if (Object.hasOwn(files, path)) pages.emit('connection', client)
      else passOn(client, connect({ ...target, allowHalfOpen: true }))
      client.resume()
    })
  })
  listener.listen(0, '127.0.0.1')
  await once(listener, 'listening')
  t.teardown(() => {
    for (const socket of open) socket.destroy()
    listener.close()
  })
  return `http://127.0.0.1:${(listener.address() as AddressInfo).port}`
}

/** FIN becomes FIN, RST becomes RST. */
function passOn (client: Socket, server: Socket): void {
  client.pipe(server)
  server.pipe(client)
  client.on('error', () => reset(server))
  server.on('error', () => reset(client))
  client.on('close', () => server.destroy())
  server.on('close', () => client.destroy())
}
