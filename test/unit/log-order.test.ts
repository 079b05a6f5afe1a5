/** The order of the log and what is known of it by filter, against plain lists. */
import t from 'tap'
import { BLOCK_OFFSETS, blockOf, LogOrder } from '../../broker/log/log-order.ts'
import { Postings } from '../../broker/log/postings.ts'
import type { Offset } from '../../broker/model/message.ts'
import { chooseSeed, createRandom } from '../helpers/random.ts'

t.test('reading on from any place finds what is left, in order, while entries come and go', async t => {
  const random = createRandom(chooseSeed())
  t.comment(`seed ${random.seed}`)
  const order = new LogOrder<string>()
  let list: Array<[number, string]> = []
  let last = 0
  for (let step = 0; step < 30_000 && t.passing(); step++) {
    if (random.int(5) < 3) {
      last += random.int(500) === 0 ? random.int(1_000) : 1
      order.append(last as Offset, `t${last % 7}`)
      list.push([last, `t${last % 7}`])
    } else if (list.length > 0) {
      const at = random.int(3) === 0 ? 0 : random.int(list.length)
      const [offset] = list.splice(at, random.int(4) === 0 ? 1 : 0)[0] ?? list.shift()!
      order.remove(offset as Offset)
      order.remove(offset as Offset) // it is gone already
    }
    if (step % 50 > 0) continue
    const after = random.between(0, last + 2)
    const found: Array<[number, string]> = []
    for (let number = blockOf(after as Offset); number <= blockOf(last as Offset); number++) {
      const block = order.block(number)
      if (block === undefined) continue
      for (let place = block.placeAfter(after as Offset); place < block.topics.length; place++) {
        const topic = block.topics[place]
        if (topic !== undefined) found.push([block.offsetAt(place), topic])
      }
      if (block.topics.length > BLOCK_OFFSETS) t.fail(`a block of ${block.topics.length}`)
    }
    const expected = list.filter(([offset]) => offset > after)
    if (JSON.stringify(found) !== JSON.stringify(expected)) t.same(found, expected, `step ${step}`)
  }
  for (const [offset] of list) order.remove(offset as Offset)
  list = []
  t.equal(order.blocks, 0, 'nothing is left in the end')
})

t.test('[G6] what lies thin in the log holds no places of what is gone', async t => {
  const order = new LogOrder<string>()
  for (let i = 1; i <= 12_800; i++) order.append(i as Offset, 't')
  for (let i = 1; i <= 12_800; i++) if (i % 64 > 0) order.remove(i as Offset)
  let places = 0
  for (let number = 0; number <= 100; number++) places += order.block(number)?.topics.length ?? 0
  t.ok(places <= 2 * 200 * 3, `${places} places for 200 entries`)
})

t.test('what comes after a block is counted as in a plain list', async t => {
  const random = createRandom(chooseSeed())
  t.comment(`seed ${random.seed}`)
  for (let round = 0; round < 100 && t.passing(); round++) {
    const postings = new Postings(0 as Offset)
    let list: Array<{ offset: number, bytes: number }> = []
    let last = 0
    for (let step = 0; step < 400; step++) {
      const choice = random.int(20)
      if (choice < 15) {
        last += random.between(1, random.pick([2, 300]))
        const bytes = random.int(50)
        postings.note(last as Offset, bytes)
        list.push({ offset: last, bytes })
      } else if (choice < 17 && list.length > 0) {
        const [gone] = list.splice(random.int(list.length), 1)
        postings.forget(gone.offset as Offset, gone.bytes)
      } else if (choice === 17 && postings.length > 0) {
        const first = postings.blockAt(0)
        postings.dropFirst()
        list = list.filter(({ offset }) => blockOf(offset as Offset) > first)
      }
      const block = random.between(0, blockOf(last as Offset) + 1)
      const expected = list.filter(({ offset }) => blockOf(offset as Offset) >= block)
      const index = postings.seek(block)
      const counted = [postings.messagesFrom(index), postings.bytesFrom(index)]
      if (counted[0] !== expected.length || counted[1] !== expected.reduce((sum, { bytes }) => sum + bytes, 0)) {
        t.fail(`step ${step}: ${counted.join(' and ')} from block ${block}, expected ${expected.length}`)
        break
      }
    }
  }
})

t.test('an entry from before the filter was noted is not taken off its numbers', async t => {
  const postings = new Postings(9 as Offset)
  postings.note(10 as Offset, 5)
  postings.forget(9 as Offset, 5)
  t.same([postings.messagesFrom(0), postings.bytesFrom(0)], [1, 5])
})
