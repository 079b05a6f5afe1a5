import t from 'tap'
import type { ClientId } from '../../broker/index.ts'
import { TRANSPORTS, VERSIONS, type Transport, type Version } from '../helpers/socketio-clients.ts'
import { pause, until } from '../helpers/wait.ts'
import { connectMqtt, startBridged, type Bridged } from '../integration/socketio-harness.ts'
import { startChromium, type Chromium } from './chromium.ts'
import { addPages } from './pages.ts'
import { Tab } from './tab.ts'

const MESSAGES = 10
const TRANSPORT_NAMES = Object.keys(TRANSPORTS) as Transport[]
/** Versions whose pages are busy at the same time. */
const TOGETHER = 2
const BLOCK_MS = 800
const SAMPLE_MS = 20
/** Between the clocks of two processes of one machine. */
const CLOCK_MS = 5

interface Result {
  readonly name: string
  /** The most that the server counted as handled while the first handler had not returned. */
  readonly provenWhileBlocked: number
  readonly samples: number
  /** After the end of the handler. */
  readonly proofMs: number
}

/** Messages for a page whose handler of the first one keeps it busy. */
async function block (
  browser: Chromium, { broker, url, mqttUrl }: Bridged, version: Version, transport: Transport
): Promise<Result> {
  const name = `b${version.replace('.', '-')}-${transport}`
  const device = await connectMqtt(t, mqttUrl)
  const unproven = (): number => broker.session(`io:_:${name}` as ClientId)!.inflightMessages
  const tab = await Tab.open(browser.profile)
  let isConnected = false
  let blockedUntilMs = 0
  let seen = 0
  await tab.show(url.replace('127.0.0.1', `${name}.localhost`), { version, transport, clientId: name }, told => {
    if (told[0] === 'connect') isConnected = true
    if (told[0] === 'blocked') blockedUntilMs = told[1]
    if (told[0] === 'seen') seen++
  })
  await until(() => isConnected, `${name} to connect`)
  await tab.block(BLOCK_MS)
  const envelopes = [...Array(MESSAGES).keys()].map(n => JSON.stringify({ $hf: 1, id: `${n}`, args: ['s', n] }))
  await Promise.all(envelopes.map(async text => await device.publishAsync(`io/_/user/${name}/m`, text, { qos: 1 })))
  await until(() => blockedUntilMs > 0, `${name} to be blocked`)
  const samples: number[] = []
  while (Date.now() < blockedUntilMs - CLOCK_MS) {
    samples.push(MESSAGES - unproven())
    await pause(SAMPLE_MS)
  }
  await until(() => seen === MESSAGES && unproven() === 0, `${name}: all messages and all proofs`)
  await tab.close()
  const proofMs = Date.now() - blockedUntilMs
  return { name, provenWhileBlocked: Math.max(0, ...samples), samples: samples.length, proofMs }
}

t.test('while a handler keeps a page busy nothing that it was sent counts as handled [G2]', async t => {
  const browser = await startChromium(t)
  const bridged = await startBridged(t, { bridge: { eio3PingIntervalMs: 300 } })
  addPages(bridged.http)
  for (let from = 0; from < VERSIONS.length; from += TOGETHER) {
    const results = await Promise.all(VERSIONS.slice(from, from + TOGETHER).flatMap(version =>
      TRANSPORT_NAMES.map(async transport => await block(browser, bridged, version, transport))))
    for (const { name, provenWhileBlocked, samples, proofMs } of results) {
      t.equal(provenWhileBlocked, 0, name)
      t.ok(samples > 0, `${name} was looked at while it was blocked`)
      t.comment(`${name}: 0 of ${MESSAGES} in ${samples} samples; proven ${Math.round(proofMs)} ms after the handler`)
    }
  }
})
