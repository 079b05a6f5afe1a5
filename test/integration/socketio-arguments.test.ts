/** What handlers of clients get: the arguments that were sent, by default, and nothing besides. */
import t, { type Test } from 'tap'
import { createProxy } from '../helpers/proxy.ts'
import { legacyClient, RECOVERING, TRANSPORTS, VERSIONS, type Transport, type Version
} from '../helpers/socketio-clients.ts'
import { until, within } from '../helpers/wait.ts'
import { connectClient, startBridged } from './socketio-harness.ts'

const SAID: ReadonlyArray<readonly unknown[]> = [
  ['hello'], [], [''], [7], [{ deep: ['text'] }], [null], [['list']], [Buffer.from('bytes')], ['x'.repeat(20_000)]
]
const MORE = [['a', 'b'], ['text', Buffer.from('bytes'), 'text'], [{}, null]]
const ALL = [...SAID, ...MORE]

for (const version of VERSIONS) {
  t.test(`${version}: a handler gets what was sent, live and after a cut, and may call its last argument if there ` +
    'is one', async t => {
    const transports = Object.keys(TRANSPORTS) as Transport[]
    await Promise.all(transports.map(async transport => await says(t, version, transport)))
  })
}

async function says (t: Test, version: Version, transport: Transport): Promise<void> {
  const { port, url } = await startBridged(t)
  const proxy = await createProxy(t, { port })
  const speaker = await connectClient(t, url, { auth: { clientId: 'speaker' } })
  const query = { clientId: 'hearer' }
  const socket = legacyClient(version, `http://127.0.0.1:${proxy.port}`,
    { transports: TRANSPORTS[transport], auth: query, query })
  t.teardown(() => { socket.disconnect() })
  const heard: unknown[][] = []
  for (const event of ['said', 'more']) socket.on(event, (...args: unknown[]) => { heard.push(args) })
  const names: string[] = []
  if ('onAny' in socket) (socket.onAny as (listener: (event: string) => void) => void)(event => { names.push(event) })
  socket.on('said', (_text: string, ack?: () => void) => { ack?.() }) // what it throws fails the test
  await until(() => socket.connected, 'the client to come')
  const say = async (): Promise<void> => {
    for (const args of ALL) {
      const event = SAID.includes(args) ? 'said' : 'more'
      await within(new Promise(resolve => speaker.emit('send', { user: 'hearer' }, event, ...args, resolve)), 'an ack')
    }
  }
  await say()
  await until(() => heard.length >= ALL.length, 'all of it')
  proxy.refuse()
  proxy.cut('reset')
  await until(() => !socket.connected, 'the client to notice')
  await say()
  proxy.pass()
  await until(() => heard.length >= 2 * ALL.length, 'what it missed')
  t.same(heard.slice(-ALL.length).map(plain), ALL.map(plain), `${transport}: after the cut`)
  t.same(heard.slice(0, ALL.length).map(plain), ALL.map(plain), `${transport}: live`)
  t.same(names.filter(name => !['said', 'more'].includes(name) && !name.startsWith('holdfast:')), [])
  if (RECOVERING.includes(version)) t.ok(names.includes('holdfast:offset'), 'only who listens to all sees the offset')
}

/** Bytes come as Buffers in Node. */
function plain (args: readonly unknown[]): unknown[] {
  return args.map(value => value instanceof Uint8Array ? Buffer.from(value).toString('hex') : value)
}
