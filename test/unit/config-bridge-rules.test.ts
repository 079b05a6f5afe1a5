/** Rules as options: which are understood, and what is said of those that are not. */
import t from 'tap'
import { readRules } from '../../config/bridge-rules.ts'
import { loadConfig, programConfig } from '../../config/load.ts'
import { ConfigError, lineOf } from '../../config/problem.ts'
import { FILTERS_PER_RULE_MAX, RULES_PER_LIST_MAX } from '../../config/rule-schema.ts'
import { TEXT_LENGTH_MAX, VALUE_DEPTH_MAX, VALUE_NODES_MAX } from '../../config/rule-text.ts'

/** The lines of what is wrong, with the path. */
function wrong (value: unknown): string[] {
  return readRules(value).problems.map(({ at, says }) => `rules${at}: ${says}`)
}

const emit = (rule: object) => wrong({ emit: [rule] })
const deliver = (rule: object) => wrong({ deliver: [rule] })
const namespaces = (rule: object) => wrong({ namespaces: [rule] })

t.test('rules of every kind are understood', async t => {
  t.same(wrong({}), [])
  t.same(wrong({ namespaces: [], emit: [], deliver: [], defaults: false }), [])
  const subscribe = ['a/{clientId}/{principal}/#', '+/{namespace}', '{n}']
  t.same(namespaces({ match: '/v{n}/{rest}', as: '/{rest}', subscribe }), [])
  for (const rule of [
    { event: 'a', topic: 'b/{0}/c-{1.x.y}' },
    { event: '{kind}:*', topic: '{kind}/{event}', args: ['{clientId}', { a: ['{1...}', 5, null, true, '{{x}}'] }] },
    { event: '*', topic: 'a', payload: 'msgpack', value: { all: ['{0...}'] }, qos: 0, retain: true },
    { event: 'a', topic: 'b', id: '{0.meta.id}' }, { event: 'a', subscribe: ['a/#', '+/{0}'] },
    { event: 'a', unsubscribe: 'a' }, { event: 'a', list: true }, { event: 'a', list: 'chat/{0}/{room}/+' },
    { event: 'a', ignore: true }, { event: 'a', refuse: 'no' }, { event: 'a', run: () => ({ ignore: true }) }
  ]) t.same(emit(rule), [], JSON.stringify(rule))
  for (const rule of [
    { topic: '{a}/x-{b}/{c#}', event: '{a}', args: ['{b}', '{c}', '{topic}', '{publisher}', '{principal}'] },
    { topic: '+', event: 'a', args: ['{timeMs}', '{namespace}', '{payload.x}', '{0}', '{1...}'] },
    { topic: '#', ignore: true }, { topic: 'a/+', event: 'e', payload: 'auto', proof: 'ack' },
    { namespace: '/{n}', topic: 'a', event: '{n}' }, { topic: 'a', payload: 'bytes', run: () => ({ ignore: true }) }
  ]) t.same(deliver(rule), [], JSON.stringify(rule))
})

t.test('what is wrong is named by its path, with what is allowed or was meant', async t => {
  for (const [value, line] of [
    [5, 'rules: 5 must be an object, like { "emit": [...], "deliver": [...] }'],
    [{ emits: [] }, 'rules.emits: there is no such setting; did you mean emit?'],
    [{ emit: {} }, 'rules.emit: {} must be a list of rules'],
    [{ emit: ['x'] }, 'rules.emit[0]: "x" must be a rule, like { "event": "say", "topic": "chat/{0}" }'],
    [{ defaults: 1 }, 'rules.defaults: 1 must be true or false']
  ] as const) t.ok(wrong(value)[0].startsWith(line), wrong(value)[0])
  for (const [rule, lines] of [
    [{}, ['.event: is missing: it must be a text']],
    [{ event: 'a' }, [': needs exactly one of topic, subscribe, unsubscribe, list, ignore, refuse, run']],
    [{ event: 'a', topic: 'b', list: true },
      [': needs exactly one of topic, subscribe, unsubscribe, list, ignore, refuse, run, and has topic and list']],
    [{ event: 'a', tpoic: 'b' }, ['.tpoic: there is no such setting; did you mean topic?']],
    [{ event: 'a:{room}', topic: 'chat/{rom}' }, ['.topic: {rom} is not known here; did you mean {room}?']],
    [{ event: 'a', topic: '{clientID}' }, ['.topic: {clientID} is not known here; did you mean {clientId}?']],
    [{ event: 'a', topic: 'b', echo: 'no' }, ['.echo: "no" must be true or false']],
    [{ event: 'a', topic: 'b', qos: 2 }, ['.qos: 2 must be 0 or 1']],
    [{ event: 'a', topic: 'b', payload: 'jsno' },
      ['.payload: "jsno" must be one of envelope, json, text, bytes, msgpack']],
    [{ event: 'a', topic: 'b/#' }, ['.topic: holds + or #, which a topic to publish to can\'t']],
    [{ event: 'a', topic: '$SYS/x' }, ['.topic: begins with a name that belongs to the server']],
    [{ event: 'a', topic: '{0}{1}' }, ['.topic: has two holes without a text between them']],
    [{ event: 'a', topic: 'b{' }, ['.topic: has a { without a } behind it; write {{ for the character itself']],
    [{ event: 'a', topic: 'b}' }, ['.topic: has a } without a { before it; write }} for the character itself']],
    [{ event: 'a', topic: '{0...}' }, ['.topic: {0...} stands in a list only, and alone']],
    [{ event: 'a', topic: '{event.x}' }, ['.topic: {event.x}: {event} is text and has no properties']],
    [{ event: 'a', topic: '{256}' }, ['.topic: {256}: arguments are counted from 0 to 255']],
    [{ event: 'a', topic: 'b', args: [1, { x: ['{y}'] }] }, ['.args[1].x[0]: {y} is not known here']],
    [{ event: 'a', topic: 'b', value: '{0}' }, ['.value: counts only beside a payload that is no envelope']],
    [{ event: 'a', topic: 'b', payload: 'json', args: [] }, ['.args: counts only beside an envelope']],
    [{ event: 'a', ignore: true, retain: true }, ['.retain: counts only beside topic']],
    [{ event: 'a', ignore: false }, ['.ignore: false must be true; leave it out otherwise']],
    [{ event: 'a', topic: 'b', id: '0.id' }, ['.id: must be one place in the arguments, like {0.id}']],
    [{ event: 'a', topic: 'b', id: '{0.id}', qos: 0 }, ['.id: counts only beside "qos": 1']],
    [{ event: 'a', subscribe: [] }, [`.subscribe: [] must be a text, or a list of 1 to ${FILTERS_PER_RULE_MAX} texts`]],
    [{ event: 'a', subscribe: ['b', 'c#'] }, ['.subscribe[1]: + stands alone in its level, # alone in the last one']],
    [{ event: 'a', list: 'chat/{a}/{b}' }, ['.list: must have exactly one level that is a {name} of its own']],
    [{ event: 'a', list: 'chat/x-{a}' }, ['.list: must have exactly one level that is a {name} of its own']],
    [{ event: 'a', run: 'f' }, ['.run: "f" must be a function, which only a module (rulesModule) or a program']],
    [{ event: 'a', run: async () => ({ ignore: true }) }, ['.run: is async; it must be a plain function']],
    [{ event: 'a**', ignore: true }, ['.event: has two wildcards without a text between them']],
    [{ event: '{a}{b}', ignore: true }, ['.event: has two wildcards without a text between them']],
    [{ event: '{a}-{a}', ignore: true }, ['.event: captures {a} twice']],
    [{ event: '{event}', ignore: true }, ['.event: captures {event}, which has a meaning already']],
    [{ event: '{a b}', ignore: true }, ['.event: {a b} is no name']],
    [{ event: '', ignore: true }, ['.event: "" must not be empty']]
  ] as const) {
    const said = emit(rule)
    t.equal(said.length, lines.length, said.join('\n'))
    for (const [index, line] of lines.entries()) t.ok(said[index].startsWith(`rules.emit[0]${line}`), said[index])
  }
  for (const [rule, line] of [
    [{ topic: 'a/*', event: 'e' }, '.topic: holds *; for one level write +, for all that follow #'],
    [{ topic: 'a/#/b', event: 'e' }, '.topic: # and {name#} stand last'],
    [{ topic: 'a/{b#}/c', event: 'e' }, '.topic: # and {name#} stand last'],
    [{ topic: 'a/x{b#}', event: 'e' }, '.topic: {b#} stands alone in its level'],
    [{ topic: 'a/b+', event: 'e' }, '.topic: + stands alone in its level, # alone in the last one'],
    [{ topic: 'a', event: 'e', proof: 'recieved' }, '.proof: "recieved" must be one of handled, received, ack'],
    [{ topic: 'a', event: '{x}' }, '.event: {x} is not known here'],
    [{ topic: 'a', event: 'connect' }, '.event: "connect" is a name that Socket.IO or the server uses itself'],
    [{ topic: 'a', event: 'holdfast:x' }, '.event: "holdfast:x" is a name that Socket.IO or the server uses itself'],
    [{ topic: 'a', ignore: true, payload: 'json' }, '.payload: counts only beside event or run']
  ] as const) t.ok(deliver(rule)[0].startsWith(`rules.deliver[0]${line}`), deliver(rule)[0])
  for (const [rule, line] of [
    [{ match: 'admin', allow: false }, '.match: "admin" must begin with /, as namespaces do'],
    [{ match: '/a', allow: false, as: '/b' }, '.as: counts only beside "allow": true'],
    [{ match: '/a', as: '/{0}' }, '.as: {0} is not known here; there is none'],
    [{ match: '/a', subscribe: 'x/{event}' }, '.subscribe: {event} is not known here']
  ] as const) t.ok(namespaces(rule)[0].startsWith(`rules.namespaces[0]${line}`), namespaces(rule)[0])
})

t.test('everything that is wrong is told at once, and then there are no rules', async t => {
  const { rules, problems } = readRules({
    namespaces: [{ match: 'x' }], emit: [{ event: 'a', tpic: 'b', qos: 5 }, { event: 'a', topic: '{x}' }], deliver: [7]
  })
  t.same(problems.map(({ at }) => at),
    ['.namespaces[0].match', '.emit[0].qos', '.emit[0].tpic', '.emit[1].topic', '.deliver[0]'])
  t.same(rules.emit, [])
})

t.test('rules have bounds [G6]', async t => {
  const rule = { event: 'a', ignore: true }
  const many = (count: number) => wrong({ emit: Array.from({ length: count }, () => rule) })
  t.same(many(RULES_PER_LIST_MAX), [])
  t.match(many(RULES_PER_LIST_MAX + 1), [/^rules\.emit: .* must be at most 500 rules$/])
  const long = 'x'.repeat(TEXT_LENGTH_MAX + 1)
  t.match(emit({ event: 'a', topic: long }), [/\.topic: .* must be at most 1024 characters$/])
  t.match(emit({ event: 'a', topic: 'b', args: [long] }), [/\.args\[0\]: is longer than 1024/])
  let deep: unknown = 1
  for (let n = 0; n <= VALUE_DEPTH_MAX; n++) deep = [deep]
  t.match(emit({ event: 'a', topic: 'b', payload: 'json', value: deep }), [/\.value(\[0\])+: is nested deeper than 16/])
  const wide = Array.from({ length: VALUE_NODES_MAX }, () => 1)
  t.match(emit({ event: 'a', topic: 'b', payload: 'json', value: wide }), [/\.value: holds more than 256 values$/])
  const circle: Record<string, unknown> = {}
  circle.self = circle
  t.match(emit({ event: 'a', topic: 'b', payload: 'json', value: circle }), [/is nested deeper/])
})

t.test('a file can hold rules, and so can a program; a flag or a variable can not', async t => {
  const lines = (attempt: () => unknown): string[] => {
    try {
      attempt()
    } catch (error) {
      if (error instanceof ConfigError) return error.problems.map(lineOf)
      throw error
    }
    return []
  }
  const load = (args: string[], env: Record<string, string>, file: object) =>
    loadConfig({ args, env, read: () => JSON.stringify(file) })
  const rules = { emit: [{ event: 'a', ignore: true }] }
  t.same(load(['--config', 'h.json'], {}, { rules }).config.rules, rules)
  t.same(programConfig({ rules }, { authenticated: false }).config.rules, rules)
  t.same(lines(() => load(['--config', 'h.json'], {}, { rules: { emit: [{ event: 'a', topc: 'b' }] } })),
    ['h.json: rules.emit[0].topc: there is no such setting; did you mean topic?'])
  t.same(lines(() => programConfig({ rules: { emit: 5 } }, { authenticated: false })),
    ['rules.emit: 5 must be a list of rules'])
  const only = 'rules can be set in a file (--config) only, or by a program'
  t.same(lines(() => load(['--rules', 'x'], {}, {})), [`--rules: ${only}`])
  t.same(lines(() => load([], { HOLDFAST_RULES: 'x' }, {})), [`HOLDFAST_RULES: ${only}`])
  t.match(lines(() => load(['--config', 'h.json', '--rules-module', 'm.js'], {}, { rules })),
    [/^h.json: rules and --rules-module: only one of them can hold the rules/])
})
