import t, { type Test } from 'tap'
import { silent, type Logger } from '../../broker/index.ts'
import { VERSIONS, type Version } from '../helpers/socketio-clients.ts'
import { until, within } from '../helpers/wait.ts'
import { collect, connectClient, startBridged, type Bridged } from '../integration/socketio-harness.ts'
import { startChromium, type Chromium } from './chromium.ts'
import { startKiller } from './killer.ts'
import { addPages } from './pages.ts'
import { Tab, type Told } from './tab.ts'

const MESSAGES = 60
const KILL_EVERY = 4
/** A slow machine sends more with each response: it goes on until so many were lost, and an end. */
const KILLS = 4
const MESSAGES_MAX = 2_000

interface Result {
  readonly version: Version
  readonly kills: number
  readonly count: number
  readonly down: readonly number[]
  readonly up: readonly number[]
  readonly receipts: readonly number[]
  readonly disconnects: readonly string[]
}

/** Messages both ways while responses are lost. */
async function converse (t: Test, browser: Chromium, { port, url }: Bridged, version: Version): Promise<Result> {
  const killer = await startKiller(t, { port })
  const sender = await connectClient(t, url)
  const up = collect(sender, `up ${version}`)
  const down: number[] = []
  const receipts: number[] = []
  const disconnects: string[] = []
  const tab = await Tab.open(browser.profile)
  let connected = (): void => {}
  const isConnected = new Promise<void>(resolve => { connected = resolve })
  await tab.show(killer.url, { version, transport: 'polling', clientId: `page ${version}` }, (told: Told) => {
    if (told[0] === 'connect') connected()
    else if (told[0] === 'disconnect') disconnects.push(told[1])
    else if (told[0] === 'seen') down.push(told[2])
    else if (told[0] === 'answer') receipts.push(told[1])
  })
  await within(isConnected, `${version} to connect`)
  killer.every = KILL_EVERY
  let count = 0
  for (; count < MESSAGES || (killer.kills < KILLS && count < MESSAGES_MAX); count++) {
    tab.emit(count, [`up ${version}`, count])
    await sender.emitWithAck('send', { user: `page ${version}` }, 'm', 's', count)
  }
  await until(() => new Set(down).size === count, `${version}: all messages`)
  if (disconnects.length === 0) await until(() => receipts.length === count, `${version}: all receipts`)
  killer.every = 0
  await tab.close()
  return { version, kills: killer.kills, count, down, up: up.values as number[], receipts, disconnects }
}

t.test('Chromium repeats requests whose response was lost; nothing is lost, run twice or cut [G2] [G4]', async t => {
  const sentences: string[] = []
  const note = (_fields: object, sentence: string): void => { sentences.push(sentence) }
  const log: Logger = { ...silent, debug: note, info: note }
  const browser = await startChromium(t)
  const bridged = await startBridged(t, { log })
  addPages(bridged.http)
  const results = await Promise.all(VERSIONS.map(async version => await converse(t, browser, bridged, version)))
  for (const { version, kills, count, down, up, receipts, disconnects } of results) {
    const all = [...Array(count).keys()]
    t.comment(`${version}: ${kills} responses lost, ${down.length - count} duplicates, ` +
      `${disconnects.length} disconnects`)
    t.ok(kills >= KILLS, `${version}: ${kills} responses were lost`)
    t.same(down, all, `${version}: what the page handled`)
    t.same(up, all, `${version}: what the page sent`)
    t.same(receipts, all, `${version}: receipts, in order`)
    t.same(disconnects, [], version)
  }
  const again = sentences.filter(sentence => sentence.includes('the same answer')).length
  t.ok(again > 0, `${again} repeated requests got the same answer`)
})
