/**
 * Whom a broken connection is held against (broker/session/poison.ts), played through with simulated links. A world
 * says what a link does with what is written: it proves it, or breaks, now or when it is old or has carried much.
 */
import t from 'tap'
import { silent, type ClientId, type Delivery, type Message, type PacketId } from '../../broker/index.ts'
import { CONTROL_ID, Suspects, type SuspectsOptions, type Trial, type TrialSink } from '../../broker/session/poison.ts'
import { createManualClock, type ManualClock } from '../helpers/manual-clock.ts'
import { createRandom } from '../helpers/random.ts'

const CLIENT = 'io:_:U1' as ClientId
const HOLD_MS = 1_000
const OVERHEAD_BYTES = 40

const limitsOf = (redeliveriesMax: number, trialHoldMs: number): SuspectsOptions['limits'] =>
  ({ redeliveriesMax, trialHoldMs, trialHoldMsMax: 600_000 })

interface Link {
  /** Breaks while this message is out. */
  readonly poison?: ReadonlySet<number>
  /** What it proves of a group with a message that breaks it: nothing (a polling response), or those before it. */
  readonly provesBefore?: boolean
  /** Breaks by itself at this age, or with this many bytes, whatever is written. */
  readonly ageMsMax?: number
  readonly bytesMax?: number
  /** Breaks by itself at this share of all writes. */
  readonly breaks?: () => boolean
  readonly rttMs?: number
}

class World {
  readonly clock = createManualClock(1_000_000)
  readonly suspects: Suspects
  /** Out of the session and unproven, in order; as the broker keeps it. */
  out: Delivery[] = []
  readonly handled: number[] = []
  readonly aside: Array<{ number: number, attempts: number }> = []
  connections = 0
  controls = 0
  writes = 0
  waitedMs = 0

  constructor (redeliveriesMax = 10) {
    this.suspects = new Suspects({ clock: this.clock, log: silent, limits: limitsOf(redeliveriesMax, HOLD_MS) })
  }

  publish (count: number, bytes = 100): void {
    for (let i = 0; i < count; i++) {
      const number = this.out.length + this.handled.length + this.aside.length
      const message = { topic: 't', payload: Buffer.alloc(bytes), id: String(number) } as unknown as Message
      this.out.push({ packetId: (number + 1) as PacketId, qos: 1, dup: false, retain: false, message })
    }
  }

  /** One connection, until it breaks or nothing is left. True if all was handled. */
  connect (link: Link): boolean {
    this.connections++
    const { clock } = this
    const startedAt = clock.now()
    let isOpen = true
    let carried = 0
    let trial: Trial | undefined
    const toWrite: Array<readonly Delivery[] | number> = []
    let unproven = 0
    const asides: Delivery[] = []
    const sink: TrialSink = {
      connection: {},
      write: (deliveries) => { toWrite.push(deliveries) },
      control: (bytes) => { this.controls++; toWrite.push(bytes) },
      setAside: (delivery, attempts) => {
        asides.push(delivery)
        this.aside.push({ number: numberOf(delivery), attempts })
      },
      over: () => { trial = undefined }
    }
    trial = this.suspects.trial(CLIENT, sink)
    const some = this.out.slice()
    if (some.length === 0) return true
    if (trial !== undefined) trial.take(some)
    else toWrite.push(some)
    const isTooOld = (): boolean => clock.now() - startedAt >= (link.ageMsMax ?? Infinity)
    const prove = (delivery: Delivery): void => {
      unproven--
      this.handled.push(numberOf(delivery))
      this.out.splice(this.out.indexOf(delivery), 1)
      trial?.proven(delivery.packetId)
    }
    for (let turns = 0; isOpen; turns++) {
      if (turns > 10_000) throw new Error('it does not end')
      const next = toWrite.shift()
      if (asides.length > 0) {
        for (const delivery of asides.splice(0)) {
          this.out.splice(this.out.indexOf(delivery), 1)
          trial!.setAside(true)
        }
        if (next === undefined) continue
      }
      if (next === undefined) {
        if (this.out.length === 0) return true
        const before = clock.now() // only a timer goes on from here
        clock.advance(100)
        this.waitedMs += clock.now() - before
        isOpen = !isTooOld()
        continue
      }
      const deliveries = typeof next === 'number' ? [] : next
      this.writes++
      for (const delivery of deliveries) (delivery as { dup: boolean }).dup = true
      unproven += deliveries.length
      carried += typeof next === 'number'
        ? next + OVERHEAD_BYTES
        : next.reduce((sum, { message }) => sum + message.payload.length + OVERHEAD_BYTES, 0)
      clock.advance(link.rttMs ?? 10)
      if (link.breaks?.() === true || isTooOld() || carried > (link.bytesMax ?? Infinity)) isOpen = false
      else if (typeof next === 'number') trial!.proven(CONTROL_ID)
      else {
        const at = deliveries.findIndex((one) => link.poison?.has(numberOf(one)))
        isOpen = at === -1
        for (const one of at === -1 ? deliveries : link.provesBefore === true ? deliveries.slice(0, at) : []) prove(one)
      }
    }
    if (trial !== undefined) trial.broke(false)
    else if (unproven > 0) this.suspects.broke(CLIENT, clock.now() - startedAt)
    return false
  }
}

function numberOf ({ message }: Delivery): number { return Number(message.id) }

/** The link holds for long enough. */
function holds (trial: Trial, clock: ManualClock): void {
  trial.proven(CONTROL_ID)
  clock.advance(600_000)
  trial.proven(CONTROL_ID)
}

function upTo (count: number, without: readonly number[] = []): number[] {
  return Array.from({ length: count }, (_, i) => i).filter((i) => !without.includes(i))
}

for (const provesBefore of [true, false]) {
  const how = provesBefore ? 'one by one' : 'as a whole'
  for (const poison of [[0], [5], [19], [3, 4, 12]]) {
    t.test(`poison at ${poison.join(', ')} of 20, proven ${how}: it alone is set aside, the rest in order`, async t => {
      const world = new World()
      world.publish(20)
      const link = { poison: new Set(poison), provesBefore }
      while (!world.connect(link)) if (world.connections > 100) t.fail('it goes on for ever')
      t.same(world.aside.map(({ number }) => number), poison)
      t.same(world.handled, upTo(20, poison), 'the rest is handled, in order [G3]')
      t.ok(world.aside.every(({ attempts }) => attempts >= 5), JSON.stringify(world.aside))
      t.equal(world.suspects.size, 0, 'nothing is remembered')
      t.comment(`${world.connections} connections, ${world.waitedMs} ms waited`)
    })
  }
}

t.test('a message is set aside after redeliveriesMax deliveries that broke the connection, not before', async t => {
  for (const redeliveriesMax of [2, 3, 10, 25]) {
    const world = new World(redeliveriesMax)
    world.publish(1)
    while (!world.connect({ poison: new Set([0]) })) t.ok(world.connections <= redeliveriesMax)
    t.same(world.aside, [{ number: 0, attempts: redeliveriesMax }])
    t.equal(world.connections, redeliveriesMax + 1)
  }
})

t.test('a proof ends the count: what breaks now and then is never set aside', async t => {
  const world = new World()
  for (let round = 0; round < 20; round++) {
    world.publish(1)
    const number = world.handled.length
    for (let i = 0; i < 9; i++) world.connect({ poison: new Set([number]) })
    t.ok(world.connect({}), 'it got through in the end')
  }
  t.same(world.aside, [])
  t.same(world.handled, upTo(20))
})

t.test('a link that dies after so many bytes, every time, has nothing set aside', async t => {
  for (const bytes of [10, 100, 1_000, 20_000]) {
    for (let bytesMax = 0; bytesMax <= 12 * (bytes + 300); bytesMax += Math.ceil(bytes / 3)) {
      const world = new World()
      world.publish(3, bytes)
      for (let i = 0; i < 400 && !world.connect({ bytesMax }); i++) ;
      if (world.aside.length > 0) t.fail(`message of ${bytes} bytes set aside, the link carries ${bytesMax}`)
    }
  }
  t.pass('at each size')
})

t.test('a link that dies at a certain age, every time, has nothing set aside', async t => {
  for (const rttMs of [10, 700, 5_000]) {
    for (let ageMsMax = 1; ageMsMax < 60_000; ageMsMax += Math.ceil(rttMs / 3)) {
      const world = new World()
      world.publish(3)
      for (let i = 0; i < 5; i++) world.connect({ ageMsMax: 1 })
      for (let i = 0; i < 60 && !world.connect({ ageMsMax, rttMs }); i++) ;
      if (world.aside.length > 0) t.fail(`set aside, the link lives for ${ageMsMax} ms`)
    }
  }
  t.pass('at each age')
})

t.test('a link that breaks at random has nothing set aside, and all gets through once it holds', async t => {
  for (let seed = 1; seed <= 200; seed++) {
    const random = createRandom(seed)
    const world = new World()
    world.publish(20)
    for (let i = 0; i < 400; i++) {
      world.connect(random.int(2) === 0 ? { ageMsMax: random.int(3_000) } : { bytesMax: random.int(5_000) })
    }
    world.connect({})
    if (world.aside.length > 0) t.fail(`seed ${seed}: ${JSON.stringify(world.aside)}`)
    t.same(world.handled, upTo(20), `seed ${seed}`)
  }
})

t.test('a link that breaks nearly always has nothing set aside, as it breaks without the message, too', async t => {
  for (let seed = 1; seed <= 200; seed++) {
    const random = createRandom(seed)
    const world = new World()
    world.publish(1)
    const percent = 30 + random.int(70)
    for (let i = 0; i < 400 && !world.connect({ breaks: () => random.int(100) < percent }); i++) ;
    if (world.aside.length > 0) t.fail(`seed ${seed}: set aside, ${percent} % of writes break the link`)
  }
  t.pass('at each share')
})

t.test('poison on a link that also breaks by itself is found all the same', async t => {
  for (let seed = 1; seed <= 50; seed++) {
    const random = createRandom(seed)
    const world = new World()
    world.publish(5)
    const poison = new Set([1])
    while (!world.connect(random.int(100) < 20 ? { poison, ageMsMax: random.int(5_000) } : { poison })) {
      if (world.connections > 1_000) { t.fail(`seed ${seed}: it goes on for ever`); break }
    }
    t.same(world.aside.map(({ number }) => number), [1], `seed ${seed}`)
    t.same(world.handled, [0, 2, 3, 4], `seed ${seed}`)
  }
})

t.test('a message that was never sent is not suspected of what others did', async t => {
  const world = new World()
  world.publish(1)
  for (let i = 0; i < 7; i++) world.connect({ poison: new Set([0]) })
  world.out = [] // its client knows where it was
  world.publish(1)
  const { controls } = world
  t.ok(world.connect({}))
  t.equal(world.controls, controls, 'it is delivered as usual')
  t.equal(world.suspects.size, 0)
})

t.test('a full window behind a sound message takes a few proofs, not one for each', async t => {
  const world = new World()
  world.publish(1_024)
  for (let i = 0; i < 5; i++) world.connect({ ageMsMax: 1 })
  const { writes } = world
  t.ok(world.connect({}))
  t.equal(world.writes - writes, 2 + 11, 'twice the sign of life, and 1, 1, 2, 4, ... messages')
})

t.test('a client that comes for a moment only is delivered as usual most of the time', async t => {
  const world = new World()
  world.publish(1)
  let usual = 0
  for (let i = 0; i < 60; i++) {
    const before = world.controls
    world.connect({ ageMsMax: 5 })
    if (world.controls === before) usual++
  }
  t.ok(usual >= 50, `${usual} of 60`)
  t.same(world.aside, [])
})

t.test('what the server or the client ends on purpose counts for nothing', async t => {
  const clock = createManualClock(0)
  const suspects = new Suspects({ clock, log: silent, limits: limitsOf(2, 1) })
  const message = { topic: 't', payload: Buffer.alloc(1) } as unknown as Message
  const delivery: Delivery = { packetId: 1 as PacketId, qos: 1, dup: true, retain: false, message }
  const asides: Delivery[] = []
  const sink = (): TrialSink =>
    ({ connection: {}, write () {}, control () {}, setAside: (one) => { asides.push(one) }, over () {} })
  suspects.broke(CLIENT, 0)
  for (let i = 0; i < 20; i++) {
    const trial = suspects.trial(CLIENT, sink())!
    trial.take([delivery])
    holds(trial, clock)
    trial.broke(true)
  }
  t.same(asides, [])
})

t.test('two namespaces on a connection take turns, so that one is not blamed for the other', async t => {
  const clock = createManualClock(0)
  const suspects = new Suspects({ clock, log: silent, limits: limitsOf(4, 1) })
  const written: string[] = []
  const controls: string[] = []
  const aside: string[] = []
  const deliveryOf = (topic: string): Delivery => ({
    packetId: 1 as PacketId, qos: 1, dup: true, retain: false,
    message: { topic, payload: Buffer.alloc(1) } as unknown as Message
  })
  const deliveries = { sound: deliveryOf('sound'), poison: deliveryOf('poison') }
  for (const name of ['sound', 'sound', 'poison', 'poison']) suspects.broke(name as ClientId, 0)
  for (let round = 0; round < 20 && aside.length === 0; round++) {
    const connection = {}
    const trials: Partial<Record<string, Trial>> = {}
    for (const name of ['sound', 'poison'] as const) {
      const trial = suspects.trial(name as unknown as ClientId, {
        connection,
        write: () => { written.push(name) },
        control: () => { controls.push(name) },
        setAside: () => { aside.push(name) },
        over: () => { delete trials[name] }
      })
      if (trial === undefined) continue
      trials[name] = trial
      trial.take([deliveries[name]])
    }
    t.ok(trials.poison, 'it is still suspected')
    if (trials.sound !== undefined) {
      t.same(controls.splice(0), ['sound'], 'the other waits')
      holds(trials.sound, clock)
      controls.length = 0
      trials.sound.proven(1 as PacketId)
      t.same(written.splice(0), ['sound'])
    }
    if (aside.length > 0) break
    t.same(controls.splice(0), ['poison'])
    holds(trials.poison!, clock)
    controls.length = 0
    t.same(written.splice(0), ['poison'])
    for (const trial of Object.values(trials)) trial?.broke(false)
  }
  t.same(aside, ['poison'])
})
