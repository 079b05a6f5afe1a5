/**
 * One conversation: clients of every version over every transport in Socket.IO's own chat (the event `chat message`, to
 * everyone), and mosquitto_pub and mosquitto_sub on its topic. Every link is cut again and again, and the server is
 * killed and started again and again.
 */
import { connectAsync } from 'mqtt'
import { decodePayload } from '../../protocol/envelope.ts'
import { createProxy, type Proxy } from '../helpers/proxy.ts'
import { createRandom, type Random } from '../helpers/random.ts'
import { startServer, type Address, type ServerProcess } from '../helpers/server.ts'
import { TRANSPORTS, VERSIONS, type Transport } from '../helpers/socketio-clients.ts'
import type { Scope } from '../helpers/temp.ts'
import { pause, until } from '../helpers/wait.ts'
import { ChatClient, Mosquitto } from './participants.ts'
import { isComplete, judge, type Promised } from './verdict.ts'

/** Somebody in the conversation. What is said is `name number`. */
export interface Participant extends Promised {
  /** Like `socket.io-client 2.5, polling`. */
  readonly kind: string
  /** What it was shown, in order. */
  readonly seen: readonly string[]
  /** As in Life. */
  readonly leftovers?: ReadonlyMap<string, number>
  /** Resolves when it is there; nothing is said before. */
  readonly joined: Promise<void>
  /** Undefined where a program does not tell. */
  readonly reconnects: number | undefined
  readonly recovered: number | undefined
  /** Nothing is to be seen twice but what the leftovers excuse. */
  readonly isExact: boolean
  /** Says something if it has a receipt for what it said before. */
  say (): void
  /** Resolves when everything it said has its receipt. */
  finish (ms: number): Promise<void>
  end (): Promise<void>
}

export interface ConversationRow {
  readonly name: string
  readonly kind: string
  readonly said: number
  readonly expected: number
  readonly lost: number
  readonly disordered: number
  readonly duplicates: number
  readonly leftover: number
  readonly retried: number
  readonly reconnects: number | undefined
  readonly recovered: number | undefined
  readonly problems: readonly string[]
}

export interface Conversation {
  readonly seed: number
  readonly seconds: number
  /** Of links; and of the server with SIGKILL. */
  readonly cuts: number
  readonly kills: number
  readonly rows: readonly ConversationRow[]
  /** What took longer than it may. */
  readonly problems: readonly string[]
}

export interface ConversationOptions {
  readonly seed: number
  readonly seconds: number
  readonly flags: readonly string[]
  /** Others who take part: each has its own link to the HTTP port, which is cut. */
  readonly more?: ReadonlyArray<(name: string, proxy: Proxy) => Promise<Participant>>
}

export const CHAT_EVENT = 'chat message'
export const CHAT_TOPIC = `io/_/all/${CHAT_EVENT}`
const FINISH_MS_MAX = 120_000
/** Between two cuts of a link: often, and long enough to come back and say something. */
const CUT_MS_MIN = 400
const CUT_MS_MAX = 2_500

export async function converse (
  scope: Scope, { seed, seconds, flags, more = [] }: ConversationOptions
): Promise<Conversation> {
  const random = createRandom(seed)
  const server = await startServer(scope, { flags })
  const { log, greet } = await witness(scope, server.mqtt)
  const proxies: Proxy[] = []
  async function link (to: Address): Promise<Proxy> {
    const proxy = await createProxy(scope, to)
    proxies.push(proxy)
    return proxy
  }
  const participants: Participant[] = []
  for (const version of VERSIONS) {
    for (const transport of Object.keys(TRANSPORTS) as Transport[]) {
      participants.push(new ChatClient(`v${version}-${transport}`, version, transport, await link(server.http)))
    }
  }
  for (const [index, join] of more.entries()) participants.push(await join(`page${index}`, await link(server.http)))
  participants.push(await Mosquitto.start(scope, 'mosquitto', await link(server.mqtt), greet))
  await Promise.all(participants.map(async ({ joined }) => await joined))

  const speaking = setInterval(() => { random.pick(participants).say() }, 15)
  const endMs = Date.now() + seconds * 1_000
  const [cuts, kills] = await Promise.all([
    cutAgainAndAgain(proxies, random, endMs), killAgainAndAgain(server, random, endMs)
  ])
  clearInterval(speaking)
  const problems: string[] = []
  const wait = async (work: Promise<unknown>): Promise<void> => {
    await work.catch((error: unknown) => problems.push((error as Error).message))
  }
  await Promise.all(participants.map(async one => await wait(one.finish(FINISH_MS_MAX))))
  await wait(until(() => participants.every(one => isComplete(sightings(one), participants, log)),
    'everybody to have seen everything', FINISH_MS_MAX, 100))
  await Promise.all(participants.map(async one => await one.end()))
  const rows = participants.map(one => rowOf(one, participants, log))
  await server.stop()
  return { seed, seconds, cuts, kills, rows, problems }
}

function sightings ({ seen }: Participant): Array<{ key: string, life: number }> {
  return seen.map(key => ({ key, life: 0 }))
}

function rowOf (one: Participant, all: readonly Participant[], log: ReadonlyMap<string, number>): ConversationRow {
  const verdict = judge(sightings(one), all, log, one.leftovers === undefined ? [] : [one.leftovers])
  const { expected, lost, disordered, duplicates, leftover, retried } = verdict
  const problems = [
    lost.length > 0 && `${lost.length} lost: ${lost.slice(0, 5).join(', ')}`,
    disordered.length > 0 && `${disordered.length} out of order: ${disordered.slice(0, 5).join(', ')}`,
    one.isExact && duplicates.length > 0 && `${duplicates.length} seen twice: ${duplicates.slice(0, 5).join(', ')}`
  ].filter(problem => problem !== false)
  return {
    name: one.source,
    kind: one.kind,
    said: one.receipts.size,
    expected,
    lost: lost.length,
    disordered: disordered.length,
    duplicates: duplicates.length,
    leftover,
    retried,
    reconnects: one.reconnects,
    recovered: one.recovered,
    problems
  }
}

interface Witness {
  readonly log: ReadonlyMap<string, number>
  greet (): Promise<void>
}

/** What the log holds, in order, as an MQTT client with a sound link sees it. */
async function witness (scope: Scope, to: Address): Promise<Witness> {
  const places = new Map<string, number>()
  const client = await connectAsync(`mqtt://${to.host}:${to.port}`,
    { clientId: 'witness', clean: false, reconnectPeriod: 20 })
  scope.teardown(() => client.end(true))
  client.on('error', () => {}) // it connects again
  client.on('message', (_topic, payload) => {
    const text = String(decodePayload(payload).args[0])
    if (!places.has(text)) places.set(text, places.size)
  })
  await client.subscribeAsync(CHAT_TOPIC, { qos: 1 })
  let greetings = 0
  return {
    log: places,
    async greet () { await client.publishAsync(CHAT_TOPIC, `hello ${greetings++}`, { qos: 1 }) }
  }
}

async function cutAgainAndAgain (proxies: readonly Proxy[], random: Random, endMs: number): Promise<number> {
  let cuts = 0
  await Promise.all(proxies.map(async proxy => {
    while (Date.now() < endMs) {
      await pause(random.between(CUT_MS_MIN, CUT_MS_MAX))
      cuts++
      await cutSomehow(proxy, random)
      proxy.pass()
    }
  }))
  return cuts
}

async function cutSomehow (proxy: Proxy, random: Random): Promise<void> {
  switch (random.int(5)) {
    case 0: return proxy.cut('reset')
    case 1: return proxy.cut('finish')
    case 2:
      proxy.cutAfter(random.between(1, 2_000), random.pick(['up', 'down']), random.pick(['reset', 'finish']))
      return await pause(random.between(50, 400))
    case 3:
      proxy.hole(random.pick(['up', 'down', 'both']))
      await pause(random.between(50, 400))
      return proxy.cut('reset')
    default:
      proxy.stall(random.pick(['up', 'down', 'both']))
      await pause(random.between(50, 400))
  }
}

async function killAgainAndAgain (server: ServerProcess, random: Random, endMs: number): Promise<number> {
  let kills = 0
  for (; Date.now() < endMs; kills++) {
    await pause(random.between(1_500, 3_500))
    await server.kill()
    await server.restart()
  }
  return kills
}
