/**
 * Knows every receipt, every subscription and every session's life, and holds what the broker does against the promise.
 * It sees only what crosses the seams: calls of the broker, what it hands to links, and what is on the disk.
 */
import type { Limits } from '../../broker/model/limits.ts'
import type { ClientId, Entry, Message, Offset, PacketId, QoS } from '../../broker/model/message.ts'
import type { CloseReason } from '../../broker/session/link.ts'
import { Deliveries, type Connection } from './deliveries.ts'
import type { DiskWitness } from './disk.ts'
import { Ledger, type Publication } from './ledger.ts'
import type { FilterCall, Life } from './life.ts'
import type { Referee } from './referee.ts'
import type { Scenario } from './scenario.ts'
import { Sessions, type ConnectCall } from './sessions.ts'
import { SocketChecker } from './socketio/checker.ts'
import { Wills } from './wills.ts'
import type { Sent } from './wire.ts'

/** Slack for what the broker writes behind: a few syncs of a slow disk. */
const WRITE_SLACK_MS = 400

/** A stranger asks for the session of a client. */
export interface Attempt {
  readonly clientId: ClientId
  /** The session that was certainly there. */
  readonly life: Life | undefined
}

export class Checker implements DiskWitness {
  readonly ledger = new Ledger()
  readonly sessions: Sessions
  readonly deliveries: Deliveries
  readonly wills: Wills
  readonly sockets: SocketChecker
  readonly #referee: Referee
  readonly #limits: Limits
  #process = 0
  #connections = 0
  /** The connections that follow a session, by their number. */
  readonly #attached = new Map<number, Connection>()
  readonly #lives = new Map<number, Life>()
  /** The last connection of each client. */
  readonly #lastAsked = new Map<ClientId, number>()
  readonly #lastAttached = new Map<ClientId, number>()
  /** By topic. */
  readonly #retained = new Map<string, Publication>()
  /** Names that a stranger has had. */
  readonly #stolen = new Set<ClientId>()
  #diskTroubleMs = -1
  #fullSinceMs = -1
  #lastFullMs = -1
  #openedMs = Infinity
  readonly #flushSlackMs: number

  constructor (referee: Referee, scenario: Scenario) {
    const { limits } = scenario
    this.#referee = referee
    this.#limits = limits
    const flushSlackMs = limits.cursorFlushMs + limits.sweepMs + WRITE_SLACK_MS
    this.#flushSlackMs = flushSlackMs
    this.sessions = new Sessions(referee, 2 * limits.sweepMs + WRITE_SLACK_MS, flushSlackMs)
    this.deliveries = new Deliveries(referee, this.ledger, limits)
    this.wills = new Wills(referee, this)
    const { ledger, sessions, deliveries } = this
    this.sockets = new SocketChecker({ referee, scenario, ledger, sessions, deliveries, lives: this.#lives })
  }

  /** When the disk was last full or slow. */
  get diskTroubleMs (): number { return this.#diskTroubleMs }
  diskTrouble (): void { this.#diskTroubleMs = this.#referee.nowMs }

  /** A write was refused. */
  refusedByDisk (): void {
    this.diskTrouble()
    this.#lastFullMs = this.#referee.nowMs
  }

  diskFull (): void {
    this.diskTrouble()
    // It may have been well for a moment too short for what had waited meanwhile.
    const isNew = this.#fullSinceMs === -1 || this.#referee.nowMs - this.#lastFullMs > this.#flushSlackMs
    if (isNew) this.#fullSinceMs = this.#referee.nowMs
    this.#referee.count('disk full')
    this.#referee.trace?.('disk: full')
  }

  // --- the disk

  durable (entries: readonly Entry[]): void {
    for (const entry of entries) {
      const publication = this.ledger.find(entry)
      if (publication === undefined) {
        this.#referee.violate('contract', `what nobody published is at ${entry.offset}`)
        continue
      }
      this.#referee.trace?.(`disk: ${publication.key} on ${entry.topic} is at ${entry.offset}`)
      this.#expect('contract', this.ledger.durable(publication, entry.offset, this.#referee.nowMs))
      for (const life of this.sessions.alive()) this.#claim(life, publication)
    }
  }

  trimmed (offsets: readonly Offset[]): void {
    this.#referee.trace?.(`disk: trimmed ${offsets.join(' ')}`)
    this.#referee.count('trimmed', offsets.length)
  }

  damaged (entry: Entry): void {
    const publication = this.ledger.find(entry)
    this.#referee.trace?.(`disk: ${publication?.key} at ${entry.offset} is damaged`)
    this.#referee.count('damaged')
    for (const life of this.sessions.alive()) {
      const claim = publication && life.claims.get(publication.key)
      if (claim === undefined) continue
      claim.damaged = true
      claim.damageFoundBy = this.#process + 1
    }
  }

  retained (message: Message): void {
    const publication = this.ledger.find(message)
    if (publication?.retain !== true) {
      this.#referee.violate('contract', `what nobody wanted to be retained is retained on ${message.topic}`)
      return
    }
    this.#referee.count('retained')
    const step = this.#referee.step()
    const before = this.#retained.get(publication.topic)
    if (before !== undefined) before.retainedTo = step
    publication.retainedFrom = step
    publication.retainedTo = Infinity
    this.#retained.set(publication.topic, publication)
  }

  /** What each topic retains. */
  retainedNow (): IterableIterator<Publication> { return this.#retained.values() }

  misused (what: string): void {
    this.#referee.violate('contract', `the store was misused: ${what}`)
  }

  working (): void { this.#referee.working() }

  // --- the server process

  started (): void {
    this.#process++
    this.wills.started()
  }

  /** @param isClockDoubted the time that it was down does not count, and what it had not written of time that passed */
  opened (isClockDoubted: boolean): void {
    this.#openedMs = this.#referee.nowMs
    this.sessions.opened(isClockDoubted)
    this.#referee.trace?.(`=== server ${this.#process} is open`)
  }

  crashed (): void {
    this.#referee.trace?.(`=== server ${this.#process} crashes`)
    this.#referee.count('crash')
    if (this.#referee.nowMs - this.#openedMs <= this.#flushSlackMs) this.#forgetDamage()
    this.#openedMs = Infinity
    this.sessions.crashed(this.#diskTroubleMs)
    this.ledger.forgetWaiting()
    this.wills.crashed()
  }

  /** Damage is found once; who is to be told of it is written behind. */
  #forgetDamage (): void {
    for (const life of this.sessions.alive()) {
      for (const claim of life.claims.values()) {
        if (claim.damaged && claim.damageFoundBy === this.#process) claim.isDamageUntold = true
      }
    }
  }

  /** @param sinceMs when the stop began */
  stopped (sinceMs: number): void {
    this.#referee.trace?.(`=== server ${this.#process} has stopped`)
    this.#referee.count('graceful stop')
    this.sessions.stopped(this.#lastFullMs >= sinceMs ? this.#fullSinceMs : undefined)
    this.wills.crashed()
    const waiting = this.ledger.oldestWaiting()
    if (waiting !== undefined) this.#referee.violate('G1', `the server stopped without an answer for ${waiting.key}`)
  }

  // --- strangers and administrators

  /** A stranger asks for the session of a client. */
  stealing (clientId: ClientId): Attempt {
    this.#referee.trace?.(`a stranger asks for the session of ${clientId}`)
    const life = this.sessions.of(clientId)
    return { clientId, life: life !== undefined && this.sessions.isCertainlyThere(life) ? life : undefined }
  }

  /** And got one: only where the client can have had none since they asked [G7]. */
  stolen ({ clientId, life }: Attempt, present: boolean): void {
    this.#referee.trace?.(`a stranger has got the session of ${clientId}${present ? ', present' : ''}`)
    this.#referee.count('theft of a name that was free')
    if (present && !this.#stolen.has(clientId)) {
      this.#referee.violate('G7', `a stranger got the session of ${clientId} with what it had missed`)
    }
    const current = this.sessions.of(clientId)
    if (life !== undefined && life === current && this.sessions.isCertainlyThere(life)) {
      this.#referee.violate('G7', `a stranger got the name of ${life.name}, which is still there`)
    }
    this.#stolen.add(clientId)
    if (current !== undefined) this.sessions.end(current, 'a stranger has its name')
  }

  /** It is written down that a session was ended, unless the disk has had trouble since the call. */
  endedByAdministrator (life: Life, calledMs: number): void {
    if (this.#diskTroubleMs >= calledMs || this.sessions.of(life.clientId) !== life) return
    this.sessions.end(life, 'administrator')
  }

  // --- connections

  connecting (clientId: ClientId, clean: boolean, expiryMs: number, writable: () => boolean):
  { call: ConnectCall, connection: Connection } {
    const connection: Connection = {
      number: ++this.#connections,
      clientId,
      life: undefined,
      attached: false,
      over: false,
      closedWith: undefined,
      lastOffset: 0,
      readySinceMs: 0,
      writable,
      releasing: new Set(),
      inflightMax: this.#limits.inflightMessagesMax,
      isProven: false,
      exactThrough: 0,
      shown: undefined
    }
    const call = { clientId, clean, expiryMs }
    this.#referee.trace?.(`${clientId}#${connection.number} connects${clean ? ', clean' : ''}`)
    this.sessions.called(call)
    this.#lastAsked.set(clientId, connection.number)
    return { call, connection }
  }

  connected (call: ConnectCall, connection: Connection, present: boolean): void {
    connection.life = this.sessions.succeeded(call, present)
    this.#lives.set(connection.life.number, connection.life)
    this.#referee.count(present ? 'session resumed' : 'session made')
    this.#referee.trace?.(`${connection.life.name}#${connection.number} connected, ${present ? 'present' : 'new'}`)
  }

  attached (connection: Connection): void {
    connection.attached = true
    this.#lastAttached.set(connection.clientId, connection.number)
    connection.readySinceMs = this.#referee.nowMs
    this.#attached.set(connection.number, connection)
    this.sessions.attached(connection.life!, connection.number)
  }

  released (connection: Connection): void {
    connection.over = true
    this.sessions.released(connection.life!)
  }

  closing (connection: Connection, reason: CloseReason): void {
    const name = `${connection.clientId}#${connection.number}`
    if (connection.over) this.#referee.violate('contract', `${name} was closed again`)
    connection.over = true
    connection.closedWith = reason
    const mayHaveEnded = connection.life?.mayHaveEnded === true || connection.life?.ended !== undefined
    const { clientId, number } = connection
    const isLast = this.#lastAsked.get(clientId) === number && this.#lastAttached.get(clientId) === number
    if (reason === 'taken-over' && isLast && !mayHaveEnded) {
      this.#referee.violate('G7', `${name} was taken over, but its client has made no other connection`)
    }
    this.#referee.count(`closed: ${reason}`)
    this.#referee.trace?.(`${name} is closed by the server: ${reason}`)
    if (connection.life !== undefined) this.sessions.closing(connection.life, connection.number)
  }

  detached (connection: Connection): void {
    connection.over = true
    this.#referee.trace?.(`${connection.clientId}#${connection.number} is gone`)
    if (connection.life !== undefined) this.sessions.detached(connection.life, connection.number)
  }

  /** The connection that follows a session now. */
  connectionOf (life: Life): Connection | undefined {
    return life.attached === 0 ? undefined : this.#attached.get(life.attached)
  }

  arrived (clientId: ClientId, number: number, sent: Sent, wasHandled: boolean): void {
    const life = this.#lives.get(number)
    this.#referee.trace?.(`${clientId} gets ${this.ledger.find(sent.message)?.key}${wasHandled ? '' : ', again'}`)
    if (life !== undefined) this.deliveries.arrived(life, sent, wasHandled)
  }

  filtersOf (clientId: ClientId): string[] {
    return this.sessions.of(clientId)?.subscribed() ?? []
  }

  drained (connection: Connection): void {
    connection.readySinceMs = this.#referee.nowMs
  }

  receivedDurably (connection: Connection, packetId: PacketId): void {
    const claim = connection.life?.inUse.get(packetId)
    if (claim !== undefined) claim.received = true
  }

  // --- subscriptions

  subscribing (life: Life, filter: string, qos: QoS | undefined): FilterCall {
    this.#referee.trace?.(`${life.name} ${qos === undefined ? 'unsubscribes' : `subscribes at q${qos}`}: ${filter}`)
    return life.called(filter, qos, this.#referee.step())
  }

  subscribed (life: Life, call: FilterCall): void {
    this.#referee.trace?.(`${life.name} has ${call.qos === undefined ? 'un' : ''}subscribed: ${call.filter}`)
    this.#referee.count(call.qos === undefined ? 'unsubscribed' : 'subscribed')
    life.succeeded(call, this.#referee.step())
  }

  // --- publishing

  /** @param key a publisher that sends the same key again must get it appended once (QoS 2) */
  publishing (publisher: ClientId, key: string, topic: string, qos: QoS, retain = false): Publication {
    this.#referee.trace?.(`${publisher} publishes ${key} on ${topic} (q${qos}${retain ? ', retain' : ''})`)
    this.#referee.count(`published at QoS ${qos}`)
    const lives = [...this.sessions.alive()]
    const wantedBy = lives.filter(life => this.certainlyWants(life, topic, qos))
    const known = this.ledger.named(key)
    if (known !== undefined) {
      this.#referee.count('published again')
      const isNew = known.process !== this.#process || known.receipt === 'refused'
      if (isNew) this.ledger.again(known, this.#referee.step(), this.#process, wantedBy)
      return known
    }
    const step = this.#referee.step()
    const publication: Publication = {
      key,
      topic,
      qos,
      publisher,
      retain,
      retainedFrom: Infinity,
      retainedTo: Infinity,
      calledAt: step,
      handedAt: step,
      calledMs: this.#referee.nowMs,
      process: this.#process,
      wantedBy,
      mayBeKnown: false,
      offset: undefined,
      durableMs: 0,
      receipt: undefined,
      receiptAt: Infinity
    }
    this.ledger.add(publication)
    // A session that is not kept is owed what it asked for before; one that is kept, what stands in the log after.
    for (const life of lives) if (!life.kept && life.attached !== 0) this.#claim(life, publication)
    return publication
  }

  /** Nobody waits for a receipt of it. */
  publishingWill (publisher: ClientId, key: string, topic: string, qos: QoS): Publication {
    const publication = this.publishing(publisher, key, topic, qos)
    this.ledger.settle(publication)
    return publication
  }

  receipt (publication: Publication, error: Error | undefined): void {
    const { key, qos, topic } = publication
    this.#referee.trace?.(`receipt for ${key}${error === undefined ? '' : `: ${error.message}`}`)
    this.#referee.count(error === undefined ? 'receipt' : 'refused')
    this.#expect('G1', this.ledger.receipt(publication, error === undefined, this.#referee.step()))
    if (error !== undefined || qos === 0 || publication.offset !== undefined) return
    const wanting = publication.wantedBy.find(life => this.certainlyWants(life, topic, qos))
    if (wanting === undefined) return
    this.#referee.violate('G1', `${key} got a receipt, but is not on the disk; ${wanting.name} wants it`)
  }

  certainlyWants (life: Life, topic: string, qos: QoS): boolean {
    return life.kept && life.ended === undefined && !life.mayHaveEnded && !life.mayHaveExpired(this.#referee.nowMs) &&
      life.coverage(topic, qos).qosMin > 0
  }

  #claim (life: Life, publication: Publication): void {
    if (life.claims.has(publication.key)) return
    const coverage = life.coverage(publication.topic, publication.qos)
    if (coverage.possible.size > 0) life.claim(publication, coverage)
  }

  #expect (clause: 'G1' | 'contract', wrong: string | undefined): void {
    if (wrong !== undefined) this.#referee.violate(clause, wrong)
  }
}
