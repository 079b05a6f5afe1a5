import t from 'tap'
import type { ClientId, Offset, PacketId } from '../../broker/index.ts'
import {
  Endings, EndingsBySession, ENDINGS_MAX, ENDINGS_SESSIONS_MAX
} from '../../bridge/socketio/proof/endings.ts'
import { endingOf } from '../../bridge/socketio/proof/recovery-offset.ts'
import { endOf } from '../../bridge/socketio/wire/written-event.ts'
import { chooseSeed, createRandom } from '../helpers/random.ts'

const place = (offset: number): Offset => offset as Offset
const id = (packetId: number): PacketId => packetId as PacketId

t.test('who tells what an event ended in has handled it; of several, the first is meant', async t => {
  const endings = new Endings(undefined)
  for (const [at, text] of ['a', 'b', 'a', ''].entries()) endings.wrote(endingOf(text), place(at + 10), id(at + 1))
  t.equal(endings.placeOf('b'), 11)
  t.equal(endings.placeOf(''), 13)
  t.equal(endings.placeOf('a'), 10)
  t.equal(endings.placeOf('c'), undefined)
  endings.proven(id(2))
  t.equal(endings.placeOf('a'), 12, 'the first one is passed')
  t.equal(endings.placeOf('b'), 11, 'the proven one may still be the last')
  endings.wrote(endingOf('d'), place(20), id(2))
  endings.proven(id(2))
  t.equal(endings.placeOf('b'), undefined, 'an identifier that is used again is the later one')
  t.equal(endings.placeOf('d'), 20)
})

t.test('[G2] what it told when it came, and what somebody else wrote, are no proof of an event', async t => {
  const endings = new Endings('hello')
  endings.wrote(endingOf('hello'), place(5), id(1))
  t.equal(endings.placeOf('hello'), undefined)
  endings.proven(id(1))
  t.equal(endings.placeOf('hello'), 5)
  endings.wroteUnknown(place(5))
  endings.wroteUnknown(place(5))
  endings.wrote(endingOf('x'), place(6), id(2))
  t.equal(endings.placeOf('x'), 5)
  endings.proven(id(2))
  t.equal(endings.placeOf('x'), 6)
})

t.test('[G2] [G6] whatever was written and handled, nothing counts that was not handled, and the list is bounded',
  async t => {
    const random = createRandom(chooseSeed())
    t.comment(`seed ${random.seed}`)
    for (let round = 0; round < 300; round++) {
      const words = ['', 'a', 'b', 'c'].slice(0, random.between(1, 4))
      let told: string | undefined = random.pick([undefined, ...words])
      const endings = new Endings(told)
      const written = Array.from({ length: random.between(1, 2 * ENDINGS_MAX) },
        (_, at) => ({ at, text: random.pick(words) }))
      const handled = random.int(written.length + 1)
      const proven = random.int(handled + 1)
      for (const { at, text } of written) {
        if (random.int(10) === 0) endings.wroteUnknown(at === 0 ? undefined : place(at - 1))
        else endings.wrote(endingOf(text), place(at), random.int(4) === 0 ? undefined : id(at))
        if (at < proven) endings.proven(id(at))
      }
      if (handled > 0) told = written[handled - 1].text
      const found = told === undefined ? undefined : endings.placeOf(told)
      if (found !== undefined && found >= handled) return t.fail(`round ${round}: ${found} of ${handled} handled`)
    }
    t.pass('300 rounds')
  })

t.test('a session has those of its last connection, until another client has it', async t => {
  const all = new EndingsBySession()
  const of = (name: number): ClientId => `c${name}` as ClientId
  all.begin(of(0), undefined).wrote(endingOf('a'), place(1), id(1))
  t.equal(all.placeOf(of(0), 'a'), 1)
  t.equal(all.placeOf(of(0), ['a']), undefined)
  t.equal(all.placeOf(of(1), 'a'), undefined)
  all.begin(of(0), 'a')
  t.equal(all.placeOf(of(0), 'a'), undefined)
  all.begin(of(0), undefined).wrote(endingOf('a'), place(2), id(1))
  for (let name = 1; name < ENDINGS_SESSIONS_MAX; name++) all.begin(of(name), undefined)
  t.equal(all.placeOf(of(0), 'a'), 2)
  all.begin(of(ENDINGS_SESSIONS_MAX), undefined)
  t.equal(all.placeOf(of(0), 'a'), undefined, 'the first is forgotten')
  all.begin(of(0), undefined).wrote(endingOf('a'), place(3), id(1))
  all.forget(of(0))
  t.equal(all.placeOf(of(0), 'a'), undefined)
})

t.test('the last text of a list is found in its JSON', async t => {
  for (const text of ['', 'a', '"', '\\', '\\"', '"\\', '\\\\"', 'é"ü\u2028', '","', ']']) {
    t.same(endOf(Buffer.from(JSON.stringify([1, text]))), [text])
    t.same(endOf(Buffer.from(JSON.stringify([text]))), [text])
    t.same(endOf(Buffer.from(JSON.stringify([text, [text]]))), [null])
    t.same(endOf(Buffer.from(JSON.stringify([text, { a: text }]))), [null])
  }
  t.same(endOf(Buffer.from('[]')), [])
  t.same(endOf(Buffer.from('[7]')), [null])
})
