/**
 * What an observer outside of the broker knows of one session from its making to its end: what it subscribed to, and
 * what it is therefore owed. Where a call has not been answered, it can't be known whether it counts; what is owed is
 * then possible, not certain.
 */
import type { ClientId, PacketId, QoS } from '../../broker/model/message.ts'
import type { GapReason } from '../../broker/session/link.ts'
import type { Publication } from './ledger.ts'

/** A message that a session may or must receive, and what became of it. */
export interface Claim {
  readonly publication: Publication
  /** As the retained message that a subscription begins with: it has no place in the order of the log. */
  readonly isRetained: boolean
  /** Subscriptions (filter and generation) that certainly count for it; while there is one, it is owed. */
  readonly certain: Set<string>
  /** Subscriptions that may count for it; when none is left, its first sending is forbidden. */
  readonly possible: Set<string>
  qosMin: QoS
  readonly qosPossible: Set<QoS>
  sends: number
  /** False once it was sent at QoS 1: only what was always sent at QoS 2 is handled exactly once. */
  isExactlyOnce: boolean
  /** Number of the connection it was last sent on. */
  sentOn: number
  sentMs: number
  packetId: PacketId
  acknowledgedMs: number | undefined
  /** The server went away before it can have written down the acknowledgement. */
  isForgotten: boolean
  /** PUBREC is durable, so that PUBLISH must not be sent again [MQTT-4.3.3-1]. */
  received: boolean
  /** How often it reached the client, and how often the application. */
  seen: number
  handled: number
  damaged: boolean
  /** The process that found the damage died before it can have written down whom to tell. */
  isDamageUntold: boolean
  /** Number of the process that finds the damage. */
  damageFoundBy: number
  /** Numbers of the connections on which it last reached the client's machine, and its handlers; 0 for none. */
  reachedOn: number
  handledOn: number
  /** The connection on which it counted as received, though that says nothing of handlers. */
  weaklyProvenOn: number
  /** The connection on which it had come when the client lost it, its process or its interest. */
  droppedOn: number
  /** Connections on which it was written to a client that proves what it handled. */
  readonly writtenOn: Set<number>
  /** It waits for the application's own ack. */
  isAsked: boolean
  /** The session goes on without it. */
  isAside: boolean
}

/** A call of subscribe (with a QoS) or unsubscribe (without). */
export interface FilterCall {
  readonly filter: string
  readonly qos: QoS | undefined
  readonly generation: number
  readonly calledAt: number
  /** Step of the answer; Infinity while there is none. */
  answeredAt: number
  /** Step of the answer to a later one for the same filter; Infinity while there is none. */
  replacedAt: number
}

/** A subscription of a filter until it is unsubscribed is one generation. */
interface FilterState {
  generation: number
  settled: FilterCall | undefined
  open: FilterCall[]
}

export interface Coverage {
  readonly certain: Set<string>
  readonly possible: Set<string>
  qosMin: QoS
  readonly qosPossible: Set<QoS>
}

export class Life {
  readonly clientId: ClientId
  readonly kept: boolean
  readonly expiryMs: number
  readonly number: number
  readonly claims = new Map<string, Claim>()
  /** Retained messages that it was sent for its subscriptions, and those of them that were set aside. */
  readonly retained = new Map<string, Claim>()
  retainedAside = 0
  /** Every SUBSCRIBE, in order: each brings the messages that are retained at its place. */
  readonly subscribes: FilterCall[] = []
  readonly #filters = new Map<string, FilterState>()
  /** Claims in the order they came, for whoever looks for the oldest that was not sent. */
  readonly #owed: Claim[] = []
  #owedHead = 0
  /** Packet identifiers that were sent and not acknowledged, as the server must see it. */
  readonly inUse = new Map<PacketId, Claim>()
  readonly gaps: Array<{ count: number, reason: GapReason }> = []
  gapTold = 0
  /** Highest offset that was ever sent for the first time [G3]. */
  firstSentMax = 0
  firstSeenMax = 0
  /** Last message of each publisher, by class, that was sent for the first time: messages without an offset [G3]. */
  readonly lastOf = new Map<string, number>()
  ended: string | undefined
  /** It may be another session of the same name: nothing that was certain is certain any more. */
  isUncertain = false
  /** How often that came up. */
  doubts = 0
  /** A call that ends it was made, but not answered. */
  mayHaveEnded = false
  /** Identifiers that its client was given, or may have been: of the last answered connect, and of those since. */
  pid: string | undefined
  readonly pidsOpen = new Set<string>()
  /** How often a client was answered with it. */
  sessionsSeen = 0
  /** Number of the connection that follows it, 0 for none; and of one that the server is closing. */
  attached = 0
  closing = 0
  /** When the server may first have known that the connection was gone, and when it must have; undefined: it is not. */
  detachedMs: number | undefined
  detachedMsMax: number | undefined
  /** When a connection of it was last closed or lost, -1 for never. */
  brokenMs = -1
  /** When the server last went away without having written everything, by a crash or on a full disk; -1 for never. */
  forgottenMs = -1

  constructor (clientId: ClientId, kept: boolean, expiryMs: number, number: number, nowMs: number) {
    this.clientId = clientId
    this.kept = kept
    this.expiryMs = expiryMs
    this.number = number
    this.detachedMs = nowMs
    this.detachedMsMax = nowMs
  }

  get name (): string { return `${this.clientId}/${this.number}` }

  // --- subscriptions

  called (filter: string, qos: QoS | undefined, step: number): FilterCall {
    let state = this.#filters.get(filter)
    if (state === undefined) this.#filters.set(filter, state = { generation: 0, settled: undefined, open: [] })
    const { generation } = state
    const call = { filter, qos, generation, calledAt: step, answeredAt: Infinity, replacedAt: Infinity }
    if (qos !== undefined) this.subscribes.push(call)
    state.open.push(call)
    // From here on it can't be said that what is queued for the filter alone will still be delivered at QoS 1 or 2.
    if (qos === undefined || qos === 0) this.#revoke(filter, state.generation, claim => claim.certain)
    if (qos !== undefined) this.#regrade(filter, qos)
    if (qos === undefined) state.generation++
    return call
  }

  /** Calls are answered as they were made: those made before do not count any more, except as what was replaced. */
  succeeded (call: FilterCall, step: number): void {
    call.answeredAt = step
    const state = this.#filters.get(call.filter)!
    for (const one of state.open) if (one.calledAt < call.calledAt) one.replacedAt = step
    if (state.settled === undefined || state.settled.calledAt < call.calledAt) {
      if (state.settled !== undefined) state.settled.replacedAt = step
      state.settled = call
    }
    state.open = state.open.filter(one => one.calledAt > call.calledAt)
    if (call.qos === undefined) this.#revoke(call.filter, call.generation, claim => claim.possible)
  }

  /** What failed does not count; but who wanted to unsubscribe can't expect to get what comes. */
  failed (call: FilterCall): void {
    if (call.qos === undefined) return
    const state = this.#filters.get(call.filter)!
    state.open = state.open.filter(one => one !== call)
  }

  /** Filters that are certainly subscribed. */
  subscribed (): string[] {
    return [...this.#filters].filter(([, state]) => isCertain(state)).map(([filter]) => filter)
  }

  /** The last SUBSCRIBE of each filter that certainly counts. */
  granted (): FilterCall[] {
    return [...this.#filters.values()].filter(isCertain).map(({ settled }) => settled!)
  }

  /** It can't be told from outside whether this is still the session that it was. */
  becomeUncertain (): void {
    this.isUncertain = true
    this.doubts++
    this.inUse.clear()
    for (const claim of this.claims.values()) claim.certain.clear()
    for (const state of this.#filters.values()) {
      if (state.settled !== undefined) state.open.unshift(state.settled)
      state.settled = undefined
    }
  }

  /** What was claimed by a subscription may now come at the QoS that replaced it. */
  #regrade (filter: string, qos: QoS): void {
    for (const claim of this.claims.values()) {
      if (claim.sends > 0 || !matchesTopic(filter, claim.publication.topic)) continue
      const granted = Math.min(qos, claim.publication.qos) as QoS
      claim.qosPossible.add(granted)
      claim.qosMin = Math.min(claim.qosMin, granted) as QoS
    }
  }

  #revoke (filter: string, generation: number, set: (claim: Claim) => Set<string>): void {
    for (const claim of this.claims.values()) {
      for (let old = 0; old <= generation; old++) {
        if (set(claim).delete(`${filter}#${old}`)) claim.qosMin = Math.min(claim.qosMin, 1) as QoS
      }
    }
  }

  /** @param before only calls made before this step */
  coverage (topic: string, qos: QoS, before = Infinity): Coverage {
    const coverage: Coverage = { certain: new Set(), possible: new Set(), qosMin: 0, qosPossible: new Set() }
    for (const [filter, state] of this.#filters) {
      if (!matchesTopic(filter, topic)) continue
      let lowest: QoS = 2
      const calls = state.settled === undefined ? state.open : [state.settled, ...state.open]
      for (const call of calls) {
        if (call.qos === undefined || call.calledAt > before) continue
        coverage.possible.add(`${filter}#${call.generation}`)
        coverage.qosPossible.add(Math.min(qos, call.qos) as QoS)
        lowest = Math.min(lowest, call.qos, qos) as QoS
      }
      if (!isCertain(state)) continue
      coverage.qosMin = Math.max(coverage.qosMin, lowest) as QoS
      if (lowest > 0) coverage.certain.add(`${filter}#${state.settled!.generation}`)
    }
    return coverage
  }

  /** As coverage(), of what had its place in the log meanwhile: a filter that was replaced since counts as it was. */
  coverageDuring (topic: string, qos: QoS, from: number, to: number): Coverage {
    const coverage = this.coverage(topic, qos, to)
    for (const call of this.subscribes) {
      if (call.calledAt > to || call.replacedAt < from) continue
      if (!coverage.possible.has(`${call.filter}#${call.generation}`)) continue
      coverage.qosPossible.add(Math.min(qos, call.qos!) as QoS)
    }
    return coverage
  }

  // --- claims

  claim (publication: Publication, coverage: Coverage): Claim {
    const claim = makeClaim(publication, coverage, false)
    this.claims.set(publication.key, claim)
    this.#owed.push(claim)
    return claim
  }

  retainedClaim (publication: Publication): Claim {
    const known = this.retained.get(publication.key)
    if (known !== undefined) return known
    const coverage: Coverage = { certain: new Set(), possible: new Set(), qosMin: 0, qosPossible: new Set() }
    const claim = makeClaim(publication, coverage, true)
    this.retained.set(publication.key, claim)
    return claim
  }

  /** One sending of it; it may be sent for several subscriptions, under an identifier each. */
  retainedFlight (publication: Publication, packetId: PacketId): Claim {
    const coverage: Coverage = { certain: new Set(), possible: new Set(), qosMin: 0, qosPossible: new Set() }
    return { ...makeClaim(publication, coverage, true), packetId }
  }

  /** The oldest that is owed and was never sent, and how many such there are, up to a few. */
  unsent (countMax: number): { oldest: Claim | undefined, count: number } {
    const owed = this.#owed
    while (this.#owedHead < owed.length && isPassed(owed[this.#owedHead])) this.#owedHead++
    let oldest: Claim | undefined
    let count = 0
    for (let at = this.#owedHead; at < owed.length && count < countMax; at++) {
      if (isPassed(owed[at]) || !isOwed(owed[at])) continue
      oldest ??= owed[at]
      count++
    }
    return { oldest, count }
  }

  /** The server has lost what it had not written: acknowledgements that came after `sinceMs`, and what is in flight. */
  forget (sinceMs: number, nowMs: number): void {
    this.forgottenMs = nowMs
    for (const claim of this.claims.values()) {
      if (claim.acknowledgedMs !== undefined && claim.acknowledgedMs >= sinceMs) claim.isForgotten = true
    }
    this.inUse.clear()
  }

  /** After a restart the server need not complete what it had sent for a filter that is gone, and may have trimmed. */
  forgetUnsubscribed (): void {
    for (const [packetId, claim] of this.inUse) if (claim.certain.size === 0) this.inUse.delete(packetId)
  }

  // --- its end

  /** May it have expired, seen from outside? */
  mayHaveExpired (nowMs: number): boolean {
    return this.detachedMs !== undefined && nowMs >= this.detachedMs + this.expiryMs - 1
  }

  mustHaveExpired (nowMs: number, slackMs: number): boolean {
    return this.detachedMsMax !== undefined && nowMs > this.detachedMsMax + this.expiryMs + slackMs
  }
}

/** Is it owed, by a subscription or as one whose loss has to be told? */
export function isOwed (claim: Claim): boolean {
  const { publication } = claim
  return claim.certain.size > 0 && (publication.offset !== undefined || publication.receipt === 'kept')
}

/** Was it lost by a client that had taken it and not handled it, where its rule asks for no more than that? */
export function isExcused ({ weaklyProvenOn, droppedOn }: Claim): boolean {
  return weaklyProvenOn > 0 && weaklyProvenOn === droppedOn
}

/** Will it never be waiting to be sent again? */
function isPassed (claim: Claim): boolean {
  return claim.sends > 0 || claim.damaged || claim.certain.size === 0 || claim.publication.receipt === 'refused'
}

function isCertain (state: FilterState): boolean {
  return state.settled?.qos !== undefined && state.open.every(call => call.qos !== undefined)
}

const expressions = new Map<string, RegExp>()

/** The checker's own idea of MQTT 4.7, apart from the broker's. */
export function matchesTopic (filter: string, topic: string): boolean {
  let expression = expressions.get(filter)
  if (expression === undefined) {
    const pattern = filter.split('/').map(level => level === '+' ? '[^/]*' : level).join('/')
    const whole = pattern.endsWith('/#') ? `${pattern.slice(0, -2)}(/.*)?` : pattern
    expression = new RegExp(pattern === '#' ? '' : `^${whole}$`)
    expressions.set(filter, expression)
  }
  return expression.test(topic)
}

function makeClaim (publication: Publication, coverage: Coverage, isRetained: boolean): Claim {
  return {
    publication,
    isRetained,
    ...coverage,
    sends: 0,
    isExactlyOnce: true,
    sentOn: 0,
    sentMs: 0,
    packetId: 0 as PacketId,
    acknowledgedMs: undefined,
    isForgotten: false,
    received: false,
    seen: 0,
    handled: 0,
    damaged: false,
    isDamageUntold: false,
    damageFoundBy: 0,
    reachedOn: 0,
    handledOn: 0,
    weaklyProvenOn: 0,
    droppedOn: 0,
    writtenOn: new Set(),
    isAsked: false,
    isAside: false
  }
}
