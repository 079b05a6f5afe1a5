/**
 * An HTTP proxy that sends requests again, as browsers and proxies do when a kept-alive connection dies before the
 * first byte of the response. The client behind it sees one request and one response.
 */
import { Agent, createServer, request as send, type IncomingHttpHeaders, type IncomingMessage } from 'node:http'
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { buffer } from 'node:stream/consumers'

/**
 * 'pass': once. 'answered': the first response is lost, and the request is sent again on a new connection.
 * 'waiting': it is sent again before the first copy is answered; the client gets the response to the second one.
 * 'late': it is answered, and a copy of it arrives after the next request of its kind.
 */
export type Repetition = 'pass' | 'answered' | 'waiting' | 'late'

export interface Repeater {
  readonly port: number
  readonly url: string
  /** What was done so far, by kind. */
  readonly done: Record<Repetition, number>
}

interface Copy {
  readonly method: string
  readonly path: string
  readonly headers: IncomingHttpHeaders
  readonly body: Buffer
}

interface Answer { readonly status: number, readonly headers: IncomingHttpHeaders, readonly body: Buffer }

/** On a free port of 127.0.0.1; closed when the test ends. `decide` is asked for each request of a known connection. */
export async function createRepeater (
  t: { teardown (end: () => unknown): void }, target: { port: number }, decide: (method: string) => Repetition
): Promise<Repeater> {
  const agent = new Agent({ keepAlive: false }) // each copy on a connection of its own
  const done: Repeater['done'] = { pass: 0, answered: 0, waiting: 0, late: 0 }
  const waiting = new Map<string, Copy>()

  async function forward ({ method, path, headers, body }: Copy): Promise<Answer> {
    const request = send({ host: '127.0.0.1', port: target.port, agent, method, path, headers })
    request.end(body)
    const [response] = await once(request, 'response') as [IncomingMessage]
    return { status: response.statusCode!, headers: response.headers, body: await buffer(response) }
  }

  async function answer (copy: Copy, repetition: Repetition): Promise<Answer> {
    done[repetition]++
    if (repetition === 'answered') await forward(copy)
    if (repetition === 'waiting') {
      forward(copy).catch(() => {})
      await new Promise(resolve => setTimeout(resolve, 5)) // the first copy is there first
    }
    return await forward(copy)
  }

  const server = createServer((request, response) => {
    const { method = 'GET', url = '/', headers } = request
    async function serve (): Promise<void> {
      const copy = { method, path: url, headers, body: await buffer(request) }
      const repetition = url.includes('sid=') ? decide(method) : 'pass'
      const older = waiting.get(method)
      waiting.delete(method)
      if (repetition === 'late') waiting.set(method, copy)
      const { status, headers: answered, body } = await answer(copy, repetition)
      if (older !== undefined) forward(older).catch(() => {})
      response.writeHead(status, { ...answered, connection: 'close' }).end(body)
    }
    serve().catch(() => response.destroy())
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => {
    server.closeAllConnections()
    server.close()
    agent.destroy()
  })
  const { port } = server.address() as AddressInfo
  return { port, url: `http://127.0.0.1:${port}`, done }
}
