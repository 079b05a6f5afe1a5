import t from 'tap'
import { DoublePing, PINGS_OUTSTANDING_MAX } from '../../bridge/socketio/proof/double-ping.ts'
import { Evidence } from '../../bridge/socketio/proof/evidence.ts'

t.test('a delivery is proven by the pong of a ping that was sent after the pong of its own ping', async t => {
  const evidence = new Evidence<number>()
  const pings = new DoublePing(evidence)
  t.equal(pings.wantsPing, false, 'nothing to prove')
  evidence.delivered(1)
  evidence.delivered(2)
  t.equal(pings.wantsPing, true)
  pings.pinged()
  t.equal(pings.wantsPing, false, 'one ping for the batch')
  t.same(pings.answered(), [], 'the engine has it, the handlers may not have run')
  t.equal(pings.wantsPing, true, 'nothing else would confirm')
  pings.pinged()
  t.same(pings.answered(), [1, 2])
  t.equal(pings.wantsPing, false)
  t.equal(evidence.unproven, 0)
})

t.test('in a steady flow the ping of a later batch confirms the earlier one', async t => {
  const evidence = new Evidence<number>()
  const pings = new DoublePing(evidence)
  evidence.delivered(1)
  pings.pinged()
  evidence.delivered(2)
  pings.pinged()
  t.same(pings.answered(), [], 'the pong of 1')
  t.equal(pings.wantsPing, false, 'the second ping is still under way')
  evidence.delivered(3)
  pings.pinged()
  t.same(pings.answered(), [], 'the pong of 2 answers a ping that was sent before the pong of 1')
  t.same(pings.answered(), [1], 'the pong of 3 answers one that was sent after it')
  t.equal(pings.wantsPing, true)
  pings.pinged()
  t.same(pings.answered(), [2, 3])
})

t.test('regular heartbeats take part like any other ping', async t => {
  const evidence = new Evidence<number>()
  const pings = new DoublePing(evidence)
  pings.pinged()
  t.same(pings.answered(), [])
  evidence.delivered(1)
  pings.pinged()
  pings.pinged()
  t.same(pings.answered(), [])
  t.same(pings.answered(), [])
  pings.pinged()
  t.same(pings.answered(), [1])
})

t.test('a pong without a ping is no proof of anything', async t => {
  const evidence = new Evidence<number>()
  const pings = new DoublePing(evidence)
  evidence.delivered(1)
  t.equal(pings.answered(), undefined)
  pings.pinged()
  pings.answered()
  t.equal(pings.answered(), undefined)
})

t.test('pings under way are bounded [G6]', async t => {
  const evidence = new Evidence<number>()
  const pings = new DoublePing(evidence)
  for (let n = 0; n < PINGS_OUTSTANDING_MAX; n++) {
    evidence.delivered(n)
    t.equal(pings.wantsPing, true)
    pings.pinged()
  }
  evidence.delivered(99)
  t.equal(pings.wantsPing, false)
  pings.answered()
  t.equal(pings.wantsPing, true)
})

/**
 * A client whose engine reads packets one by one, answers pings while it reads, and runs handlers at the end of the
 * turn of its event loop. Every pong reaches the server before that turn ends; the client may be killed right there.
 */
function run (random: () => number): { proven: number[], handled: number[] } {
  const evidence = new Evidence<number>()
  const pings = new DoublePing(evidence)
  const down: Array<number | 'ping'> = []
  const waiting: number[] = []
  const handled: number[] = []
  const proven: number[] = []
  let sent = 0
  const ping = (): void => { pings.pinged(); down.push('ping') }
  for (let turn = 0; turn < 1 + random() * 30; turn++) {
    for (let n = random() * 5; n > 0; n--) {
      evidence.delivered(sent)
      down.push(sent++)
      if (random() < 0.3 && pings.wantsPing) ping()
    }
    if (pings.wantsPing) ping()
    // The turn: only what is on the wire now can be read in it; a ping sent after its pongs comes in a later turn.
    let pongs = 0
    for (let n = Math.ceil(random() * down.length); n > 0; n--) {
      const packet = down.shift()!
      if (packet === 'ping') pongs++
      else waiting.push(packet)
    }
    for (; pongs > 0; pongs--) {
      proven.push(...pings.answered()!)
      if (pings.wantsPing) ping()
    }
    if (proven.some(mark => waiting.includes(mark))) break // false proof if the client died right here
    handled.push(...waiting.splice(0))
  }
  return { proven, handled }
}

function seeded (seed: number): () => number {
  return () => {
    seed = (seed * 1_664_525 + 1_013_904_223) >>> 0
    return seed / 2 ** 32
  }
}

t.test('a receipt is never false and comes in order, whenever the client dies [G2]', async t => {
  let proofs = 0
  for (let seed = 1; seed <= 2_000; seed++) {
    const { proven, handled } = run(seeded(seed))
    proofs += proven.length
    if (proven.some((mark, index) => mark !== index)) t.fail(`seed ${seed}: not in order: ${proven}`)
    if (proven.length > handled.length) t.fail(`seed ${seed}: ${proven.length} proven, ${handled.length} handled`)
  }
  t.ok(proofs > 10_000, `${proofs} proofs seen`)
})
