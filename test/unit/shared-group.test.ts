/** Who of a group gets what, and what becomes of it when they go. */
import t from 'tap'
import { Group } from '../../broker/shared/group.ts'
import { chooseSeed, createRandom } from '../helpers/random.ts'

const always = (): boolean => true

function groupOf (...members: string[]): Group<string, number> {
  const group = new Group<string, number>()
  for (const member of members) group.join(member)
  return group
}

/** Hands out all that can go, as `member:delivery`, with a ! where it may have been sent before. */
function handOut (group: Group<string, number>, hasRoom: (member: string) => boolean = always): string[] {
  const words: string[] = []
  for (let turn = group.next(hasRoom); turn !== undefined; turn = group.next(hasRoom)) {
    words.push(`${turn.member}:${turn.delivery}${turn.isRepeated ? '!' : ''}`)
  }
  return words
}

t.test('each delivery goes to one member, and members take turns', async t => {
  const group = groupOf('a', 'b', 'c')
  for (let i = 1; i <= 5; i++) group.add(i)
  t.same(handOut(group), ['a:1', 'b:2', 'c:3', 'a:4', 'b:5'])
})

t.test('[G8] a member without room is passed over, and is next when it has room', async t => {
  const group = groupOf('a', 'b')
  for (let i = 1; i <= 3; i++) group.add(i)
  t.same(handOut(group, member => member !== 'a'), ['b:1', 'b:2', 'b:3'])
  group.add(4)
  t.same(handOut(group), ['a:4'])
})

t.test('[G2] [G4] what a member had when it went goes to another one, first, marked as sent before', async t => {
  const group = groupOf('a', 'b')
  for (let i = 1; i <= 4; i++) group.add(i)
  handOut(group)
  group.add(5)
  t.ok(group.settle(1))
  t.equal(group.leave('a'), 1)
  t.same(handOut(group), ['b:3!', 'b:5'])
  t.notOk(group.settle(1), 'what is settled is not out')
})

t.test('[G2] all are gone: it waits for the next one', async t => {
  const group = groupOf('a')
  group.add(1)
  handOut(group)
  group.leave('a')
  group.add(2)
  t.same(handOut(group), [])
  t.equal(group.waiting, 2)
  group.join('b')
  t.same(handOut(group), ['b:1!', 'b:2'])
})

t.test('what was not written to a member goes to another as if nobody had had it', async t => {
  const group = groupOf('a', 'b')
  group.add(1)
  handOut(group)
  group.takeBack([1])
  t.equal(group.leave('a'), 0)
  t.same(handOut(group), ['b:1'])
})

t.test('[G2] [G3] whatever comes and goes: each is settled once, or out at one member, or waits', async t => {
  const random = createRandom(chooseSeed())
  t.comment(`seed ${random.seed}`)
  for (let world = 0; world < 50; world++) {
    const group = new Group<string, number>()
    const members = new Map<string, number[]>() // what each has been given and not acknowledged
    const full = new Set<string>()
    const settled = new Set<number>()
    const touched = new Set<number>() // was at a member that went
    let added = 0
    for (let step = 0; step < 400; step++) {
      const act = random.int(7)
      const names = [...members.keys()]
      if (act === 0 && names.length < 6) {
        const name = `m${step}`
        members.set(name, [])
        group.join(name)
      } else if (act === 1 && names.length > 0 && random.int(2) === 0) {
        const name = random.pick(names)
        const had = members.get(name)!
        members.delete(name)
        if (group.leave(name) !== had.length) t.fail('it gives back what it had')
        for (const one of had) touched.add(one)
      } else if (act === 2 && names.length > 0) {
        const name = random.pick(names)
        if (!full.delete(name)) full.add(name)
      } else if (act === 3) {
        const had = names.flatMap(name => members.get(name)!)
        if (had.length > 0) {
          const one = random.pick(had)
          for (const some of members.values()) if (some.includes(one)) some.splice(some.indexOf(one), 1)
          if (!group.settle(one) || settled.has(one)) t.fail('it was out, once')
          settled.add(one)
        }
      } else {
        group.add(++added)
        for (let turn = group.next(name => !full.has(name)); turn !== undefined;) {
          if (full.has(turn.member)) t.fail('it has no room')
          const had = members.get(turn.member)
          if (had === undefined || settled.has(turn.delivery)) t.fail('to a member, and not settled')
          if (turn.isRepeated !== touched.delete(turn.delivery)) t.fail('marked if, and only if, one had it')
          if (!turn.isRepeated && had!.some(one => one > turn!.delivery)) t.fail('a first time comes in order')
          had!.push(turn.delivery)
          turn = group.next(name => !full.has(name))
        }
        if (group.waiting > 0 && names.some(name => !full.has(name))) t.fail('nothing waits while one has room')
      }
      const out = [...members.values()].flat()
      if (new Set(out).size !== out.length) t.fail('one member has it')
      if (group.out !== out.length || group.waiting + out.length + settled.size !== added) t.fail('none is lost')
    }
  }
})
