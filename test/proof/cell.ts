/** One cell of the table: a client of one version over one transport, one way to cut, and what came of it. */
import { createProxy } from '../helpers/proxy.ts'
import { createRandom, type Random } from '../helpers/random.ts'
import type { ServerProcess } from '../helpers/server.ts'
import { RECOVERING } from '../helpers/socketio-clients.ts'
import type { Scope } from '../helpers/temp.ts'
import { pause, until, within } from '../helpers/wait.ts'
import { cutOf, type Cut, type Stage } from './cuts.ts'
import { InProcessLife, type Life, type LifeOptions } from './life.ts'
import { ClientPublisher, DevicePublisher } from './publisher.ts'
import { nameOf, type Cell, type Row } from './row.ts'
import { isComplete, judge, type Sighting } from './verdict.ts'
import { Victim } from './victim.ts'
import type { Witness } from './witness.ts'

export interface Surroundings {
  readonly server: ServerProcess
  readonly witness: Witness
  readonly seed: number
  /** Both sides have noticed a dead link by then. */
  readonly noticeMs: number
  readonly scope: Scope
  /** Where the clients are not of this process. */
  readonly lives?: Lives
}

export interface Lives {
  newLife (options: LifeOptions): Life
  /** What else can happen to them; a cut of the same name goes before. */
  readonly cuts: readonly Cut[]
}

/** At the end of every cell, so that each attacks the receipts of its client. */
const DEATHS_AT_END = 2
const BURST_MESSAGES = 24
const DIE_AFTER_MAX = 12
const DIE_MS_MAX = 5_000
const FINISH_MS_MAX = 120_000
const TICK_MS = 25

let cells = 0

export async function runCell (cell: Cell, surroundings: Surroundings): Promise<Row> {
  const { server, witness, seed, noticeMs, scope } = surroundings
  const startedAt = Date.now()
  const name = nameOf(cell)
  const random = createRandom(seedOf(name, seed))
  const cut = surroundings.lives?.cuts.find(({ name }) => name === cell.cut) ?? cutOf(cell.cut)
  const room = `${++cells}`
  const clientId = `c${room}`
  const proxy = await createProxy(scope, server.http)
  const sightings: Sighting[] = []
  const lives: Life[] = []
  const problems: string[] = []
  const keepAlive = random.int(2) === 0
  const device = new DevicePublisher(`d${room}`, room, server.mqtt, createRandom(random.int(2 ** 31)))
  const own = new ClientPublisher(`o${room}`, room, createRandom(random.int(2 ** 31)))
  const publishers = [device, own]
  const places = witness.of(room)

  /** Only one client at a time becomes another. */
  let turn: Promise<void> = Promise.resolve()
  let crashes = 0

  function newLife (): Life {
    const life = lives.length
    const options = {
      version: cell.version,
      transport: cell.transport,
      url: `http://127.0.0.1:${proxy.port}`,
      clientId,
      keepAlive,
      restarts: cell.meanwhile !== 'steady',
      onSeen: (source: string, number: number, token?: string, isKept?: boolean) => {
        sightings.push({ key: `${source} ${number}`, life, token, isKept })
      },
      onCrash () {
        crashes++
        turn = turn.then(come)
        turn.catch(() => {})
      }
    }
    const made = surroundings.lives?.newLife(options) ??
      (cut.isProcess === true ? new Victim(scope, options) : new InProcessLife(options))
    lives.push(made)
    return made
  }

  /** A client of that name is there when this resolves. */
  async function come (): Promise<void> {
    while (lives.at(-1)?.dead !== false) {
      await comeIn(newLife())
    }
  }

  /** Resolves when it is in the room, or dead. */
  async function comeIn (life: Life): Promise<void> {
    if (life.socket !== undefined) own.use(life.socket)
    await life.joined(room)
  }

  async function succeed (how: 'dies-in-handler' | 'killed' | 'beside'): Promise<void> {
    await turn
    const before = lives.at(-1)!
    if (how === 'dies-in-handler') {
      device.publish(BURST_MESSAGES)
      await within(before.dieAfter(random.int(DIE_AFTER_MAX)), 'its death', DIE_MS_MAX).catch(() => {})
    }
    if (how === 'beside') {
      before.replaced()
      await comeIn(newLife())
    }
    await before.kill()
    turn = turn.then(come)
    await turn
  }

  function publishSome (): void {
    if (random.int(2) === 0) device.publish(random.between(1, 4))
    if (random.int(3) === 0) own.publish(1)
  }

  let load: NodeJS.Timeout | undefined
  let mode: 'load' | 'over' = 'load'
  async function scene (): Promise<void> {
    const stage: Stage = { proxy, random, noticeMs, succeed, get life () { return lives.at(-1)! } }
    await cut.run(stage)
    proxy.pass()
    await pause(random.between(0, 100))
    for (let death = 0; death < DEATHS_AT_END; death++) await succeed('dies-in-handler')
  }

  try {
    await come()
    load = setInterval(publishSome, TICK_MS)
    await scene()
    clearInterval(load)
    mode = 'over'
    await Promise.all(publishers.map(publisher => publisher.finish(FINISH_MS_MAX)))
    await until(() => isComplete(sightings, publishers, places), 'everything to be seen', FINISH_MS_MAX, 50)
  } catch (error) {
    problems.push(`${mode === 'load' ? 'during the cuts: ' : ''}${(error as Error).message}`)
  } finally {
    clearInterval(load)
  }
  await turn.catch(() => {})
  await Promise.all(lives.map(life => life.kill()))
  for (const publisher of publishers) publisher.end()
  await proxy.close()
  witness.forget(room)

  const verdict = judge(sightings, publishers, places, lives.flatMap(({ leftovers }) => leftovers ?? []))
  const sum = (of: (life: Life) => number): number => lives.reduce((total, life) => total + of(life), 0)
  const isExact = RECOVERING.includes(cell.version) && cut.isInexact !== true
  const say = (what: string, keys: readonly string[]): void => {
    if (keys.length > 0) problems.push(`${keys.length} ${what}: ${keys.slice(0, 5).join(', ')}`)
  }
  say('lost', verdict.lost)
  say('false receipts', verdict.falseReceipts)
  say('out of order', verdict.disordered)
  if (isExact) say('handled twice', verdict.duplicates)
  for (const key of new Set(isExact ? verdict.duplicates : [])) {
    const seen = sightings.filter(sighting => sighting.key === key)
    problems.push(`${key}: ${seen.map(({ life, token }) => `client ${life} at ${token}`).join(', ')}`)
  }
  say('refused', publishers.flatMap(({ refusals }) => refusals))
  return {
    ...cell,
    seed,
    expected: verdict.expected,
    lost: verdict.lost.length,
    falseReceipts: verdict.falseReceipts.length,
    disordered: verdict.disordered.length,
    duplicates: verdict.duplicates.length,
    leftover: verdict.leftover,
    retried: verdict.retried,
    again: verdict.again,
    deaths: lives.length - 1 - crashes,
    crashes,
    reconnects: sum(({ reconnects }) => reconnects),
    recovered: sum(({ recovered }) => recovered),
    thrownOut: sum(({ thrownOut }) => thrownOut),
    ms: Date.now() - startedAt,
    problems
  }
}

/** The same for the same name and seed, whatever else runs. */
function seedOf (name: string, seed: number): Random['seed'] {
  let hash = seed >>> 0
  for (const character of name) hash = Math.imul(hash ^ character.charCodeAt(0), 0x01000193) >>> 0
  return hash
}
