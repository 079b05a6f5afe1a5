/** `holdfast check`: what it says of rules. */
import { join } from 'node:path'
import t from 'tap'
import { check } from '../../bin/check.ts'
import { rulesOf } from '../../server/rules.ts'
import { ruleExamples } from '../../bin/rule-examples.ts'
import { readRules } from '../../config/bridge-rules.ts'
import { ConfigError, lineOf } from '../../config/problem.ts'
import type { RulesOption } from '../../config/rule.ts'

function examples (option: RulesOption) {
  const { rules, problems } = readRules(option)
  t.same(problems, [])
  return ruleExamples(rules)
}

t.test('every rule has an example of what it is for and what becomes of it', async t => {
  t.same(examples({
    namespaces: [{ match: '/v1/{rest}', as: '/{rest}', subscribe: 'all/{rest}' }, { match: '/admin*', allow: false }],
    emit: [
      { event: 'say:{room}', topic: 'chat/{room}', args: ['{clientId}', '{0.text}'] },
      { event: 'firmware', topic: 'd/{0}', payload: 'bytes', value: '{1}', qos: 0, retain: true },
      { event: 'enter', subscribe: ['chat/{0}/+'] }, { event: 'where', list: 'chat/{room}/+' },
      { event: 'where', ignore: true }, { event: 'no', refuse: 'not here' },
      { event: 'f', run: ({ args }) => ({ topic: `f/${args.length}`, payload: 'text' }) },
      { event: 'g', run: () => { throw new Error('no database') } }
    ],
    deliver: [
      { topic: 'd/{id}/state', event: 'state', payload: 'json', args: ['{id}', '{payload.on}'], proof: 'received' },
      { topic: 'd/#', event: 'all', proof: 'ack' }, { topic: 'd/x/state', ignore: true }
    ]
  }), [
    ['namespaces[0]', 'U1 opens /v1/rest', '/rest, subscribed to io/rest/all/+, io/rest/user/U1/+, all/rest'],
    ['namespaces[1]', 'U1 opens /adminany', 'refused: Invalid namespace'],
    ['emit[0]', 'U1 emits "say:room", {"text":"text"} in /',
      'chat/room with {"$hf":1,"id":"made-up","args":["U1","text"]}, QoS 1'],
    ['emit[1]', 'U1 emits "firmware", "argument0", the bytes 01 02 03 in /',
      'd/argument0 with the bytes 01 02 03, QoS 0, retained'],
    ['emit[2]', 'U1 emits "enter", "argument0" in /', 'subscribed to chat/argument0/+'],
    ['emit[3]', 'U1 emits "where" in /', 'the answer lists what stands for * in chat/*/+'],
    ['emit[4]', 'U1 emits "where" in /', 'nothing', 'never asked for this: emit[3] comes first and matches'],
    ['emit[5]', 'U1 emits "no" in /', 'refused: REFUSED, not here'],
    ['emit[6]', 'U1 emits "f", "argument0", "argument1" in /', 'f/2 with argument0, QoS 1'],
    ['emit[7]', 'U1 emits "g", "argument0", "argument1" in /',
      'refused: RULE_FAILED, the rule for this event failed; the log of the server says why (rules.emit[7])',
      'the function fails with what is made up here: no database'],
    ['deliver[0]', 'a message on d/id/state with {"on":"on"}, for clients in /',
      '"state", "id", "on"; counts as delivered when it was received'],
    ['deliver[1]', 'a message on d/any/more with "text", for clients in /',
      '"all", "text"; counts as delivered when the application acknowledged it'],
    ['deliver[2]', 'a message on d/x/state with text, for clients in /',
      'nothing; the message counts as delivered', 'never asked for this: deliver[0] comes first and matches']
  ].map(([rule, given, becomes, note]) => ({ rule, given, becomes, note })))
})

t.test('a rule may have an example of its own; what nobody sees of the message is said, too', async t => {
  t.same(examples({
    emit: [
      { event: 'say', topic: 'r/{0}', args: ['{1}'], echo: false, answer: 'error-first', example: ['red', { a: 1 }] },
      { event: 'f', run: ({ args }) => ({ topic: `f/${(args[0] as { id: number }).id}` }), example: [{ id: 7 }] },
      { event: 'g', run: () => { throw new Error('no database') }, example: [] }
    ],
    deliver: [
      { topic: 'd/{id}', event: 'state', args: ['{payload.on}'], payload: 'json', example: { on: true } },
      { topic: 'e', event: 'text', example: 'as it is' }
    ]
  }).map(({ given, becomes, note }) => [given, becomes, ...note === undefined ? [] : [note]]), [
    ['U1 emits "say", "red", {"a":1} in /', 'r/red with {"$hf":1,"id":"made-up","args":[{"a":1}]}, QoS 1, ' +
      'not back to who emits it; its callback gets an error first'],
    ['U1 emits "f", {"id":7} in /', 'f/7 with {"$hf":1,"id":"made-up","args":[{"id":7}]}, QoS 1'],
    ['U1 emits "g" in /',
      'refused: RULE_FAILED, the rule for this event failed; the log of the server says why (rules.emit[2])',
      'the function fails with the example of the rule: no database'],
    ['a message on d/id with {"on":true}, for clients in /', '"state", true; counts as delivered when it was handled'],
    ['a message on e with as it is, for clients in /', '"text", "as it is"; counts as delivered when it was handled']
  ])
  t.match(readRules({ emit: [{ event: 'a', topic: 'b', example: 'x' }] }).problems,
    [{ says: /must be a list of arguments/ }])
  t.match(readRules({ deliver: [{ topic: 'a', event: 'b', example: 1n }] }).problems, [{ says: /JSON can hold/ }])
  t.match(examples({ emit: [{ event: 'a', topic: 'b', example: [1n] }] }), [{ given: 'U1 emits "a", 1 in /' }])
})

t.test('without the defaults a session has no filters but those of the rules', async t => {
  const rules = { defaults: false, namespaces: [{ match: '/a', subscribe: 'x/#' }, { match: '/b' }] }
  t.same(examples(rules).map(({ becomes }) => becomes), ['/a, subscribed to x/#', '/b, subscribed to nothing'])
})

t.test('check prints the examples of the file, or of the module', async t => {
  const file = JSON.stringify({ rules: { emit: [{ event: 'a', topic: 'b/{0}' }] } })
  const line = { args: ['--config', 'h.json'], env: {}, read: () => file }
  t.match(await check(line), /\n {2}emit\[0\]\n {4}U1 emits "a", "argument0" in \/\n {4}-> b\/argument0 with /)
  const json = JSON.parse(await check({ ...line, args: [...line.args, '--json'] })) as { ruleExamples: object[] }
  t.match(json.ruleExamples, [{ rule: 'emit[0]' }])
  const module = 'export default { emit: [{ event: "x", run: () => ({ topic: "made/here" }) }] }'
  const folder = t.testdir({ 'rules.mjs': module })
  const said = await check({ ...line, args: ['--rules-module', join(folder, 'rules.mjs')] })
  t.match(said,
    /Rules of .*rules\.mjs, each with its example, or one that is made up\n {2}emit\[0\]\n.*\n {4}-> made\/here with /)
  t.notMatch(await check({ ...line, args: [] }), /Rules/)
})

t.test('what is wrong with a module is told with its name and the place', async t => {
  const folder = t.testdir({
    'broken.mjs': 'nonsense(',
    'throws.mjs': 'throw new Error("no database\\nhere")',
    'empty.mjs': 'export const rules = {}',
    'wrong.mjs': 'export default { emit: [{ event: "a", run: async () => ({}) }, { event: "b", topc: "c" }] }'
  })
  for (const [name, ...lines] of [
    ['none.mjs', /^rulesModule: .*none\.mjs can't be loaded \(Cannot find module/],
    ['broken.mjs', /^rulesModule: .*broken\.mjs can't be loaded \(/],
    ['throws.mjs', /^rulesModule: .*throws\.mjs can't be loaded \(no database here\)$/],
    ['empty.mjs', /^rulesModule: .*empty\.mjs has no default export; write export default/],
    ['wrong.mjs', /wrong\.mjs: rules\.emit\[0\]\.run: is async/, /\.emit\[1\]\.topc: .* did you mean topic\?$/]
  ] as const) {
    const error: unknown = await rulesOf({ rules: {}, rulesModule: join(folder, name) }).then(() => undefined, e => e)
    if (!(error instanceof ConfigError)) { t.fail(`${name}: ${String(error)}`); continue }
    t.match(error.problems.map(lineOf), lines, name)
    t.equal(error.problems.length, lines.length)
  }
})
