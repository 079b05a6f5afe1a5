/**
 * What kind of world a seed makes. Each seed turns features on and off and sets bounds low or high, because faults that
 * need a rare mixture are found by worlds that differ, not by worlds that have a little of everything.
 */
import { DEFAULT_LIMITS, type Limits } from '../../broker/model/limits.ts'
import type { QoS } from '../../broker/model/message.ts'
import type { Random } from './random.ts'

export interface Scenario {
  readonly limits: Limits
  /** Virtual time with faults; afterwards everything heals. */
  readonly activeMs: number
  readonly subscribers: number
  readonly cleanSubscribers: number
  readonly publishers: number
  readonly topics: readonly string[]
  readonly filters: readonly string[]
  readonly qosPublished: readonly QoS[]
  readonly qosSubscribed: readonly QoS[]
  readonly expiryMs: number
  /** Mean milliseconds between two things that a client does. */
  readonly paceMs: number
  readonly burstMax: number
  readonly publishWindowMax: number
  readonly payloadPaddingMax: number

  readonly latencyMs: number
  readonly ackMs: number
  /** Probability that a message is not acknowledged on this connection. */
  readonly ackNever: number
  readonly linkBytesMax: number

  readonly appendMs: number
  readonly appendSlow: number
  readonly readSlow: number
  readonly readMs: number

  /** Mean milliseconds between faults of a kind; undefined where it does not happen. */
  readonly cutMs: number | undefined
  readonly freezeMs: number | undefined
  readonly crashMs: number | undefined
  readonly stopMs: number | undefined
  readonly fullMs: number | undefined
  readonly downMs: number
  readonly awayMs: number
  /** Weights of what a subscriber does. */
  readonly resubscribes: number
  readonly leaves: number
  readonly takesOver: number
  readonly connectsClean: number
  readonly ended: number
  readonly damages: boolean
  /** A bound on the backlog is low enough to be met. */
  readonly hasGaps: boolean
  /** Mean milliseconds between two attempts of a stranger to get a session. */
  readonly theftMs: number | undefined
  /** Mean milliseconds between two clean connects amid which an administrator ends the session. */
  readonly contestedEndMs: number | undefined
  readonly sockets: Sockets
  /** Probability that a message at QoS 1 or 2 is to be retained. */
  readonly retains: number
  /** Probability that a client of MQTT has a will. */
  readonly wills: number
  /** Mean milliseconds between two times that the wall clock is set; a crash may then start the machine anew, too. */
  readonly clockMs: number | undefined
}

/** What there is of Socket.IO clients. */
export interface Sockets {
  readonly clients: number
  /** Mean milliseconds until a client loses its process. */
  readonly killMs: number | undefined
  /** Probability that a client shows an offset that is not its own. */
  readonly confused: number
  /** Probability that a handler keeps the thread busy, and for how long on average. */
  readonly handlerBusy: number
  readonly handlerMs: number
  readonly pingIntervalMs: number
  readonly pingTimeoutMs: number
  /** Probability that some messages end the process of a client whenever it handles them. */
  readonly poisoned: number
  readonly redeliveriesMax: number
}

const TOPICS = ['a/1', 'a/2', 'b/1', 'b', 'c/1/x']
const FILTERS = ['#', 'a/+', 'a/#', '+/1', 'a/1', 'a/2', 'b/1', 'b', 'b/#', 'c/1/x', '+/+/x']

export function makeScenario (random: Random): Scenario {
  const maybe = (probability: number, low: number, high: number): number | undefined =>
    random.chance(probability) ? random.between(low, high) : undefined
  const hasGaps = random.chance(0.2)
  const topics = TOPICS.slice(0, random.between(1, TOPICS.length))
  return {
    limits: makeLimits(random, hasGaps),
    activeMs: random.between(1_000, 4_000),
    subscribers: random.between(1, 4),
    cleanSubscribers: random.int(3),
    publishers: random.between(1, 3),
    topics,
    filters: random.chance(0.5) ? FILTERS : FILTERS.slice(0, 5),
    qosPublished: random.pick<readonly QoS[]>([[1], [1, 2], [0, 1, 2], [2], [1, 1, 1, 0]]),
    qosSubscribed: random.pick<readonly QoS[]>([[1], [2], [1, 2], [0, 1, 2]]),
    expiryMs: random.chance(0.3) ? random.between(100, 1_500) : 86_400_000,
    paceMs: random.between(20, 100),
    burstMax: random.chance(0.3) ? random.between(20, 60) : random.between(1, 8),
    publishWindowMax: random.between(1, 20),
    payloadPaddingMax: random.chance(0.2) ? 400 : 10,

    latencyMs: random.chance(0.5) ? 1 : random.between(1, 40),
    ackMs: random.chance(0.5) ? 1 : random.between(1, 80),
    ackNever: random.chance(0.3) ? 0.1 : 0,
    linkBytesMax: random.chance(0.3) ? random.between(50, 500) : 1_000_000,

    appendMs: random.pick([0.2, 1, 5]),
    appendSlow: random.chance(0.3) ? 0.05 : 0,
    readSlow: random.pick([0, 0, 0.5, 1]),
    readMs: random.between(1, 15),

    cutMs: maybe(0.7, 100, 1_500),
    freezeMs: maybe(0.4, 300, 2_000),
    crashMs: maybe(0.5, 300, 3_000),
    stopMs: maybe(0.2, 500, 3_000),
    fullMs: maybe(0.2, 500, 2_000),
    downMs: random.pick([10, 100, 500, 2_000]),
    awayMs: random.pick([5, 100, 600]),
    resubscribes: random.pick([0, 1, 4]),
    leaves: random.pick([0, 1, 3]),
    takesOver: random.pick([0, 1, 2]),
    connectsClean: random.pick([0, 0, 0, 1]),
    ended: random.pick([0, 0, 0, 0, 1]),
    damages: random.chance(0.05),
    hasGaps,
    theftMs: maybe(0.3, 100, 800),
    contestedEndMs: maybe(0.1, 100, 600),
    sockets: {
      clients: random.chance(0.4) ? random.between(1, 3) : 0,
      killMs: maybe(0.4, 200, 1_500),
      confused: random.chance(0.2) ? 0.3 : 0,
      handlerBusy: random.pick([0, 0.05, 0.3]),
      handlerMs: random.between(1, 30),
      pingIntervalMs: random.between(20, 200),
      pingTimeoutMs: random.between(300, 1_500),
      poisoned: random.chance(0.15) ? 0.5 : 0,
      redeliveriesMax: random.between(2, 6)
    },
    retains: random.chance(0.2) ? random.pick([0.02, 0.3]) : 0,
    wills: random.chance(0.2) ? 0.5 : 0,
    clockMs: maybe(0.25, 100, 1_500)
  }
}

function makeLimits (random: Random, hasGaps: boolean): Limits {
  const bounds = hasGaps
    ? random.pick<Partial<Limits>>([
      { backlogMessagesMax: random.between(5, 40) },
      { backlogBytesMax: random.between(300, 3_000) },
      { backlogAgeMsMax: random.between(200, 1_000) },
      { cleanQueueMessagesMax: random.between(1, 10) },
      { cleanQueueBytesMax: random.between(50, 500) }
    ])
    : {}
  return {
    ...DEFAULT_LIMITS,
    inflightMessagesMax: random.chance(0.7) ? random.between(1, 8) : 64,
    cacheBytesMax: random.pick([0, 200, 1_000_000]),
    batchBytesMax: random.pick([20, 200, 1_000_000]),
    cursorFlushMs: random.pick([5, 50, 500]),
    sweepMs: random.pick([10, 50, 250]),
    ackTimeoutMs: random.chance(0.2) ? random.between(300, 2_000) : DEFAULT_LIMITS.ackTimeoutMs,
    stallTimeoutMs: random.chance(0.3) ? random.between(200, 1_000) : DEFAULT_LIMITS.stallTimeoutMs,
    ...bounds
  }
}
