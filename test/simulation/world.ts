/** One simulated world, from its seed to its verdict: a disk, a server that comes and goes, clients, and faults. */
import type { ClientId } from '../../broker/model/message.ts'
import { Checker } from './checker.ts'
import { Client, type ClientOptions, type Participant } from './client.ts'
import { endSession, steal, type Contest } from './contest.ts'
import { SET_MS_MAX, VirtualClock } from './clock.ts'
import { SimulatedDisk } from './disk.ts'
import { createRandom, type Random } from './random.ts'
import { Referee, type Trace, type Violation } from './referee.ts'
import { makeScenario, type Scenario } from './scenario.ts'
import { ServerProcess } from './server.ts'
import { SocketClient } from './socketio/client.ts'
import { makeKind } from './socketio/kind.ts'
import { checkEnd, checkProgress, isAtRest, type Evidence } from './verdict.ts'

const EVENTS_MAX = 300_000
/** Virtual time after the last fault, or the last message that was received since, in which all has to come to rest. */
const HEAL_MS_MAX = 60_000
const LOOK_MS = 50
const SLOW_APPEND_MS_MAX = 100

export interface Outcome {
  readonly seed: number
  readonly violation: Violation | undefined
  readonly events: number
  readonly elapsedMs: number
  /** How often what was met, by name. */
  readonly counts: ReadonlyMap<string, number>
}

export async function simulate (seed: number, trace?: Trace): Promise<Outcome> {
  const world = new World(seed, trace)
  return await world.run()
}

class World {
  readonly #seed: number
  readonly #random: Random
  readonly #clock: VirtualClock
  readonly #referee: Referee
  readonly #scenario: Scenario
  readonly #checker: Checker
  readonly #disk: SimulatedDisk
  readonly #clients: Participant[] = []
  readonly #evidence: Evidence
  #server: ServerProcess | undefined
  #openSinceMs = 0
  #isFull = false
  #clockRandom: Random | undefined
  #isStartedAnew = false
  #isHealing = false
  /** Set while the server is down. */
  #cancelRestart: (() => void) | undefined

  constructor (seed: number, trace: Trace | undefined) {
    this.#seed = seed
    this.#random = createRandom(seed)
    this.#clock = new VirtualClock(this.#random.fork(), EVENTS_MAX)
    this.#referee = new Referee(this.#clock, trace)
    this.#scenario = makeScenario(this.#random.fork())
    this.#checker = new Checker(this.#referee, this.#scenario)
    this.#disk = this.#makeDisk(this.#random.fork())
    this.#evidence = {
      checker: this.#checker,
      referee: this.#referee,
      scenario: this.#scenario,
      disk: this.#disk,
      server: () => this.#server,
      openSinceMs: () => this.#openSinceMs
    }
  }

  async run (): Promise<Outcome> {
    const crash = (error: unknown): void => {
      this.#referee.violate('crash', error instanceof Error ? error.stack ?? error.message : String(error))
    }
    process.on('unhandledRejection', crash)
    process.on('uncaughtException', crash)
    try {
      await this.#live()
    } catch (error) {
      crash(error)
    } finally {
      process.off('unhandledRejection', crash)
      process.off('uncaughtException', crash)
    }
    return {
      seed: this.#seed,
      violation: this.#referee.violation,
      events: this.#clock.events,
      elapsedMs: this.#clock.elapsedMs,
      counts: this.#referee.counts
    }
  }

  async #live (): Promise<void> {
    const { activeMs } = this.#scenario
    this.#referee.trace?.(`seed ${this.#seed}: ${JSON.stringify(this.#scenario)}`)
    const isFound = (): boolean => this.#referee.violation !== undefined
    this.#startServer()
    this.#makeClients()
    this.#arrangeFaults()
    this.#arrangeContests()
    this.#makeSockets()
    this.#arrangeClock()
    this.#look()
    await this.#clock.run(activeMs, isFound)
    if (isFound()) return
    this.#heal()
    // Looked at after a pause, so that what is still on its way is not taken for rest.
    let rested = 0
    let received = -1
    let endMs = activeMs + HEAL_MS_MAX
    for (let ms = activeMs; ms < endMs && rested < 4; ms += LOOK_MS) {
      await this.#clock.run(ms, isFound)
      if (isFound()) return
      const now = this.#server?.isOpen === true ? this.#server.broker.stats().acknowledged : received
      if (now !== received) endMs = ms + HEAL_MS_MAX
      received = now
      const isDone = this.#clients.every(one => one.isConnected && one.waiting === 0)
      rested = isDone && isAtRest(this.#evidence) ? rested + 1 : 0
    }
    checkEnd(this.#evidence)
  }

  // --- disk and server

  #makeDisk (random: Random): SimulatedDisk {
    const { appendMs, appendSlow, readSlow, readMs } = this.#scenario
    return new SimulatedDisk({
      appendMs: () => {
        if (!random.chance(appendSlow)) return 0.05 + random.around(appendMs)
        this.#checker.diskTrouble()
        return random.between(10, SLOW_APPEND_MS_MAX)
      },
      readMs: () => random.chance(readSlow) ? random.around(readMs) : 0,
      isFull: () => {
        if (this.#isFull) this.#checker.refusedByDisk()
        return this.#isFull
      }
    }, this.#checker, random)
  }

  #startServer (): void {
    const server = new ServerProcess({
      clock: this.#clock,
      disk: this.#disk,
      limits: this.#scenario.limits,
      checker: this.#checker,
      referee: this.#referee,
      random: this.#random.fork(),
      scenario: this.#scenario
    })
    this.#server = server
    server.start(() => {
      this.#openSinceMs = this.#clock.elapsedMs
      this.#isStartedAnew = false
    })
  }

  #crash (): void {
    const server = this.#server
    if (server === undefined) return
    this.#server = undefined
    server.crash()
    if (this.#scenario.damages && this.#random.chance(0.3)) this.#disk.damageOne()
    if (this.#clockRandom?.chance(0.5) === true) {
      this.#clock.reboot(this.#clockRandom.chance(0.5))
      this.#referee.count('machine started anew')
      this.#isStartedAnew = true
    }
    this.#restart()
  }

  #stop (): void {
    const server = this.#server
    if (server === undefined || !server.isOpen) return
    server.stop(() => {
      if (this.#server !== server) return
      this.#server = undefined
      this.#restart()
    })
  }

  #restart (): void {
    const downMs = this.#isHealing ? 1 : this.#random.around(this.#scenario.downMs)
    this.#cancelRestart = this.#clock.after(downMs, () => {
      this.#cancelRestart = undefined
      this.#startServer()
    })
  }

  // --- clients and what they do

  #makeClients (): void {
    const { subscribers, cleanSubscribers, publishers } = this.#scenario
    for (let i = 0; i < subscribers; i++) this.#makeClient(`s${i}`, true, this.#random.chance(0.2))
    for (let i = 0; i < cleanSubscribers; i++) this.#makeClient(`c${i}`, false, this.#random.chance(0.2))
    for (let i = 0; i < publishers; i++) this.#makeClient(`p${i}`, this.#random.chance(0.5), true)
  }

  #makeClient (name: string, isKept: boolean, publishes: boolean): void {
    const clientId = name as ClientId
    const options = this.#clientOptions(clientId, isKept, publishes)
    this.#begin(new Client({
      ...options,
      hasWill: this.#scenario.wills > 0 && options.random.chance(this.#scenario.wills),
      arrived: (life, sent, wasHandled) => { this.#checker.arrived(clientId, life, sent, wasHandled) }
    }), options, !name.startsWith('p'))
  }

  #makeSockets (): void {
    const { clients, killMs, poisoned, pingIntervalMs, pingTimeoutMs } = this.#scenario.sockets
    for (let i = 0; i < clients; i++) {
      const options = this.#clientOptions(`io${i}` as ClientId, true, this.#random.chance(0.2))
      const { random } = options
      const client = new SocketClient({
        ...options,
        kind: makeKind(random),
        isPoisoned: random.chance(poisoned),
        checker: this.#checker,
        pingIntervalMs,
        pingTimeoutMs
      })
      this.#begin(client, options, true)
      this.#arrangeNetworkFaults(client, random)
      this.#every(killMs, random, () => { client.die() })
    }
  }

  #clientOptions (clientId: ClientId, isKept: boolean, publishes: boolean): Omit<ClientOptions, 'arrived' | 'hasWill'> {
    return {
      clientId,
      isKept,
      publishes,
      scenario: this.#scenario,
      clock: this.#clock,
      random: this.#random.fork(),
      referee: this.#referee,
      server: () => this.#server
    }
  }

  #begin (client: Participant, { random, publishes }: Pick<ClientOptions, 'random' | 'publishes'>,
    subscribes: boolean): void {
    this.#clients.push(client)
    this.#every(this.#scenario.paceMs, random, () => {
      if (client.wire === undefined) client.come()
      if (subscribes) this.#act(client, random)
      if (publishes) this.#publish(client, random)
    })
    this.#clock.after(random.between(0, 20), () => { client.come() })
  }

  #publish (client: Participant, random: Random): void {
    const { topics, qosPublished, burstMax, payloadPaddingMax, retains } = this.#scenario
    for (let left = random.between(0, burstMax); left > 0; left--) {
      const qos = random.pick(qosPublished)
      const isRetained = retains > 0 && qos > 0 && random.chance(retains)
      client.publish(random.pick(topics), qos, random.int(payloadPaddingMax + 1), isRetained)
    }
  }

  /** One thing that a subscriber may do; at first it subscribes. */
  #act (client: Participant, random: Random): void {
    const { filters, qosSubscribed, resubscribes, leaves, takesOver, connectsClean, ended, awayMs } = this.#scenario
    if (!client.isConnected) return
    const subscribed = this.#checker.filtersOf(client.options.clientId)
    if (subscribed.length === 0) return client.subscribe(random.pick(filters), random.pick(qosSubscribed))
    const chance = random.int(20)
    if (chance < resubscribes) {
      if (random.chance(0.5)) client.unsubscribe(random.pick(subscribed))
      else client.subscribe(random.pick(filters), random.pick(qosSubscribed))
      if (random.chance(0.2)) client.subscribe(random.pick(subscribed), random.pick(qosSubscribed))
    } else if (chance < resubscribes + leaves) {
      client.go(random.chance(0.5))
      this.#clock.after(random.around(awayMs), () => { client.come() })
    } else if (chance < resubscribes + leaves + takesOver) {
      this.#referee.count('taken over on purpose')
      client.takeOver()
    } else if (chance < resubscribes + leaves + takesOver + connectsClean) client.takeOver(true)
    else if (ended > 0 && random.chance(0.1)) this.#contest(client, endSession)
  }

  /** What others do to the session of a client. */
  #contest (client: Participant, act: (contest: Contest) => void): void {
    const server = this.#server
    if (server?.isOpen !== true) return
    act({ server, clientId: client.options.clientId, checker: this.#checker, referee: this.#referee })
  }

  /**
   * A session is ended while a clean connect of its own client takes its place, and the disk may not take either: what
   * is written then, and in which order, decides what a restart finds.
   */
  #endAmidCleanConnect (client: Participant, random: Random): void {
    if (!client.isConnected) return
    this.#referee.count('ended amid a clean connect')
    client.takeOver(true)
    const { latencyMs, appendMs } = this.#scenario
    this.#clock.after(random.fraction() * 2 * (latencyMs + appendMs), () => { this.#contest(client, endSession) })
    if (random.chance(0.5)) {
      this.#clock.after(random.fraction() * 2 * latencyMs, () => { this.#fill(random.between(1, 100)) })
    }
  }

  // --- faults

  #arrangeFaults (): void {
    const { crashMs, stopMs, fullMs } = this.#scenario
    const random = this.#random.fork()
    this.#every(crashMs, random, () => { this.#crash() })
    this.#every(stopMs, random, () => { this.#stop() })
    this.#every(fullMs, random, () => { this.#fill(random.between(10, 400)) })
    for (const client of this.#clients) this.#arrangeNetworkFaults(client, random)
  }

  #arrangeNetworkFaults (client: Participant, random: Random): void {
    const { cutMs, freezeMs } = this.#scenario
    this.#every(cutMs, random, () => {
      this.#referee.count('cut')
      this.#referee.trace?.(`${client.options.clientId}: the wire is cut`)
      client.wire?.cut()
    })
    this.#every(freezeMs, random, () => {
      const { wire } = client
      this.#referee.count('freeze')
      this.#referee.trace?.(`${client.options.clientId}: the wire freezes`)
      wire?.freeze(random.chance(0.5))
      this.#clock.after(random.between(50, 1_500), () => { wire?.thaw() })
    })
  }

  /** What others do, apart from the faults above, so that the worlds without it stay as they were. */
  #arrangeContests (): void {
    const { theftMs, contestedEndMs } = this.#scenario
    const random = this.#random.fork()
    for (const client of this.#clients) {
      this.#every(theftMs, random, () => { this.#contest(client, contest => { steal(contest, random) }) })
      if (client.options.isKept) {
        this.#every(contestedEndMs, random, () => { this.#endAmidCleanConnect(client, random) })
      }
    }
  }

  /**
   * The wall clock is set: by NTP, by hand, wrongly. Not between the start of a machine and that of the server: what
   * was set then can't be told from time that passed. Chance of its own, so that worlds without stay as they were.
   */
  #arrangeClock (): void {
    const { clockMs } = this.#scenario
    if (clockMs === undefined) return
    const random = this.#clockRandom = this.#random.fork()
    this.#every(clockMs, random, () => {
      if (this.#isStartedAnew) return
      const aheadMs = random.pick([0, SET_MS_MAX, random.int(5_000), random.int(SET_MS_MAX)]) * random.pick([-1, 1])
      this.#referee.trace?.(`the wall clock is set ${aheadMs} ms ahead`)
      this.#clock.setWall(aheadMs)
    })
  }

  #fill (ms: number): void {
    if (this.#isHealing) return
    this.#isFull = true
    this.#checker.diskFull()
    this.#clock.after(ms, () => { this.#makeSpace() })
  }

  #makeSpace (): void {
    if (this.#isFull) this.#checker.diskTrouble()
    this.#isFull = false
    this.#referee.trace?.('disk: not full')
  }

  #heal (): void {
    this.#referee.trace?.('=== everything heals')
    this.#isHealing = true
    this.#makeSpace()
    if (this.#cancelRestart !== undefined) { // nobody is kept waiting for it any more
      this.#cancelRestart()
      this.#restart()
    }
    for (const client of this.#clients) client.heal()
  }

  #every (meanMs: number | undefined, random: Random, act: () => void): void {
    if (meanMs === undefined) return
    this.#clock.after(random.around(meanMs), () => {
      if (this.#isHealing) return
      act()
      this.#every(meanMs, random, act)
    })
  }

  #look (): void {
    checkProgress(this.#evidence)
    this.#clock.after(LOOK_MS, () => { this.#look() })
  }
}
