/** Topic names and filters (MQTT 3.1.1, 4.7), the normative examples and the edges. */
import t from 'tap'
import { covers, checkFilter, checkTopic, filterBehind, matches, overlap, show } from '../../broker/model/topics.ts'

const LIMITS = { topicBytesMax: 40, topicLevelsMax: 5 }

const MATCHING: ReadonlyArray<readonly [string, string]> = [
  ['sport/tennis/player1/#', 'sport/tennis/player1'],
  ['sport/tennis/player1/#', 'sport/tennis/player1/ranking'],
  ['sport/tennis/player1/#', 'sport/tennis/player1/score/wimbledon'],
  ['sport/#', 'sport'], ['#', 'a'], ['#', '/'], ['#', '/a'],
  ['sport/tennis/+', 'sport/tennis/player1'], ['sport/+', 'sport/'], ['+/+', '/finance'], ['/+', '/finance'],
  ['+', 'finance'], ['+/#', 'a'], ['+/#', '/'], ['a//b', 'a//b'], ['a/+/b', 'a//b'],
  ['$SYS/#', '$SYS/'], ['$SYS/monitor/+', '$SYS/monitor/Clients'], ['a/$b/#', 'a/$b/c'], ['+/$b', 'a/$b']
]
const NOT_MATCHING: ReadonlyArray<readonly [string, string]> = [
  ['sport/tennis/+', 'sport/tennis/player1/ranking'], ['sport/+', 'sport'], ['+', '/finance'], ['a', 'A'], ['a', 'a/'],
  ['a/b/#', 'a'], ['a/+', 'a'], ['a/b', 'a'], ['a', 'a/b'],
  ['#', '$SYS/a'], ['+/monitor/Clients', '$SYS/monitor/Clients'], ['+/#', '$SYS'], ['+', '$SYS']
]

t.test('[MQTT-4.7.1-1] [MQTT-4.7.2-1] [MQTT-4.7.3-4] a filter matches what the specification says', async t => {
  for (const [filter, topic] of MATCHING) t.equal(matches(filter, topic), true, `${filter} matches ${topic}`)
  for (const [filter, topic] of NOT_MATCHING) t.equal(matches(filter, topic), false, `${filter} not ${topic}`)
})

t.test('[MQTT-4.7.1-2] [MQTT-4.7.1-3] filters are refused with what is wrong', async t => {
  const wrong: Record<string, RegExp> = {
    '': /empty/,
    'a\u0000': /U\+0000/,
    'a/#/b': /# stands alone in the last level/,
    'a#': /# stands alone/,
    '##': /# stands alone/,
    '#/': /# stands alone/,
    'a/+b': /\+ stands alone/,
    '++': /\+ stands alone/,
    '$share/g/a': /over MQTT only/,
    '$queue/a': /not served/,
    '1/2/3/4/5/6': /topicLevelsMax = 5/,
    ['ä'.repeat(21)]: /topicBytesMax = 40/
  }
  for (const [filter, message] of Object.entries(wrong)) {
    t.throws(() => { checkFilter(filter, LIMITS) }, { code: 'FILTER_INVALID', message })
  }
  for (const filter of ['#', '+', '/', '+/+/#', '1/2/3/4/5', 'ä'.repeat(20), '$SYS/#', 'constructor', ' ']) {
    t.doesNotThrow(() => { checkFilter(filter, LIMITS) }, filter)
  }
})

t.test('a shared subscription is refused with what is wrong; access control is asked for what is behind', async t => {
  const limits = { topicBytesMax: 1_500, topicLevelsMax: 10 }
  const check = (filter: string): void => { checkFilter(filter, limits, true) }
  for (const [filter, message] of Object.entries({
    '$share/': /GROUP/, '$share/g': /GROUP/, '$share/g/': /GROUP/, '$share//x': /GROUP/, '$share/g+/x': /GROUP/,
    '$share/#/x': /GROUP/, '$share/g/x#': /# stands alone/, '$share/g/$share/h/x': /can not be shared/,
    '$share/g/$holdfast/gap': /can not be shared/, '$share/g/$queue/x': /not served/,
    [`$share/g/${'x'.repeat(900)}`]: /too long to be shared/
  })) {
    t.throws(() => { check(filter) }, { code: 'FILTER_INVALID', message }, filter)
  }
  for (const [filter, behind] of Object.entries({
    '$share/g/x': 'x', '$share/g//x': '/x', '$share/g/#': '#', '$share/__proto__/+/$share': '+/$share',
    '$share/g/$SYS/#': '$SYS/#', $share: '$share', '$shared/g/x': '$shared/g/x', 'a/b': 'a/b'
  })) {
    t.doesNotThrow(() => { check(filter) }, filter)
    t.equal(filterBehind(filter), behind)
  }
})

t.test('[MQTT-3.3.2-2] topics are refused with what is wrong; what belongs to the server only to others', async t => {
  for (const [topic, message] of Object.entries({
    '': /empty/, 'a/+': /holds no \+ and no #/, '#': /holds no/, '1/2/3/4/5/6': /topicLevelsMax/, 'a\u0000': /U\+0000/,
    '$SYS/x': /belong to the server/, '$holdfast/gap': /belong to the server/,
    '$share/g/a': /a subscription, not a topic/
  })) {
    t.throws(() => { checkTopic(topic, LIMITS) }, { code: 'TOPIC_INVALID', message })
  }
  t.doesNotThrow(() => { checkTopic('$SYS/x', LIMITS, true) })
  for (const topic of ['/', 'a', '$share', '$SYS', 'ä'.repeat(20), '__proto__']) {
    t.doesNotThrow(() => { checkTopic(topic, LIMITS) }, topic)
  }
})

t.test('a sentence about a topic quotes it short and escaped', async t => {
  t.equal(show('a\n\u001b[31m"'), '"a\\n\\u001b[31m\\""')
  t.equal(show('x'.repeat(100_000)).length, 85)
  try {
    checkTopic('x'.repeat(100_000), LIMITS)
    t.fail('it is too long')
  } catch (error) {
    t.ok((error as Error).message.length < 300)
  }
})

t.test('which filters cover each other, and which overlap, as all short topics say', async t => {
  const words = (levels: readonly string[]): string[] => [1, 2, 3].flatMap((length) =>
    Array.from({ length: levels.length ** length }, (_, n) =>
      Array.from({ length }, (_, i) => levels[Math.floor(n / levels.length ** i) % levels.length]).join('/')))
  const topics = words(['a', 'b', '$x', ''])
  const filters = words(['a', '$x', '+', '#', '']).filter((one) => !/#\//.test(one))
  for (const one of filters) {
    const matched = topics.filter((topic) => matches(one, topic))
    for (const other of filters) {
      const both = matched.filter((topic) => matches(other, topic))
      const isCovering = both.length === topics.filter((topic) => matches(other, topic)).length
      if (covers(one, other) && !isCovering) t.fail(`${one} does not cover ${other}`)
      if (!overlap(one, other) && both.length > 0) t.fail(`${one} and ${other} both match ${both[0]}`)
      if (one === other && !covers(one, other) && !/^[+#]/.test(one)) t.fail(`${one} covers itself`)
    }
  }
  t.ok(covers('#', 'a/+') && covers('a/#', 'a') && covers('a/+', 'a/b') && covers('+/#', '#') === false)
  t.ok(!overlap('a/+', 'b/+') && !overlap('a/b', 'a/c') && !overlap('a', 'a/b') && overlap('a/+', '+/b'))
})
