/** A pair that exchanges messages all the time: whoever disturbs others disturbs it. */
import type { Test } from 'tap'
import { connectWire, publish1, subscribe, take, text, uniqueId } from './mqtt-wire.ts'
import { pause } from './wait.ts'

export interface CanaryReport {
  readonly messages: number
  /** From PUBLISH to arrival, the slowest. */
  readonly worstMs: number
  /** What went wrong first: a closed connection, a gap, a repetition, a message that took too long. */
  readonly trouble: string | undefined
}

export interface Canary {
  /** Resolves after the next exchange that begins from now; rejects with what went wrong. */
  sings (): Promise<void>
  stop (): Promise<CanaryReport>
}

const EVERY_MS = 5
/** One exchange on a shared machine under load; far below what a stalled broker would take. */
const EXCHANGE_MS_MAX = 20_000

export async function startCanary (t: Test, to: { readonly host?: string, readonly port: number }): Promise<Canary> {
  const topic = uniqueId('canary')
  const { client: subscriber } = await connectWire(t, to, { clientId: `${topic}-subscriber`, clean: false })
  const { client: publisher } = await connectWire(t, to, { clientId: `${topic}-publisher` })
  await subscribe(subscriber, { [topic]: 1 })
  let messages = 0
  let worstMs = 0
  let trouble: string | undefined
  let stopping = false

  async function exchange (): Promise<void> {
    const start = performance.now()
    const arrival = take(subscriber, EXCHANGE_MS_MAX)
    arrival.catch(() => {})
    await publish1(publisher, topic, String(messages), messages % 65_535 + 1)
    const got = text(await arrival)
    if (got !== String(messages)) throw new Error(`got ${got} instead of ${messages}`)
    messages++
    worstMs = Math.max(worstMs, performance.now() - start)
  }

  const running = (async () => {
    while (!stopping && trouble === undefined) {
      await exchange().catch((error: unknown) => { trouble = `after ${messages} messages: ${String(error)}` })
      await pause(EVERY_MS)
    }
  })()

  const canary: Canary = {
    async sings () {
      const before = messages
      while (messages < before + 2 && trouble === undefined) await pause(EVERY_MS)
      if (trouble !== undefined) throw new Error(trouble)
    },
    async stop () {
      stopping = true
      await running
      return { messages, worstMs: Math.round(worstMs), trouble }
    }
  }
  t.teardown(() => canary.stop())
  return canary
}

/** The canary has noticed nothing [G8]; says how it went. */
export async function noticedNothing (t: Test, canary: Canary): Promise<void> {
  await canary.sings().catch(() => {})
  const { messages, worstMs, trouble } = await canary.stop()
  t.comment(`canary: ${messages} messages, the slowest took ${worstMs} ms`)
  t.equal(trouble, undefined, 'the others have noticed nothing')
}
