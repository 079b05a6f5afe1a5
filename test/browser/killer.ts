/**
 * A TCP proxy that now and then loses a response: the kept-alive connection that it would come over dies before its
 * first byte. This is what makes browsers send the request again by themselves.
 */
import { connect, createServer, type AddressInfo, type Socket } from 'node:net'
import { once } from 'node:events'
import { reset } from '../helpers/reset.ts'
import type { Scope } from '../helpers/temp.ts'

export interface Killer {
  readonly url: string
  /** Responses that were lost. */
  readonly kills: number
  /** From now on each `every`th response over a connection that has carried one before is lost; 0: none. */
  every: number
}

/** On a free port of 127.0.0.1; closed when the test ends. Ends connections with RST and FIN by turns. */
export async function startKiller (t: Scope, target: { readonly port: number }): Promise<Killer> {
  const open = new Set<Socket>()
  let kills = 0
  let responses = 0

  const listener = createServer(client => {
    const server = connect({ port: target.port, host: '127.0.0.1' })
    /** Since the last response began: a request was sent, and what comes next from the server answers it. */
    let asked = false
    let isReused = false
    for (const socket of [client, server]) {
      open.add(socket)
      socket.on('error', () => {})
      socket.on('close', () => {
        open.delete(socket)
        client.destroy()
        server.destroy()
      })
    }
    client.on('data', bytes => {
      asked = true
      server.write(bytes)
    })
    server.on('data', bytes => {
      if (asked && isReused && killer.every > 0 && ++responses % killer.every === 0) {
        kills++
        if (kills % 2 === 0) client.end()
        else reset(client)
        server.destroy()
        return
      }
      isReused ||= asked
      asked = false
      client.write(bytes)
    })
  })
  const killer = {
    get url () { return `http://127.0.0.1:${(listener.address() as AddressInfo).port}` },
    get kills () { return kills },
    every: 0
  }
  listener.listen(0, '127.0.0.1')
  await once(listener, 'listening')
  t.teardown(() => {
    for (const socket of open) socket.destroy()
    listener.close()
  })
  return killer
}
