/**
 * What a trial holds back (broker/session/poison.ts) and how long a client may leave a message unacknowledged
 * (broker/sessions/sweeper.ts): a link on trial over a real broker, whose client proves what is written when it
 * is told to.
 */
import t from 'tap'
import type { Test } from 'tap'
import { CONTROL_ID, Suspects, type Trial } from '../../broker/session/poison.ts'
import { silent, type PacketId, type TimeMs } from '../../broker/index.ts'
import type { Delivery } from '../../broker/session/link.ts'
import type { Session } from '../../broker/session/session.ts'
import { createMemoryStore } from '../../broker/store/memory.ts'
import { numbers, Server, TestLink } from '../conformance/session-words.ts'

const ACK_TIMEOUT_MS = 10_000
const HOLD_MS = 15_000

/** Hands on what its trial lets through. */
class TrialLink extends TestLink {
  /** Written and not proven, write by write. */
  readonly written: Array<readonly PacketId[]> = []
  #trial: Trial | undefined

  constructor (server: Server, suspects: Suspects, { clientId }: Session) {
    super()
    this.#trial = suspects.trial(clientId, {
      connection: this,
      write: deliveries => {
        super.deliver(deliveries)
        this.written.push(deliveries.map(({ packetId }) => packetId))
      },
      control: () => { this.written.push([CONTROL_ID]) },
      setAside () { throw new Error('nothing here is poison') },
      over: () => {
        this.#trial = undefined
        server.clock.after(0, () => this.attachment!.drained())
      }
    })
  }

  get isOnTrial (): boolean { return this.#trial !== undefined }
  get waitingSince (): TimeMs | undefined { return this.#trial?.waitingSince }
  override deliver (deliveries: readonly Delivery[]): void { this.#trial!.take(deliveries) }

  /** The client has handled what was written first. */
  prove (): void {
    for (const packetId of this.written.shift()!) {
      if (packetId !== CONTROL_ID) this.ack(packetId)
      this.#trial?.proven(packetId)
    }
  }
}

/** A session whose first connection broke with `count` messages, and its second one. */
async function onTrial (t: Test, count: number): Promise<{ server: Server, link: TrialLink }> {
  const store = createMemoryStore()
  const server = await Server.start(t, { create: () => store, crash () {} }, { ackTimeoutMs: ACK_TIMEOUT_MS })
  const limits = { redeliveriesMax: 2, trialHoldMs: HOLD_MS, trialHoldMsMax: 600_000 }
  const suspects = new Suspects({ clock: server.clock, log: silent, limits })
  const { session, link: first } = await server.follower('a', { t: 1 })
  await server.publishMany('t', 0, count)
  first.detach()
  suspects.broke(session.clientId, 0)
  const again = await server.session('a')
  const link = new TrialLink(server, suspects, again)
  link.attachment = server.broker.attach(again, link)
  await server.quiet()
  t.same(link.written, [[CONTROL_ID]], 'the sign of life comes first')
  return { server, link }
}

t.test('[G2] a client that proves each write in time is not cut for what its trial holds back', async t => {
  const { server, link } = await onTrial(t, 31)
  for (let steps = 0; link.isOnTrial && link.closed === undefined && steps < 30; steps++) {
    await server.pass(ACK_TIMEOUT_MS - 2_000)
    if (link.written.length > 0) link.prove()
    await server.quiet()
  }
  t.equal(link.closed, undefined)
  t.same(link.got, numbers(0, 31), 'all on one connection, in order')
})

t.test('[G8] a client that leaves the sign of life of a trial unproven for ackTimeoutMs is cut', async t => {
  const { server, link } = await onTrial(t, 2)
  await server.pass(ACK_TIMEOUT_MS - 1_000)
  t.equal(link.closed, undefined)
  await server.pass(2_000)
  t.equal(link.closed, 'stalled')
})

t.test('[G8] a client that leaves a message on trial unproven for ackTimeoutMs is cut, counted from its write',
  async t => {
    const { server, link } = await onTrial(t, 2)
    link.prove()
    await server.pass(HOLD_MS)
    t.same([link.closed, link.written], [undefined, [[CONTROL_ID]]], 'the trial waits, and nothing else does')
    link.prove()
    await server.quiet()
    t.same(link.got, ['0'])
    await server.pass(ACK_TIMEOUT_MS - 1_000)
    t.equal(link.closed, undefined)
    await server.pass(2_000)
    t.equal(link.closed, 'stalled')
  })
