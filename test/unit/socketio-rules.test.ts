/** Rules, compiled: what matches, what is filled in, and that nothing a client sends gets around them. */
import t from 'tap'
import type { Logger, Message } from '../../broker/index.ts'
import { ARGUMENT_DEPTH_MAX } from '../../protocol/envelope.ts'
import { matchText, matchTopic } from '../../bridge/socketio/rules/match.ts'
import { NAMESPACE_LENGTH_MAX, NAMESPACES_COMPILED_MAX, Rules } from '../../bridge/socketio/rules/rules.ts'
import { readRules } from '../../config/bridge-rules.ts'
import type { DeliverRuleOption, EmitRuleOption, RulesOption } from '../../config/rule.ts'
import { parseTextPattern, parseTopicPattern } from '../../config/rule-text.ts'

function compile (option: RulesOption, log?: Logger): Rules {
  const { rules, problems } = readRules(option)
  t.same(problems, [])
  return new Rules({ rules, makeId: () => 'made', log })
}

type EmitRules = EmitRuleOption | readonly EmitRuleOption[]

/** What the rules make of an emit of U1. */
function commanded (rule: EmitRules, packet: readonly unknown[], namespace = '/') {
  const rules = compile({ emit: [rule].flat(), defaults: false })
  return rules.namespace(namespace).command({ packet, asks: true, name: 'U1', principal: 'alice' })
}

/** Topic, payload, QoS and RETAIN. */
function emitted (rule: EmitRules, packet: readonly unknown[], namespace?: string): readonly unknown[] {
  const command = commanded(rule, packet, namespace)
  return command.kind === 'publish'
    ? [command.topic, command.payload.toString(), command.qos, command.retain]
    : [command.kind]
}

function refused (rule: EmitRules, packet: readonly unknown[]): string {
  const command = commanded(rule, packet)
  return command.kind === 'refused' ? `${command.code}: ${command.message}` : command.kind
}

function messageOf (topic: string, payload: string | Buffer, id = ''): Message {
  return {
    topic, payload: Buffer.from(payload), id, qos: 1, retain: false, publisher: 'd1', principal: 'bob', time: 7
  } as unknown as Message
}

/** The event and arguments, or undefined where it is ignored. */
function translated (rule: DeliverRuleOption | readonly DeliverRuleOption[], topic: string, payload: string | Buffer) {
  const rules = compile({ deliver: [rule].flat(), defaults: false })
  const { event, args, ignored } = rules.namespace('/').translate(messageOf(topic, payload))
  return ignored ? undefined : [event, ...args]
}

t.test('patterns of names match as globs do', async t => {
  for (const [pattern, text, captured] of [
    ['a', 'a', {}], ['a', 'A', null], ['a', 'aa', null], ['*', '', {}], ['*', 'any/thing', {}],
    ['a*', 'a', {}], ['a*', 'ab', {}], ['*a', 'ba', {}], ['*a', 'ab', null], ['a*b', 'ab', {}], ['a*b', 'acb', {}],
    ['a*a', 'a', null], ['*aa*aa*', 'aaa', null], ['*aa*aa*', 'xaaaay', {}], ['*ab', 'aab', {}], ['*ab*b', 'abb', {}],
    ['{x}', '', null], ['{x}', 'a', { x: 'a' }], ['{x}:{y}', 'a:b:c', { x: 'a', y: 'b:c' }], ['{x}:{y}', ':b', null],
    ['{x}:{y}', '::b', { x: ':', y: 'b' }], ['{x}:*', 'a:', { x: 'a' }], ['say:{room}!', 'say:a!!', { room: 'a!' }],
    ['{{x}}', '{x}', {}], ['/v1/{rest}', '/v1/a/b', { rest: 'a/b' }], ['__proto__', '__proto__', {}]
  ] as const) {
    const found = matchText(parseTextPattern(pattern), text)
    t.same(found === undefined ? null : { ...found }, captured, `${pattern} ${text}`)
  }
})

t.test('every pattern of names agrees with the regular expression that means the same', async t => {
  const words = ['a', 'b', 'ab', 'ba', '*', '*', '{x}']
  let n = 0
  for (let seed = 0; seed < 3_000; seed++) {
    const pick = (salt: number, from: number) => ((seed * 2_654_435_761 + salt * 40_503) >>> 7) % from
    const pattern = Array.from({ length: 1 + pick(9, 4) }, (_, i) => words[pick(i, words.length)]).join('')
    let parsed
    try {
      parsed = parseTextPattern(pattern)
    } catch { continue } // wildcards next to each other, or a name twice
    const expression = new RegExp('^' + pattern.replace(/\*/g, '[^]*').replace(/\{x\}/g, '[^]+') + '$')
    for (let length = 0; length < 7; length++) {
      const text = Array.from({ length }, (_, i) => 'ab'[pick(i + 50 + length, 2)]).join('')
      n++
      if ((matchText(parsed, text) !== undefined) !== expression.test(text)) t.fail(`${pattern} on ${text}`)
    }
  }
  t.ok(n > 5_000, `${n} pairs`)
})

t.test('a pattern takes time in proportion to what it is matched with, however it is written [G8]', async t => {
  const pattern = parseTextPattern('*a'.repeat(500) + '*b')
  const started = process.hrtime.bigint()
  t.equal(matchText(pattern, 'a'.repeat(2_048)), undefined)
  t.ok(process.hrtime.bigint() - started < 100_000_000n, 'a regular expression would take for ever')
})

t.test('patterns of topics match as filters of MQTT do, and names are decoded', async t => {
  for (const [pattern, topic, captured] of [
    ['a/b', 'a/b', {}], ['a/b', 'a/b/c', null], ['a/b', 'a', null], ['a/+', 'a/b', {}], ['a/+', 'a/', {}],
    ['a/+', 'a', null], ['a/#', 'a', {}], ['a/#', 'a/b/c', {}], ['#', 'x', {}], ['+', 'x/y', null],
    ['#', '$SYS/x', null], ['+/x', '$SYS/x', null], ['{a}/x', '$SYS/x', null], ['$SYS/{a}', '$SYS/x', { a: 'x' }],
    ['/a', '/a', {}],
    ['{a}/{b}', 'x/y', { a: 'x', b: 'y' }], ['{a}/b', '/b', null], ['{a}', 'a%2Fb', { a: 'a/b' }],
    ['dev-{a}-{b}/t', 'dev-1-2-3/t', { a: '1', b: '2-3' }], ['a/{r#}', 'a/b/c', { r: 'b/c' }], ['a/{r#}', 'a', null],
    ['{a}', '%-', { a: '' }], ['{a}', '100%', { a: '100%' }]
  ] as const) {
    const found = matchTopic(parseTopicPattern(pattern), topic.split('/'))
    t.same(found === undefined ? null : { ...found }, captured, `${pattern} ${topic}`)
  }
})

t.test('what is filled in stays in its level of the topic', async t => {
  const rule = { event: 'a', topic: 'x/{0}/y', payload: 'text', value: 'v' } as const
  for (const [argument, level] of [
    ['r', 'r'], ['a/b', 'a%2Fb'], ['#', '%23'], ['+', '%2B'], ['', '%-'], ['$SYS', '%24SYS'], ['%2F', '%252F'],
    [5, '5'], [false, 'false'], ['\u0000', '%00']
  ] as const) t.same(emitted(rule, ['a', argument]), [`x/${level}/y`, 'v', 1, false])
  t.same(emitted({ ...rule, topic: '{0}/x' }, ['a', '$SYS']), ['%24SYS/x', 'v', 1, false])
  t.same(emitted({ ...rule, topic: 'd-{0}' }, ['a', '#/']), ['d-%23%2F', 'v', 1, false])
  t.same(emitted({ ...rule, topic: 'd-{0}' }, ['a', '']), ['d-', 'v', 1, false])
  const every = '{namespace}/{event}/{clientId}/{principal}'
  t.same(emitted({ ...rule, topic: every }, ['a']), ['_/a/U1/alice', 'v', 1, false])
  t.same(emitted({ ...rule, topic: '{namespace}' }, ['a'], '/b/c'), ['b%2Fc', 'v', 1, false])
})

t.test('an argument that is missing, or is none that a topic can hold, is refused with its place', async t => {
  const rule = { event: 'a', topic: 'x/{0.room}', payload: 'text', value: 'v' } as const
  for (const [args, message] of [
    [[], '{0.room} is missing'], [['room'], '{0.room} is missing'], [[{}], '{0.room} is missing'],
    [[null], '{0.room} is missing'], [[{ room: null }], '{0.room} must be a text or a number'],
    [[{ room: {} }], '{0.room} must be a text or a number'], [[{ room: ['a'] }], '{0.room} must be a text or a number'],
    [[{ room: Buffer.from('a') }], '{0.room} must be a text or a number']
  ] as const) t.equal(refused(rule, ['a', ...args]), `ARGUMENTS_INVALID: ${message} (rules.emit[0])`)
  for (const name of ['constructor', '__proto__', 'toString', 'length']) {
    const hostile = { ...rule, topic: `x/{0.${name}}` }
    t.match(refused(hostile, ['a', {}]), /is missing/, name)
    t.match(refused(hostile, ['a', 'text']), /is missing/, name)
  }
})

t.test('payloads have the form that the rule says', async t => {
  const value = { n: 1, bytes: Buffer.from([1, 2]) }
  t.same(emitted({ event: 'a', topic: 't', payload: 'json' }, ['a', { n: [1, null] }])[1], '{"n":[1,null]}')
  t.match(refused({ event: 'a', topic: 't', payload: 'json' }, ['a', value]), /the value holds bytes, which JSON can't/)
  t.match(refused({ event: 'a', topic: 't', payload: 'json' }, ['a']), /the value is nothing that JSON has/)
  t.same(emitted({ event: 'a', topic: 't', payload: 'text' }, ['a', 5])[1], '5')
  t.match(refused({ event: 'a', topic: 't', payload: 'text' }, ['a', {}]), /the value must be a text/)
  t.match(refused({ event: 'a', topic: 't', payload: 'text' }, ['a', '\ud800']), /a text that UTF-8 can't hold/)
  t.match(refused({ event: 'a', topic: 't', payload: 'bytes' }, ['a', 'x']), /the value must be bytes/)
  let deep: unknown = 1
  for (let n = 0; n <= ARGUMENT_DEPTH_MAX; n++) deep = [deep]
  for (const payload of ['json', 'msgpack'] as const) {
    t.match(refused({ event: 'a', topic: 't', payload }, ['a', deep]), /deeper than 64 levels/)
    t.match(refused({ event: 'a', topic: 't', payload }, ['a', 1n]), /^ARGUMENTS_INVALID: /)
  }
  for (const bytes of [Buffer.from([1, 2]), new Uint8Array([1, 2]), new Uint8Array([1, 2]).buffer]) {
    t.same(emitted({ event: 'a', topic: 't', payload: 'bytes' }, ['a', bytes])[1], '\u0001\u0002')
  }
  const packed = compile({ emit: [{ event: 'a', topic: 't', payload: 'msgpack' }] }).namespace('/')
    .command({ packet: ['a', value], asks: true, name: undefined, principal: 'p' })
  t.equal(packed.kind === 'publish' && packed.payload.toString('hex'), '82a16e01a56279746573c4020102')
})

t.test('arguments of an envelope are those of the emit, or what the rule makes of them', async t => {
  const args = ['{clientId}', { text: '{0}', all: ['{1...}'], said: 'by {clientId} ({0.x})', n: 5 }, '{2...}']
  t.equal(emitted({ event: 'a', topic: 't' }, ['a', 1, 'x'])[1], '{"$hf":1,"id":"made","args":[1,"x"]}')
  t.equal(emitted({ event: 'a', topic: 't', args }, ['a', 'hi', 2, 3])[1], '{"$hf":1,"id":"made","args":' +
    '["U1",{"text":"hi","all":[2,3],"said":"by U1 ()","n":5},3]}')
  t.equal(emitted({ event: 'a', topic: 't', args: ['{5}', '{6...}'] }, ['a'])[1], '{"$hf":1,"id":"made","args":[null]}')
  t.equal(emitted({ event: 'a', topic: 't', args: [JSON.parse('{"__proto__":"{0}"}')] }, ['a', 1])[1],
    '{"$hf":1,"id":"made","args":[{"__proto__":1}]}')
})

t.test('the first rule that matches wins, by name or by pattern, and a function can pass on', async t => {
  const topic = (name: string, rest: object = {}) => ({ event: name, topic: `t/${name.replace(/\W/g, '')}`, ...rest })
  const said = (rules: EmitRuleOption[], event: string) => emitted(rules, [event])[0]
  t.equal(said([topic('a'), topic('*')], 'a'), 't/a')
  t.equal(said([topic('*'), topic('a')], 'a'), 't/')
  t.equal(said([topic('b*'), topic('a'), topic('a*')], 'a'), 't/a')
  t.equal(said([topic('a*', { namespace: '/x' }), topic('a')], 'a'), 't/a')
  t.equal(said([{ event: '*', run: () => ({ next: true }) }, topic('a')], 'a'), 't/a')
  t.equal(said([topic('a', { namespace: '/x' }), { event: 'a', run: () => ({ next: true }) }, topic('a*')], 'a'), 't/a')
  t.match(refused([{ event: 'a', run: () => ({ next: true }) }], ['a']), /^NO_RULE: /)
  t.match(refused([topic('*')], ['x'.repeat(3_000)]), /^EVENT_INVALID: .* longer than 2048/)
  t.match(refused([topic('*')], ['holdfast:session']), /^EVENT_INVALID: .* is reserved/)
  t.match(refused([topic('*')], [5]), /^EVENT_INVALID: /)
})

t.test('what a namespace captures is known to its rules', async t => {
  const rules = compile({
    namespaces: [{ match: '/t-{tenant}', subscribe: ['{tenant}/news'] }],
    emit: [{ namespace: '/t-{tenant}', event: 'say:{room}', topic: '{tenant}/{room}', payload: 'text' }],
    deliver: [{ namespace: '/t-{tenant}', topic: '{tenant2}/news', event: 'news', args: ['{tenant}', '{tenant2}'] }]
  })
  const here = rules.namespace('/t-a')
  const emit = { packet: ['say:r', 'x'], asks: true, name: undefined, principal: 'p' }
  t.match(here.command(emit), { topic: 'a/r' })
  t.same(here.filters({ name: undefined, principal: 'p' }), ['io/t-a/all/+', 'a/news'])
  t.same(here.translate(messageOf('b/news', '1')).args, ['a', 'b'])
  t.match(rules.namespace('/other').command(emit), { topic: 'io/other/all/say:r' }, 'the defaults')
})

t.test('messages are read as the rule says', async t => {
  const rule = (payload: DeliverRuleOption['payload'], args?: unknown[]): DeliverRuleOption =>
    ({ topic: 'd/{id}', event: 'e', payload, args })
  const envelope = '{"$hf":1,"id":"","args":[1,2]}'
  const undeliverable = ['holdfast:undeliverable', { topic: 'd/1', reason: 'payload' }]
  for (const [payload, bytes, said] of [
    ['json', '{"t":1}', ['e', { t: 1 }]], ['json', '{', undeliverable], ['json', Buffer.from([0xff]), undeliverable],
    ['json', '['.repeat(100) + ']'.repeat(100), undeliverable], ['json', 'null', ['e', null]],
    ['text', '5', ['e', '5']], ['text', Buffer.from([0xff]), undeliverable], ['text', '', ['e', '']],
    ['bytes', 'ab', ['e', Buffer.from('ab')]], ['msgpack', Buffer.from('81a17401', 'hex'), ['e', { t: 1 }]],
    ['msgpack', Buffer.from('81a174', 'hex'), undeliverable], ['envelope', '5', undeliverable],
    ['envelope', envelope, ['e', 1, 2]], ['auto', envelope, ['e', 1, 2]], ['auto', 'x', ['e', 'x']],
    ['json', envelope, ['e', JSON.parse(envelope)]]
  ] as const) t.same(translated(rule(payload), 'd/1', bytes), said, `${payload} ${String(bytes).slice(0, 40)}`)
  t.same(translated(rule('json', ['{id}', '{payload.t}', '{payload.no}', '{publisher}', '{principal}', '{timeMs}']),
    'd/1', '{"t":5}'), ['e', '1', 5, null, 'd1', 'bob', 7])
  t.same(translated({ topic: 'd/{id}', event: '{payload.e}' }, 'd/1', '{"e":"x"}'), ['x', { e: 'x' }])
  t.same(translated({ topic: 'd/{id}', event: '{payload.e}' }, 'd/1', '{}'),
    ['holdfast:undeliverable', { topic: 'd/1', reason: 'rule' }])
  t.same(translated({ topic: 'd/{id}', event: '{payload.e}' }, 'd/1', '{"e":"connect"}'),
    ['holdfast:undeliverable', { topic: 'd/1', reason: 'reserved-event' }])
  t.same(translated([{ topic: 'd/+', ignore: true }, rule('json')], 'd/1', '1'), undefined)
  t.same(translated(rule('json'), 'x', '1'), ['holdfast:undeliverable', { topic: 'x', reason: 'no-rule' }])
})

t.test('more binary values than Socket.IO clients take are not sent to them', async t => {
  const args = Array.from({ length: 11 }, () => '{payload}')
  t.same(translated({ topic: 'a', event: 'e', payload: 'bytes', args }, 'a', 'x'),
    ['holdfast:undeliverable', { topic: 'a', reason: 'rule' }])
  t.equal(translated({ topic: 'a', event: 'e', payload: 'bytes', args: args.slice(1) }, 'a', 'x')?.length, 11)
})

t.test('the proof that a message needs is the one of its rule', async t => {
  const rules = compile({
    deliver: [{ topic: 'a', run: () => ({ event: 'e', proof: 'ack' }) }, { topic: 'b', event: 'b', proof: 'received' }]
  }).namespace('/')
  for (const [topic, level] of [['a', 'ack'], ['b', 'received'], ['io/_/all/x', 'handled']]) {
    t.equal(rules.translate(messageOf(topic, '1')).level, level)
  }
})

t.test('whatever a function answers, nothing breaks and the operator is told', async t => {
  const circle: unknown[] = []
  circle.push(circle)
  const thenable = { then (_: unknown, refuse: (why: Error) => void) { refuse(new Error('late')) } }
  for (const answer of [
    undefined, null, 5, 'x', [], {}, { topic: 5 }, { topic: 'a', payload: 'xml' }, { topic: 'a', echo: 0 },
    { topic: 'a', event: 'e', ignore: true, list: true, next: true },
    { topic: 'a', qos: 2 }, { topic: 'a', retain: 1 }, { topic: 'a', args: 5 }, { subscribe: 5 }, { refuse: {} },
    { subscribe: Array.from({ length: 33 }, () => 'a') }, { list: 'x' }, { next: 1 }, Promise.reject(new Error('late')),
    thenable, { topic: 'a', id: 5 }, { then () {}, topic: 'a' }
  ]) {
    const said: object[] = []
    const log: Logger = { debug () {}, info () {}, warn: fields => { said.push(fields) }, error () {} }
    const run = (): never => answer as never
    const rules = compile({ emit: [{ event: 'a', run }], deliver: [{ topic: 'a', run }] }, log).namespace('/')
    t.match(rules.command({ packet: ['a'], asks: true, name: undefined, principal: 'p' }), { code: 'RULE_FAILED' })
    t.match(rules.translate(messageOf('a', '1')).args, [{ reason: 'rule' }])
    t.match(said, [{ rule: 'emit[0]' }, { rule: 'deliver[0]' }])
  }
  for (const args of [[1n], [circle], [{ toJSON () { throw new Error('no') } }]]) {
    const rules = compile({
      emit: [{ event: 'a', run: () => ({ topic: 'a', args }) }],
      deliver: [{ topic: 'a', run: () => ({ event: 'a', args }) }]
    }).namespace('/')
    t.equal(rules.command({ packet: ['a'], asks: true, name: undefined, principal: 'p' }).kind, 'refused')
    t.match(rules.translate(messageOf('a', '1')).args, [{ reason: 'rule' }])
  }
})

t.test('faults of a function are logged without a line for each', async t => {
  let lines = 0
  const log: Logger = { debug () {}, info () {}, warn () { lines++ }, error () {} }
  const rules = compile({ emit: [{ event: 'a', run: () => { throw new Error('no') } }] }, log).namespace('/')
  for (let n = 0; n < 1_000; n++) rules.command({ packet: ['a'], asks: true, name: undefined, principal: 'p' })
  t.equal(lines, 10)
})

t.test('a denied namespace is denied however long its name is, and names are not kept without end [G6]', async t => {
  const rules = compile({ namespaces: [{ match: '/admin*', allow: false }, { match: '/x*', as: '/y' }] })
  t.notOk(rules.namespace('/admin').allowed)
  t.notOk(rules.namespace('/admin' + 'x'.repeat(2 * NAMESPACE_LENGTH_MAX)).allowed)
  t.notOk(rules.namespace('/' + 'y'.repeat(NAMESPACE_LENGTH_MAX)).allowed, 'nor can a long name avoid being looked at')
  t.equal(rules.namespace('/x1').name, '/y')
  const first = rules.namespace('/a')
  t.equal(rules.namespace('/a'), first)
  for (let n = 0; n < NAMESPACES_COMPILED_MAX; n++) rules.namespace(`/${n}`)
  t.not(rules.namespace('/a'), first)
})

t.test('messages whose client gave the id by a rule are recognised as repeats, and no others are', async t => {
  const rules = compile({ emit: [{ event: 'a', topic: 't', payload: 'json', id: '{0.id}' }] }).namespace('/')
  const idOf = (argument: unknown) => {
    const command = rules.command({ packet: ['a', argument], asks: true, name: undefined, principal: 'p' })
    return command.kind === 'publish' ? command.id : command.kind
  }
  t.same([{ id: 7 }, { id: '7' }, { id: 8 }].map(idOf), ['~7', '~7', '~8'])
  t.same([{}, { id: null }, { id: '' }].map(idOf), ['made', 'made', 'made'])
  t.same([{ id: true }, { id: [] }, { id: 'x'.repeat(257) }].map(idOf), ['refused', 'refused', 'refused'])
  const quiet = compile({ emit: [{ event: 'a', topic: 't', echo: false, id: '{0.id}' }] }).namespace('/')
    .command({ packet: ['a', { id: 7 }], asks: true, name: undefined, principal: 'p' })
  t.match(quiet, { id: '!~7', retryId: '7' })
  const key = (topic: string, id: string) => rules.translate(messageOf(topic, '1', id)).repeatKey
  t.equal(key('t', '~7'), key('t', '~7'))
  t.equal(key('t', '!~7'), key('t', '!~7'))
  t.not(key('t', '~7'), key('t', '~8'))
  t.not(key('t', '~7'), key('u', '~7'))
  t.equal(key('t', 'made'), undefined)
})
