/** Whose turn it is. The event loop is here a list of what was deferred, and a unit of work an entry in a list. */
import t from 'tap'
import { ROUND_UNITS, Turns, type Turn } from '../../broker/system/turns.ts'

interface Scene {
  readonly turns: Turns
  /** Whose unit of work was done, in order; `|` ends a turn of the event loop. */
  readonly done: string[]
  /** The next turn of the event loop; false where nothing is due. */
  next (): boolean
}

function begin (): Scene {
  const due: Array<() => void> = []
  const done: string[] = []
  return {
    done,
    turns: new Turns(next => { due.push(next) }),
    next () {
      done.push('|')
      const all = due.splice(0)
      for (const work of all) work()
      return all.length > 0
    }
  }
}

/** A connection with so many packets, each of `units`. */
function sender ({ turns, done }: Scene, name: string, packets: number, units = 1): Turn & { packets: number } {
  const turn: Turn = turns.turn({ take: () => {
    while (turn.left > 0 && sending.packets > 0) {
      sending.packets--
      turn.left -= units
      done.push(name)
    }
    return sending.packets > 0
  } })
  const sending = Object.assign(turn, { packets })
  return sending
}

/** How much was done before the first of this one. */
const before = (done: readonly string[], name: string): number =>
  done.slice(0, done.indexOf(name)).filter(entry => entry !== '|').length

t.test('[G8] one that speaks once comes before all that flood, however many they are', async t => {
  for (const flooders of [1, 8, 32, 1_000]) {
    const scene = begin()
    for (let i = 0; i < flooders; i++) sender(scene, 'flood', 100_000).ask()
    for (let i = 0; i < 5; i++) scene.next()
    scene.done.length = 0
    const other = sender(scene, 'other', 1)
    for (let i = 0; i < 20; i++) { // and again and again
      other.packets = 1
      other.ask()
      scene.next()
      t.ok(before(scene.done, 'other') <= ROUND_UNITS, `${flooders} flooders: within a round`)
      scene.done.length = 0
    }
  }
})

t.test('[G8] a round of all connections together is bounded', async t => {
  const scene = begin()
  for (let i = 0; i < 100; i++) sender(scene, 'flood', 10_000).ask()
  for (let i = 0; i < 300; i++) sender(scene, 'some', 7).ask()
  for (let i = 0; i < 50; i++) {
    scene.done.length = 0
    scene.next()
    t.ok(scene.done.length - 1 < 2 * ROUND_UNITS, `${scene.done.length - 1} units`)
  }
})

t.test('[G8] those that flood share by what their packets cost, and nobody waits for ever', async t => {
  const scene = begin()
  for (const [name, units] of [['light', 1], ['heavy', 16], ['huge', 5_000]] as const) {
    sender(scene, name, 1_000_000, units).ask()
  }
  for (let i = 0; i < 2_000; i++) scene.next()
  const units = (name: string, each: number): number => scene.done.filter(entry => entry === name).length * each
  const shares = [units('light', 1), units('heavy', 16), units('huge', 5_000)]
  t.ok(Math.max(...shares) - Math.min(...shares) <= 5_000 + 2 * ROUND_UNITS, shares.join(' '))
})

t.test('all of it is taken, and then nothing is due', async t => {
  const scene = begin()
  const all = Array.from({ length: 7 }, (_, i) => sender(scene, `${i}`, 1_000))
  for (const one of all) one.ask()
  while (scene.next());
  t.same(all.map(({ packets }) => packets), all.map(() => 0))
  all[3].packets = 5
  all[3].ask()
  t.equal(all[3].packets, 0, 'at once, as nobody waits')
})

t.test('[G8] what was done outside of its turn moves the next one back as well', async t => {
  const scene = begin()
  const [busy, other] = [sender(scene, 'busy', 10_000), sender(scene, 'other', 10_000)]
  busy.ask()
  other.ask()
  busy.charge(20 * ROUND_UNITS)
  for (let i = 0; i < 10; i++) scene.next()
  scene.done.length = 0
  for (let i = 0; i < 5; i++) scene.next()
  t.equal(scene.done.includes('busy'), false)
  t.ok(scene.done.includes('other'))
})

t.test('one that is stopped in its turn has used only what it took', async t => {
  const scene = begin()
  const turn: Turn = scene.turns.turn({ take: () => {
    turn.left -= 3
    turn.stop()
    return false
  } })
  turn.ask()
  t.equal(turn.end - turn.start, 3)
})

t.test('who asks from within somebody\'s turn has a turn of its own, and none is had twice', async t => {
  const scene = begin()
  const inner = sender(scene, 'inner', 3)
  const outer: Turn = scene.turns.turn({ take: () => {
    inner.ask()
    outer.ask()
    scene.done.push('outer')
    outer.left--
    return false
  } })
  outer.ask()
  t.same(scene.done, ['outer', 'inner', 'inner', 'inner'])
  inner.packets = 1
  inner.askLater()
  inner.askLater()
  t.equal(inner.packets, 1)
  scene.next()
  t.same(scene.done.slice(4), ['|', 'inner'])
})

t.test('one that throws keeps nobody from having a turn', async t => {
  const scene = begin()
  const broken = scene.turns.turn({ take: () => { throw new Error('broken') } })
  const other = sender(scene, 'other', 2 * ROUND_UNITS)
  other.ask()
  t.throws(() => {
    broken.askLater()
    scene.next()
  }, { message: 'broken' })
  scene.next()
  scene.next()
  t.equal(other.packets, 0)
})
