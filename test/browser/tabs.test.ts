import t, { type Test } from 'tap'
import type { Broker, ClientId } from '../../broker/index.ts'
import { createProxy, type Proxy } from '../helpers/proxy.ts'
import { RECOVERING, TRANSPORTS, VERSIONS, type Transport, type Version } from '../helpers/socketio-clients.ts'
import { pause, until } from '../helpers/wait.ts'
import { startBridged, type Bridged } from '../integration/socketio-harness.ts'
import { startChromium, type Chromium } from './chromium.ts'
import { addPages } from './pages.ts'
import { Tab, type Told } from './tab.ts'

const PUBLISH_MS = 15
const PHASE_MESSAGES = 12

/** A tab that says nothing of who it is, behind a link of its own; cookies don't look at ports. */
class NamelessTab {
  readonly proxy: Proxy
  /** In all its documents. */
  readonly seen: number[] = []
  readonly disconnects: string[] = []
  connects = 0
  readonly #tab: Tab

  constructor (tab: Tab, proxy: Proxy) {
    this.#tab = tab
    this.proxy = proxy
  }

  readonly #listener = (told: Told): void => {
    if (told[0] === 'connect') this.connects++
    if (told[0] === 'disconnect') this.disconnects.push(told[1])
    if (told[0] === 'seen') this.seen.push(told[2])
  }

  async show (version: Version, transport: Transport): Promise<void> {
    await this.#tab.show(`http://127.0.0.1:${this.proxy.port}`, { version, transport }, this.#listener)
    await this.connected(1)
  }

  async connected (times: number): Promise<void> {
    await until(() => this.connects >= times, `connection ${times} of a tab`)
  }

  async saw (number: number): Promise<void> {
    await until(() => this.seen.includes(number), `message ${number} to reach a tab`)
  }

  async reload (): Promise<void> {
    await this.#tab.reload(this.#listener)
    await this.connected(this.connects + 1)
  }
}

/** Publishes to everyone, again and again, until it is stopped. */
function publishAll (broker: Broker): { readonly count: number, more (): Promise<void>, stop (): void } {
  const publisher = { clientId: 'publisher' as ClientId, principal: 'anonymous' as never }
  let sent = 0
  let count = 0
  const timer = setInterval(() => {
    const payload = Buffer.from(JSON.stringify({ $hf: 1, id: `${sent}`, args: ['s', sent++] }))
    broker.publish(publisher, { topic: 'io/_/all/m', payload, qos: 1, retain: false, id: '' }, () => { count++ })
  }, PUBLISH_MS)
  return {
    get count () { return count },
    async more () {
      const end = count + PHASE_MESSAGES
      await until(() => count >= end, 'some messages')
    },
    stop () { clearInterval(timer) }
  }
}

interface Result { readonly name: string, readonly count: number, readonly tabs: readonly NamelessTab[] }

async function twoTabs (
  t: Test, browser: Chromium, { broker, port }: Bridged, version: Version, transport: Transport
): Promise<Result> {
  const profile = await browser.newProfile()
  const newTab = async (): Promise<NamelessTab> =>
    new NamelessTab(await Tab.open(profile), await createProxy(t, { port }))
  const [first, second] = [await newTab(), await newTab()]
  await first.show(version, transport) // the cookie is set by the first answer
  await second.show(version, transport)
  const load = publishAll(broker)
  t.teardown(() => load.stop())
  await load.more()
  await first.reload()
  await load.more()
  for (const tab of [first, second]) {
    tab.proxy.cut('reset') // long polling may come through it without a new connection
    await load.more()
    await tab.saw(load.count)
  }
  if (RECOVERING.includes(version)) {
    for (const tab of [second, first]) tab.proxy.cut('finish')
    await load.more()
    for (const tab of [second, first]) await tab.saw(load.count)
  }
  load.stop()
  await pause(PUBLISH_MS)
  return { name: `${version}/${transport}`, count: load.count, tabs: [first, second] }
}

/**
 * Of the browser, by its cookie. A page that is slow to start may have given up a first connection before it heard of a
 * cookie: then that one has left a session of its own behind, which nobody comes for.
 */
function slots (broker: Broker): string[] {
  const sessions = [...broker.sessions()]
  const deviceOf = (clientId: ClientId): string => clientId.slice(0, clientId.lastIndexOf(':'))
  const device = deviceOf(sessions.find(({ attached }) => attached)!.clientId)
  return sessions.filter(({ clientId }) => deviceOf(clientId) === device)
    .map(({ clientId }) => clientId.slice(device.length + 1)).sort()
}

t.test('two tabs known by the cookie alone are two sessions; a reload goes on in its own [G2] [G3] [G7]', async t => {
  const browser = await startChromium(t)
  const transports = Object.keys(TRANSPORTS) as Transport[]
  await Promise.all(VERSIONS.map(async (version, index) => {
    const bridged = await startBridged(t, { bridge: { eio3PingIntervalMs: 300 } })
    addPages(bridged.http)
    const { name, count, tabs } = await twoTabs(t, browser, bridged, version, transports[index % transports.length])
    for (const [number, { seen }] of tabs.entries()) {
      const missing = (): number[] => [...Array(count).keys()].filter(n => !seen.includes(n))
      await until(() => missing().length === 0, `${name}: tab ${number} to have all`).catch(() => {})
      t.same(missing(), [], `${name}: nothing is lost for tab ${number}`)
      const first = seen.filter((n, index) => seen.indexOf(n) === index)
      t.same(first, [...first].sort((a, b) => a - b), `${name}: tab ${number} sees them in order`)
    }
    t.same(slots(bridged.broker), ['0', '1'], `${name}: two sessions`)
    const reasons = tabs.flatMap(({ disconnects }) => disconnects)
    t.notOk(reasons.includes('io server disconnect'), `${name}: nobody is thrown out`)
    t.comment(`${name}: ${count} messages, ${tabs.map(({ seen }) => seen.length - count).join(' and ')} seen twice`)
  }))
})
