/**
 * Whom a broken connection is held against (broker/session/poison.ts) where a transport has no event that nobody
 * listens for, as MQTT: only time, and what else was written, tell a message from its link.
 */
import t from 'tap'
import { silent, type ClientId, type Delivery, type Message, type PacketId } from '../../broker/index.ts'
import { CONTROL_ID, Suspects, type Trial } from '../../broker/session/poison.ts'
import { createManualClock } from '../helpers/manual-clock.ts'
import { createRandom } from '../helpers/random.ts'

const CLIENT = 'device' as ClientId
const STEP_MS = 50
const CONNECTIONS = 60

interface Client {
  /** It is gone at this age, whatever it gets. */
  readonly ageMs?: number
  /** It is gone so long after it got the message. */
  readonly afterMs?: number
  /** It had to be answered meanwhile. */
  readonly asks?: boolean
}

/** One connection after the other, each with the same message, never acknowledged. Undefined: it is not set aside. */
function attempts (redeliveriesMax: number, client: (connection: number) => Client): number | undefined {
  const clock = createManualClock(1_000_000)
  const suspects = new Suspects(
    { clock, log: silent, limits: { redeliveriesMax, trialHoldMs: 1_000, trialHoldMsMax: 600_000 } })
  const message = { topic: 't', payload: Buffer.alloc(10) } as unknown as Message
  const delivery: Delivery = { packetId: 1 as PacketId, qos: 1, dup: true, retain: false, message }
  let found: number | undefined
  for (let connection = 0; connection < CONNECTIONS && found === undefined; connection++) {
    const { ageMs = Infinity, afterMs = Infinity, asks = false } = client(connection)
    const startedAt = clock.now()
    let writtenAt = Infinity
    let controls = 0
    let writes = 0
    const write = (): void => {
      writes++
      writtenAt = clock.now()
    }
    const trial: Trial | undefined = suspects.trial(CLIENT, {
      connection: {},
      get writes () { return writes },
      write,
      control () { controls++ },
      setAside: (_delivery, attempts) => { found = attempts },
      over () {}
    })
    if (trial === undefined) write()
    else trial.take([delivery])
    while (clock.now() - startedAt < ageMs && clock.now() - writtenAt < afterMs && found === undefined) {
      if (controls > 0) {
        controls = 0
        trial!.proven(CONTROL_ID)
      }
      clock.advance(STEP_MS)
      if (asks && clock.now() > writtenAt) writes++
    }
    if (trial === undefined) suspects.broke(CLIENT, clock.now() - writtenAt)
    else trial.broke(false)
  }
  return found
}

for (const redeliveriesMax of [2, 10]) {
  t.test(`[G5] redeliveriesMax ${redeliveriesMax}: a device that goes when it gets a message loses it`, async t => {
    for (const afterMs of [STEP_MS, 1_000, 5_000, 90_000]) {
      const tries = attempts(redeliveriesMax, () => ({ afterMs }))
      t.ok(tries !== undefined && tries >= redeliveriesMax && tries <= redeliveriesMax + 2,
        `gone ${afterMs} ms after it: ${tries} tries`)
    }
    t.ok(attempts(redeliveriesMax, () => ({ afterMs: STEP_MS, asks: true })), 'at once, and chatty')
  })

  t.test(`[G2] redeliveriesMax ${redeliveriesMax}: a client that is never there for long loses nothing`, async t => {
    for (let ageMs = STEP_MS; ageMs < 1_300_000; ageMs = Math.ceil(ageMs * 1.3)) {
      t.equal(attempts(redeliveriesMax, () => ({ ageMs })), undefined, `there for ${ageMs} ms`)
    }
  })

  t.test(`[G2] redeliveriesMax ${redeliveriesMax}: a link that loses large packets loses no message`, async t => {
    for (let afterMs = 600; afterMs < 400_000; afterMs = Math.ceil(afterMs * 1.5)) {
      t.equal(attempts(redeliveriesMax, () => ({ afterMs, asks: true })), undefined, `given up after ${afterMs} ms`)
    }
  })
}

t.test('[G2] a client that is there for a while, each time another, loses nothing', async t => {
  for (let seed = 1; seed <= 100; seed++) {
    const random = createRandom(seed)
    t.equal(attempts(10, () => ({ ageMs: STEP_MS + random.int(20_000) })), undefined, `seed ${seed}`)
  }
})

t.test('[G5] a message that ends most connections is found between others that end by themselves', async t => {
  t.ok(attempts(4, (connection) => connection % 5 === 4 ? { ageMs: 700 } : { afterMs: STEP_MS }))
})
