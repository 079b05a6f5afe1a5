/**
 * A client of long polling that sends what the protocols demand and nothing more: no `t`. It polls on as soon as it has
 * an answer, and answers pings by POST, one request at a time, as clients in other languages do.
 */
import { request as send, Agent } from 'node:http'
import { once } from 'node:events'
import type { IncomingMessage } from 'node:http'
import { text } from 'node:stream/consumers'

const SEPARATOR = '\x1e'

export interface Answer { readonly status: number, readonly text: string }

export class BarePolling {
  readonly sid: string
  /** Packets of messages, in the order in which they came. */
  readonly messages: string[] = []
  readonly #agent: Agent
  readonly #url: string
  #posts: Promise<unknown> = Promise.resolve()
  #isOver = false
  #wake = (): void => {}

  private constructor (url: string, agent: Agent, sid: string) {
    this.#agent = agent
    this.#url = `${url}&sid=${sid}`
    this.sid = sid
  }

  static async open (t: { teardown (end: () => unknown): void }, url: string, packets: string[]): Promise<BarePolling> {
    const agent = new Agent({ keepAlive: true })
    const start = `${url}/socket.io/?EIO=4&transport=polling`
    const { status, text: opened } = await ask(agent, start)
    if (status !== 200) throw new Error(`${status}: ${opened}`)
    const { sid } = JSON.parse(opened.slice(1)) as { sid: string }
    const client = new BarePolling(start, agent, sid)
    t.teardown(() => client.#end())
    client.post(packets)
    client.#poll().catch(() => client.#end())
    return client
  }

  get isOver (): boolean { return this.#isOver }

  post (packets: readonly string[]): void {
    this.#posts = this.#posts.then(async () => {
      const { status } = await ask(this.#agent, this.#url, packets.join(SEPARATOR))
      if (status !== 200) this.#end()
    }).catch(() => this.#end())
  }

  /** Resolves when there are so many messages that begin so, or the connection is over. */
  async wait (start: string, count: number): Promise<string[]> {
    const found = (): string[] => this.messages.filter(message => message.startsWith(start))
    while (found().length < count && !this.#isOver) await new Promise<void>(resolve => { this.#wake = resolve })
    return found()
  }

  async over (): Promise<void> { await this.wait('', Infinity) }

  async #poll (): Promise<void> {
    while (!this.#isOver) {
      const { status, text: packets } = await ask(this.#agent, this.#url)
      if (status !== 200) return this.#end()
      for (const packet of packets.split(SEPARATOR)) {
        if (packet === '2') this.post(['3'])
        else if (packet === '1') return this.#end()
        else if (packet.startsWith('4')) this.messages.push(packet.slice(1))
      }
      this.#wake()
    }
  }

  #end (): void {
    this.#isOver = true
    this.#agent.destroy()
    this.#wake()
  }
}

async function ask (agent: Agent, url: string, body?: string): Promise<Answer> {
  const request = send(url, { agent, method: body === undefined ? 'GET' : 'POST' })
  request.end(body)
  const [response] = await once(request, 'response') as [IncomingMessage]
  return { status: response.statusCode!, text: await text(response) }
}
