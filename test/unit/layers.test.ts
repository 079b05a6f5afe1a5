import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { anyLines, importsOf, longFunctions, privateNames, ROOT, sources, type Source } from '../helpers/sources.ts'

/**
 * Imports go one way. For each layer: the files it holds, and the files of ours that they may import.
 * Seams (types with a few constants) count as leaves: whoever implements or uses one needs nothing of the other side.
 */
const MODEL = 'broker/model/.*'
/** The defaults of bounds. */
const LIMITS = 'broker/model/limits\\.ts'
const SYSTEM = 'broker/system/.*'
/** How one message is written down is the same in the log and in a record. */
const LEAF = `${MODEL}|${SYSTEM}|broker/session/link\\.ts|broker/store/(keys|block|extension-fields|crc)\\.ts`
const AUTH = 'broker/auth/.*'
const STORE_SEAM = 'broker/store/store\\.ts'
const LOG = 'broker/log/.*'
const SESSION = 'broker/session/.*'
const SEAM = 'broker/(broker|core)\\.ts'
const SESSIONS = 'broker/sessions/.*'
const SHARED = 'broker/shared/.*'
const MESSAGES = 'broker/messages/.*'
const EDGE = 'broker/edge/.*'
const BROKER = 'broker/(?!index)[^/]*'
const DOOR = 'broker/index\\.ts'
const PROTOCOL = 'protocol/index\\.ts'
const RULES_SEAM = 'config/rule\\.ts'
/** Types of options. */
const CONFIG_SEAM = 'config/schema\\.ts'
/** Types of config/, under the name that the bridge has for them. */
const RULE = 'bridge/socketio/rules/rule\\.ts'
const TRANSLATION = 'bridge/socketio/translation/.*'
const RULES = 'bridge/socketio/rules/.*'
const WIRE = 'bridge/socketio/wire/.*'
const PROOF = 'bridge/socketio/proof/.*'
/** What travels with each event, so that the wire knows it. */
const TOKEN = 'bridge/socketio/proof/recovery-offset\\.ts'
const CONNECTION = 'bridge/socketio/(connection|back-pressure)\\.ts'
const ADMISSION = 'bridge/socketio/admission/.*'
const BRIDGE = 'bridge/socketio/[^/]*'
const BRIDGE_DOOR = 'bridge/socketio/index\\.ts'
/** Without a server: for the command, which tries rules. */
const RULES_DOOR = 'bridge/socketio/rules/index\\.ts'
const SERVER_DOOR = 'server/index\\.ts'
/** What the command needs before, or without, a server: its door would load all of it. */
const SERVER_LEAF = 'server/(version|listen|rules|access|control)\\.ts'
const BELOW = [LEAF, AUTH, STORE_SEAM, LOG, SESSION, SEAM]
const LAYERS: ReadonlyArray<{ name: string, files: string, may: readonly string[] }> = [
  { name: 'protocol', files: 'protocol/.*', may: ['protocol/.*'] },
  { name: 'config', files: 'config/.*', may: ['config/.*', LIMITS] },
  { name: 'broker/model', files: MODEL, may: [MODEL] },
  { name: 'broker/system', files: SYSTEM, may: [LEAF] },
  { name: 'broker/auth', files: AUTH, may: [LEAF, AUTH, PROTOCOL] },
  { name: 'broker/store', files: 'broker/store/.*', may: [LEAF, 'broker/store/.*'] },
  { name: 'broker/log', files: LOG, may: [LEAF, STORE_SEAM, LOG] },
  { name: 'broker/session', files: SESSION, may: [LEAF, STORE_SEAM, LOG, SESSION] },
  { name: 'broker/sessions', files: SESSIONS, may: [...BELOW, SESSIONS] },
  { name: 'broker/shared', files: SHARED, may: [...BELOW, SESSIONS, SHARED, 'broker/messages/subscribing\\.ts'] },
  { name: 'broker/messages', files: MESSAGES, may: [...BELOW, SESSIONS, SHARED, MESSAGES] },
  { name: 'broker/edge', files: EDGE, may: [...BELOW, MESSAGES, EDGE] },
  { name: 'broker', files: BROKER, may: [...BELOW, SESSIONS, SHARED, MESSAGES, EDGE, BROKER] },
  { name: 'broker/mqtt', files: 'broker/mqtt/.*', may: [LEAF, AUTH, SESSION, SEAM, 'broker/mqtt/.*'] },
  { name: 'the door of the broker', files: DOOR, may: ['broker/.*'] },
  { name: 'the translation of the bridge', files: TRANSLATION, may: [DOOR, PROTOCOL, RULE, TRANSLATION] },
  { name: 'the rules of the bridge', files: RULES, may: [DOOR, PROTOCOL, RULES_SEAM, TRANSLATION, RULES] },
  { name: 'the wire of the bridge', files: WIRE, may: [DOOR, PROTOCOL, CONFIG_SEAM, TRANSLATION, RULES, TOKEN, WIRE] },
  { name: 'the proofs of the bridge', files: PROOF, may: [DOOR, PROTOCOL, WIRE, PROOF] },
  { name: 'a connection of the bridge', files: CONNECTION, may: [DOOR, WIRE, PROOF, CONNECTION] },
  {
    name: 'the admission of the bridge',
    files: ADMISSION,
    may: [DOOR, PROTOCOL, TRANSLATION, RULES, WIRE, PROOF, CONNECTION, ADMISSION]
  },
  {
    name: 'bridge',
    files: BRIDGE,
    may: [DOOR, PROTOCOL, CONFIG_SEAM, TRANSLATION, RULES, WIRE, PROOF, ADMISSION, BRIDGE]
  },
  { name: 'client', files: 'client/.*', may: ['client/.*', PROTOCOL] },
  {
    name: 'server',
    files: 'server/.*',
    may: ['server/.*', 'config/.*', DOOR, 'broker/store/.*', PROTOCOL, BRIDGE_DOOR, 'package\\.json']
  },
  {
    name: 'a command that starts a server, loaded when it is asked for',
    files: 'bin/(start|sessions-add)\\.ts',
    may: ['bin/.*', SERVER_DOOR, SERVER_LEAF, 'config/.*', DOOR, PROTOCOL]
  },
  {
    name: 'bin',
    files: 'bin/.*',
    may: ['bin/.*', SERVER_LEAF, 'config/.*', DOOR, 'broker/store/.*', PROTOCOL, RULES_DOOR]
  },
  { name: 'the library', files: 'index\\.ts', may: [SERVER_DOOR, DOOR, 'config/.*'] }
]
/** Where names stand that a library keeps to itself; of ws there are two copies, Engine.IO's and ours. */
const PRIVATE_NAMES = 'broker/mqtt/(engine/(aedes|client)|wire/wires)\\.ts|' +
  'bridge/socketio/wire/(engine|socketio|ws)\\.ts'
/** Of the format of Socket.IO's packets, and public there. */
const NOT_PRIVATE: ReadonlySet<string> = new Set(['_placeholder'])
/** Their private names are used: an upgrade is looked at first. Of socket.io a range, as the project brings its own. */
const PINNED = ['aedes', 'lmdb', 'websocket-stream', 'ws']
const STORES = /^broker\/store\/(memory|embedded|redis)\.ts$/
const LINES_MAX = 400
const COLUMNS_MAX = 120
const FUNCTION_LINES_MAX = 70
/** Files with a function that is longer, and to be split; none may come. */
const LONG_FUNCTIONS: readonly string[] = [
  'broker/holdfast-broker.ts', 'broker/mqtt/engine/client.ts', 'broker/mqtt/server.ts', 'server/http/front.ts'
]

const all = sources()
const product = all.filter(({ path }) => !/^(test|bench)\//.test(path))
const whole = (pattern: string): RegExp => new RegExp(`^(?:${pattern})$`)

t.test('imports go one way: each layer imports only what lies below it', async t => {
  for (const source of product) {
    const layer = LAYERS.find(({ files }) => whole(files).test(source.path))
    if (layer === undefined) {
      t.fail(`${source.path} belongs to no layer: give it one in test/unit/layers.test.ts`)
      continue
    }
    const wrong = ours(source).filter(target => !layer.may.some(pattern => whole(pattern).test(target)))
    t.same(wrong, [], `${source.path} (${layer.name})`)
  }
})

t.test('imports name files that exist', async t => {
  for (const source of all) {
    t.same(ours(source).filter(target => !existsSync(join(ROOT, target))), [], source.path)
  }
})

t.test('imports make no cycle, not even one of types', async t => {
  const next = new Map(product.map(source => [source.path, ours(source)]))
  const done = new Set<string>()
  const path: string[] = []
  const cycles = new Set<string>()
  function walk (file: string): void {
    const at = path.indexOf(file)
    if (at >= 0) { cycles.add([...path.slice(at), file].join(' > ')); return }
    if (done.has(file)) return
    path.push(file)
    for (const target of next.get(file) ?? []) walk(target)
    path.pop()
    done.add(file)
  }
  for (const file of next.keys()) walk(file)
  t.same([...cycles], [])
})

t.test('a store implementation is named by the composition root alone', async t => {
  for (const source of product) {
    const named = ours(source).filter(target => STORES.test(target))
    if (source.path !== 'server/open-broker.ts') t.same(named, [], source.path)
  }
})

t.test('what a library keeps to itself is named in one file of ours, and its version is fixed', async t => {
  for (const source of product.filter(({ path }) => !whole(PRIVATE_NAMES).test(path))) {
    const named = privateNames(source).filter(name => !NOT_PRIVATE.has(name))
    t.same(named, [], `${source.path}: use a function of the library's own file`)
  }
  const { dependencies } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as
    { dependencies: Record<string, string> }
  for (const name of PINNED) t.match(dependencies[name], /^\d+\.\d+\.\d+$/, name)
})

t.test('client and protocol run in a browser: they import nothing of Node', async t => {
  for (const source of product.filter(({ path }) => whole('(client|protocol)/.*').test(path))) {
    t.same(importsOf(source).map(({ target }) => target).filter(target => target.startsWith('node:')), [], source.path)
  }
})

t.test(`no file is longer than ${LINES_MAX} lines, no line longer than ${COLUMNS_MAX} characters`, async t => {
  for (const { path, text } of all) {
    const lines = text.split('\n')
    t.ok(lines.length - 1 <= LINES_MAX, `${path} has ${lines.length - 1} lines`)
    const long = lines.flatMap((line, index) => line.length > COLUMNS_MAX ? [`${path}:${index + 1}`] : [])
    t.same(long, [], `${path}: lines over ${COLUMNS_MAX} characters`)
  }
})

t.test(`no function of the product is longer than ${FUNCTION_LINES_MAX} lines`, async t => {
  for (const source of product) {
    const long = longFunctions(source, FUNCTION_LINES_MAX)
    if (!LONG_FUNCTIONS.includes(source.path)) t.same(long, [], `${source.path}: split it by what it does`)
    else t.not(long.length, 0, `${source.path} has none any more: take it from the list`)
  }
})

t.test('nothing is left behind: marks, tests that run alone, values without a type', async t => {
  const banned: ReadonlyArray<readonly [RegExp, string]> = [
    [/\b(TO[D]O|FI[X]ME|X[X]X|HA[C]K)\b/, 'a leftover mark: do it, or open an issue'],
    [/\.onl[y]\(/, 'a test that runs alone: remove it before committing'],
    [/\bdebugge[r]\b/, 'a breakpoint']
  ]
  for (const { path, text } of all) {
    for (const [index, line] of text.split('\n').entries()) {
      for (const [pattern, says] of banned) if (pattern.test(line)) t.fail(`${path}:${index + 1}: ${says}`)
    }
  }
  t.pass(`${all.length} files read`)
})

t.test('every value has a type: `any` is nowhere, use `unknown` and look at it', async t => {
  for (const source of all.filter(({ path }) => path.endsWith('.ts'))) t.same(anyLines(source), [], source.path)
})

function ours (source: Source): string[] {
  return importsOf(source).filter(({ ours }) => ours).map(({ target }) => target)
}
