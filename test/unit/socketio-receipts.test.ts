import t from 'tap'
import { PINGS_OUTSTANDING_MAX, Receipts } from '../../bridge/socketio/receipts.ts'

t.test('a delivery is proven by the pong of a ping that was sent after the pong of its own ping', async t => {
  const receipts = new Receipts<number>()
  t.equal(receipts.wantsPing, false, 'nothing to prove')
  receipts.delivered(1)
  receipts.delivered(2)
  t.equal(receipts.wantsPing, true)
  receipts.pinged()
  t.equal(receipts.wantsPing, false, 'one ping for the batch')
  t.same(receipts.answered(), [], 'the engine has it, the handlers may not have run')
  t.equal(receipts.wantsPing, true, 'nothing else would confirm')
  receipts.pinged()
  t.same(receipts.answered(), [1, 2])
  t.equal(receipts.wantsPing, false)
  t.equal(receipts.unproven, 0)
})

t.test('in a steady flow the ping of a later batch confirms the earlier one', async t => {
  const receipts = new Receipts<number>()
  receipts.delivered(1)
  receipts.pinged()
  receipts.delivered(2)
  receipts.pinged()
  t.same(receipts.answered(), [], 'the pong of 1')
  t.equal(receipts.wantsPing, false, 'the second ping is still under way')
  receipts.delivered(3)
  receipts.pinged()
  t.same(receipts.answered(), [], 'the pong of 2 answers a ping that was sent before the pong of 1')
  t.same(receipts.answered(), [1], 'the pong of 3 answers one that was sent after it')
  t.equal(receipts.wantsPing, true)
  receipts.pinged()
  t.same(receipts.answered(), [2, 3])
})

t.test('regular heartbeats take part like any other ping', async t => {
  const receipts = new Receipts<number>()
  receipts.pinged()
  t.same(receipts.answered(), [])
  receipts.delivered(1)
  receipts.pinged()
  receipts.pinged()
  t.same(receipts.answered(), [])
  t.same(receipts.answered(), [])
  receipts.pinged()
  t.same(receipts.answered(), [1])
})

t.test('a pong without a ping is no proof of anything', async t => {
  const receipts = new Receipts<number>()
  receipts.delivered(1)
  t.equal(receipts.answered(), undefined)
  receipts.pinged()
  receipts.answered()
  t.equal(receipts.answered(), undefined)
})

t.test('pings under way are bounded [G6]', async t => {
  const receipts = new Receipts<number>()
  for (let n = 0; n < PINGS_OUTSTANDING_MAX; n++) {
    receipts.delivered(n)
    t.equal(receipts.wantsPing, true)
    receipts.pinged()
  }
  receipts.delivered(99)
  t.equal(receipts.wantsPing, false)
  receipts.answered()
  t.equal(receipts.wantsPing, true)
})

/**
 * A client whose engine reads packets one by one, answers pings while it reads, and runs handlers at the end of the
 * turn of its event loop. Every pong reaches the server before that turn ends; the client may be killed right there.
 */
function run (random: () => number): { proven: number[], handled: number[] } {
  const receipts = new Receipts<number>()
  const down: Array<number | 'ping'> = []
  const waiting: number[] = []
  const handled: number[] = []
  const proven: number[] = []
  let sent = 0
  const ping = (): void => { receipts.pinged(); down.push('ping') }
  for (let turn = 0; turn < 1 + random() * 30; turn++) {
    for (let n = random() * 5; n > 0; n--) {
      receipts.delivered(sent)
      down.push(sent++)
      if (random() < 0.3 && receipts.wantsPing) ping()
    }
    if (receipts.wantsPing) ping()
    // The turn: only what is on the wire now can be read in it; a ping sent after its pongs comes in a later turn.
    let pongs = 0
    for (let n = Math.ceil(random() * down.length); n > 0; n--) {
      const packet = down.shift()!
      if (packet === 'ping') pongs++
      else waiting.push(packet)
    }
    for (; pongs > 0; pongs--) {
      proven.push(...receipts.answered()!)
      if (receipts.wantsPing) ping()
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
