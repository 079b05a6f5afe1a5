import t from 'tap'
import { DoublePing, PINGS_OUTSTANDING_MAX } from '../../bridge/socketio/proof/double-ping.ts'
import { Evidence } from '../../bridge/socketio/proof/evidence.ts'
import { HeartbeatEcho } from '../../bridge/socketio/proof/heartbeat-echo.ts'
import { NextPoll } from '../../bridge/socketio/proof/next-poll.ts'
import { TransportPing } from '../../bridge/socketio/proof/transport-ping.ts'

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

t.test('a message that only has to arrive is proven by the first answer, and out of turn', async t => {
  const evidence = new Evidence<number>()
  const pings = new DoublePing(evidence)
  evidence.delivered(1, 'handled')
  evidence.delivered(2, 'received')
  evidence.delivered(3, 'handled')
  t.equal(evidence.unarrived, 3)
  pings.pinged()
  evidence.delivered(4, 'received')
  t.same(pings.answered(), [2])
  t.equal(evidence.unarrived, 1)
  pings.pinged()
  t.same(pings.answered(), [1, 3, 4])
  t.equal(pings.wantsPing, false, 'nothing waits')
  evidence.delivered(5, 'received')
  pings.pinged()
  t.same(pings.answered(), [5])
  t.equal(pings.wantsPing, false, 'what only had to arrive needs no second ping')
  t.equal(evidence.unproven, 0)
})

t.test('version 2, polling: the next poll says that a response has arrived, a heartbeat later that it was handled',
  async t => {
    const evidence = new Evidence<number>()
    const poll = new NextPoll(evidence)
    const echo = new HeartbeatEcho(evidence)
    t.same(poll.polled(), [], 'the first one answers nothing')
    poll.responding()
    poll.delivering(true)
    evidence.delivered(1)
    echo.ponged()
    poll.delivering(false)
    evidence.delivered(2)
    t.same(poll.polled(), [], '1 has arrived, 2 waits for the next response')
    t.equal(evidence.unarrived, 1)
    t.same(echo.pinged(), [], 'the answer to the heartbeat before was in the response with 1')
    echo.ponged()
    poll.responding()
    t.same(poll.polled(), [], 'however often it polls')
    t.equal(evidence.unarrived, 0)
    t.same(echo.pinged(), [1])
    echo.ponged()
    poll.responding()
    t.same(poll.polled(), [])
    t.same(echo.pinged(), [2])
    t.same(poll.polled(), [], 'a poll that follows no response answers nothing')
  })

t.test('version 3 and 4, polling: the next poll says that the response has arrived, a ping that it was handled',
  async t => {
    const evidence = new Evidence<number>()
    const poll = new NextPoll(evidence)
    const pings = new DoublePing(evidence)
    poll.responding()
    poll.delivering(true)
    evidence.delivered(1)
    t.equal(pings.wantsSecond, false, 'nothing has arrived')
    t.same(poll.polled(), [])
    t.equal(evidence.unarrived, 0)
    t.equal(pings.wantsSecond, true)
    pings.pinged()
    t.equal(pings.wantsSecond, false)
    poll.responding()
    t.same(poll.polled(), [], 'the response with the ping; its pong takes another way, behind what the client said')
    t.same(pings.answered(), [1])
  })

t.test('the upgrade answers the last response, and the pings go on across it', async t => {
  const evidence = new Evidence<number>()
  const poll = new NextPoll(evidence)
  const pings = new DoublePing(evidence)
  evidence.delivered(1)
  pings.pinged()
  poll.responding()
  poll.delivering(true)
  evidence.delivered(2)
  t.same(poll.polled(), [], 'the upgrade')
  t.equal(evidence.unarrived, 0)
  evidence.delivered(3)
  pings.pinged()
  t.same(pings.answered(), [], 'of the ping in the response')
  t.same(pings.answered(), [1, 2])
  pings.pinged()
  t.same(pings.answered(), [3])
})

t.test('version 2: what the WebSocket took is handled when a heartbeat follows the answer to a later one', async t => {
  const evidence = new Evidence<number>()
  const echo = new HeartbeatEcho(evidence)
  const pings = new TransportPing(evidence)
  evidence.delivered(1)
  t.equal(pings.wantsPing, true)
  const payload = pings.pinged()
  t.equal(pings.wantsPing, false, 'one at a time')
  evidence.delivered(2)
  t.same(echo.pinged(), [])
  echo.ponged()
  t.same(pings.answered('0'), [], 'a pong that was not asked for')
  t.equal(evidence.unarrived, 2)
  t.same(pings.answered(payload), [])
  t.equal(evidence.unarrived, 1)
  t.same(echo.pinged(), [], '1 had not arrived when the answer went out')
  echo.ponged()
  t.same(echo.pinged(), [1])
  echo.ponged()
  t.same(echo.pinged(), [], 'the WebSocket has not taken 2, whatever a client says that pings by the clock')
  t.same(pings.answered(payload), [], 'an old pong')
  t.equal(pings.wantsPing, true)
  t.same(pings.answered(pings.pinged()), [])
  evidence.delivered(3)
  t.same(pings.answered(pings.pinged()), [], 'however often the WebSocket answers')
  echo.ponged()
  t.same(echo.pinged(), [2, 3])
})

t.test('version 2, fast: what only has to arrive is proven by the pong of the WebSocket', async t => {
  const evidence = new Evidence<number>()
  const pings = new TransportPing(evidence)
  evidence.delivered(1, 'received')
  const first = pings.pinged()
  evidence.delivered(2, 'received')
  t.same(pings.answered(first), [1])
  t.same(pings.answered(pings.pinged()), [2])
  t.equal(pings.wantsPing, false)
})

t.test('answers in any order prove what each of them proves', async t => {
  const evidence = new Evidence<number>()
  evidence.delivered(1)
  const first = evidence.probe()
  evidence.delivered(2, 'received')
  evidence.delivered(20)
  const second = evidence.probe()
  t.same(evidence.answered(second), [2])
  t.same(evidence.answered(first), [])
  t.equal(evidence.unarrived, 0, 'what has arrived stays so')
  evidence.delivered(3)
  const third = evidence.probe()
  t.same(evidence.confirmed(third), [1, 20])
  t.same(evidence.confirmed(second), [])
  t.same(evidence.answered(third), [], '3 had not arrived when the third was sent')
  t.equal(evidence.unproven, 1)
  t.same(evidence.answered(evidence.probe()), [3])
})

type Other = 'half' | 'ping' | 'pong'
interface Run { readonly proven: number[], readonly handled: number[] }

/**
 * A client whose engine reads packets one by one, answers pings while it reads, and runs handlers at the end of the
 * turn of its event loop. Every pong reaches the server before that turn ends; the client may be killed right there.
 */
function runPings (random: () => number): Run {
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

/**
 * A client that polls: in one turn its engine reads a response, answers pings and polls again, its handlers run at the
 * end of it. Some messages are of several packets, of which the first may be the whole response. Now and then it
 * upgrades. One of version 2 sends a heartbeat in a turn after the answer to the last one; now and then it leaves, and
 * polls on while its word is on the way.
 */
function runPolls (isVersion2: boolean, random: () => number): Run {
  const evidence = new Evidence<number>()
  const pings = new DoublePing(evidence)
  const echo = new HeartbeatEcho(evidence)
  const down: Array<Array<number | Other>> = [] // on the way: responses, or frames
  const handled: number[] = []
  const proven: number[] = []
  let poll: NextPoll<number> | undefined = new NextPoll(evidence)
  let buffer: Array<number | Other> = []
  let isPolling = true
  let mayBeat = isVersion2
  let hasLeft = false
  let sent = 0
  const flush = (): void => {
    if (buffer.length === 0 || (poll !== undefined && !isPolling)) return
    down.push(buffer)
    buffer = []
    if (poll === undefined) return
    poll.responding()
    isPolling = false
  }
  const write = (packet: number | Other): void => {
    buffer.push(packet)
    flush()
  }
  const ask = (): void => {
    if (isVersion2 || !(poll === undefined ? pings.wantsPing : pings.wantsSecond)) return
    pings.pinged()
    write('ping')
  }
  for (let turn = 0; turn < 1 + random() * (isVersion2 ? 80 : 40); turn++) {
    for (let n = random() * 4; n > 1; n--) {
      if (random() < 0.3) write('half')
      write(sent)
      poll?.delivering(buffer.length === 0)
      evidence.delivered(sent++)
    }
    ask()
    if (mayBeat && !hasLeft && random() < 0.5) {
      mayBeat = false
      proven.push(...echo.pinged())
      echo.ponged()
      write('pong')
    }
    const waiting: number[] = []
    for (let n = down.length; n > 0 && random() < 0.9; n--) {
      for (const packet of down.shift()!) {
        if (packet === 'ping') proven.push(...pings.answered()!)
        else if (packet === 'pong') mayBeat = true
        else if (packet !== 'half') waiting.push(packet)
      }
      if (poll === undefined) continue
      proven.push(...poll.polled()) // the next poll, or the upgrade, comes while the handlers wait
      if (!isVersion2 && random() < 0.1) poll = undefined
      else isPolling = true
      flush()
    }
    if (proven.some(mark => waiting.includes(mark))) break
    if (isVersion2 && random() < 0.02) hasLeft = true
    if (!hasLeft) handled.push(...waiting)
  }
  return { proven, handled }
}

function seeded (seed: number): () => number {
  return () => {
    seed = (seed * 1_664_525 + 1_013_904_223) >>> 0
    return seed / 2 ** 32
  }
}

const RUNS = {
  'double ping': runPings,
  'next poll with heartbeats': (random: () => number) => runPolls(true, random),
  'next poll with pings': (random: () => number) => runPolls(false, random)
}
for (const [name, run] of Object.entries(RUNS)) {
  t.test(`a receipt is never false and comes in order, whenever the client dies: ${name} [G2]`, async t => {
    let proofs = 0
    const wrong: string[] = []
    for (let seed = 1; seed <= 2_000; seed++) {
      const { proven, handled } = run(seeded(seed))
      proofs += proven.length
      if (proven.some((mark, index) => mark !== index)) wrong.push(`seed ${seed}: not in order: ${proven}`)
      if (proven.length > handled.length) wrong.push(`seed ${seed}: ${proven.length} of ${handled.length} handled`)
    }
    t.same(wrong.slice(0, 5), [])
    t.ok(proofs > 10_000, `${proofs} proofs seen`)
  })
}

t.test('version 2, polling without t: the heartbeat after an answer that stood behind all says that all is handled',
  async t => {
    const evidence = new Evidence<number>()
    const echo = new HeartbeatEcho(evidence)
    evidence.delivered(1)
    echo.ponged()
    evidence.delivered(2, 'received')
    echo.ponged(true)
    evidence.delivered(3)
    t.same(echo.pinged(), [1, 2], '3 came behind')
    t.same(echo.pinged(), [], 'no answer was between')
    echo.ponged(true)
    t.same(echo.pinged(), [3])
    t.equal(evidence.unproven, 0)
  })
