/** Filters by topic, and topics by filter, against `matches` asked one by one. */
import t from 'tap'
import { FilterTree } from '../../broker/log/filter-tree.ts'
import { TopicTree, type TopicWalk } from '../../broker/log/topic-tree.ts'
import { matches } from '../../broker/model/topics.ts'
import { chooseSeed, createRandom, type Random } from '../helpers/random.ts'

const LEVELS = ['a', 'b', 'c', '', '$SYS', '__proto__', 'constructor', 'ü']

function randomTopic (random: Random): string {
  const topic = Array.from({ length: random.between(1, 4) }, () => random.pick(LEVELS)).join('/')
  return topic === '' ? 'a' : topic
}

function randomFilter (random: Random): string {
  const levels = randomTopic(random).split('/').map((level) => random.int(3) === 0 ? '+' : level)
  if (random.int(3) === 0) levels[levels.length - 1] = '#'
  return levels.join('/')
}

const sorted = (names: Iterable<string>): string[] => [...names].sort()

t.test('a topic finds exactly the filters that match it, each once, while filters come and go', async t => {
  const random = createRandom(chooseSeed())
  t.comment(`seed ${random.seed}`)
  const tree = new FilterTree<string>()
  const filters = new Set<string>()
  for (let round = 0; round < 3_000; round++) {
    const filter = randomFilter(random)
    if (filters.has(filter)) {
      if (random.int(2) === 0) {
        tree.remove(filter)
        filters.delete(filter)
      }
    } else {
      tree.add(filter, filter)
      filters.add(filter)
    }
    const topic = randomTopic(random)
    const expected = sorted([...filters].filter((one) => matches(one, topic)))
    const found = sorted(tree.match(topic))
    if (found.join() !== expected.join()) t.same(found, expected, `${topic} in round ${round}`)
    if (tree.get(filter) !== (filters.has(filter) ? filter : undefined)) t.fail(`get(${filter}) in round ${round}`)
  }
  t.equal(tree.size, filters.size)
  for (const filter of filters) tree.remove(filter)
  t.equal(tree.size, 0)
  t.same(LEVELS.flatMap((level) => tree.match(level)), [], 'nothing is left behind')
})

t.test('the version grows with every change, so that what was found before can be told from what is now', async t => {
  const tree = new FilterTree<number>()
  const versions = [tree.version]
  tree.add('a/+', 1)
  versions.push(tree.version)
  tree.add('a', 2)
  versions.push(tree.version)
  tree.remove('a/+')
  versions.push(tree.version)
  t.same(versions, [...new Set(versions)].sort((a, b) => a - b))
})

t.test('[MQTT-4.7.2-1] no wildcard stands for a first level that begins with $', async t => {
  const tree = new FilterTree<string>()
  for (const filter of ['#', '+/x', '+/#', '$SYS/#', '$SYS/+']) tree.add(filter, filter)
  t.same(sorted(tree.match('$SYS/x')), ['$SYS/#', '$SYS/+'])
  t.same(sorted(tree.match('SYS/x')), ['#', '+/#', '+/x'])
})

t.test('a filter finds exactly the topics that it matches, each once, while topics come and go', async t => {
  const random = createRandom(chooseSeed())
  t.comment(`seed ${random.seed}`)
  const tree = new TopicTree<number>()
  const topics = new Map<string, number>()
  for (let round = 0; round < 3_000; round++) {
    const topic = randomTopic(random)
    if (random.int(3) === 0) {
      tree.delete(topic)
      topics.delete(topic)
    } else {
      tree.set(topic, round)
      topics.set(topic, round)
    }
    const filter = randomFilter(random)
    const expected = sorted([...topics.keys()].filter((one) => matches(filter, one)))
    const found = sorted(all(tree.walk(filter)))
    if (found.join() !== expected.join()) t.same(found, expected, `${filter} in round ${round}`)
    if (tree.get(topic) !== topics.get(topic)) t.fail(`get(${topic}) in round ${round}`)
  }
  t.equal(tree.size, topics.size)
  for (const topic of topics.keys()) tree.delete(topic)
  t.equal(tree.size, 0)
  t.same([...all(tree.walk('#')), ...all(tree.walk('+'))], [])
})

t.test('[G8] looking for the topics of a filter costs what it matches, not what is there', async t => {
  const tree = new TopicTree<number>()
  for (let i = 0; i < 10_000; i++) tree.set(`device/${i}/state`, i)
  const budget = { left: 1_000 }
  for (let i = 0; i < 100; i++) t.same([...all(tree.walk(`device/${i}/#`), budget)], [`device/${i}/state`])
  t.ok(budget.left > 0, `${1_000 - budget.left} nodes were looked at`)
})

t.test('[G8] a search stops where its budget ends, whatever it has found, and goes on there', async t => {
  const tree = new TopicTree<number>()
  for (let i = 0; i < 1_000; i++) tree.set(`device/${i}/state`, i)
  const walk = tree.walk('device/+/nothing')
  let slices = 0
  for (; !walk.isOver; slices++) {
    const slice = { left: 10 }
    t.equal(walk.next(slice), undefined)
    t.ok(slice.left >= 0)
  }
  t.ok(slices >= 100, `${slices} slices`)
})

t.test('[G2] what stands in the tree all the while is found, whatever comes and goes meanwhile', async t => {
  const random = createRandom(chooseSeed())
  t.comment(`seed ${random.seed}`)
  for (let round = 0; round < 300; round++) {
    const tree = new TopicTree<number>()
    const staying = new Set(Array.from({ length: random.between(1, 40) }, () => randomTopic(random)))
    for (const topic of staying) tree.set(topic, 0)
    const filter = randomFilter(random)
    const walk = tree.walk(filter)
    const found: string[] = []
    while (!walk.isOver) {
      const topic = walk.next({ left: random.between(1, 3) })
      if (topic !== undefined) found.push(topic)
      const changed = randomTopic(random)
      if (staying.has(changed)) continue
      if (random.int(2) === 0) tree.set(changed, 1)
      else tree.delete(changed)
    }
    const expected = [...staying].filter((topic) => matches(filter, topic))
    for (const topic of expected) {
      const times = found.filter((one) => one === topic).length
      if (times !== 1) t.fail(`${filter} found ${topic} ${times} times in round ${round}`)
    }
    if (found.some((topic) => !matches(filter, topic))) t.fail(`${filter} found ${found.join()}`)
  }
})

function * all (walk: TopicWalk<number>, budget = { left: Infinity }): IterableIterator<string> {
  for (let topic = walk.next(budget); topic !== undefined; topic = walk.next(budget)) yield topic
}
