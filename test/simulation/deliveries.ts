/** What a session sends on a connection, held against order, duplicates, identifiers and bounds [G3, G4, G5, G6]. */
import { DEFAULT_LIMITS, type Limits } from '../../broker/model/limits.ts'
import type { ClientId, Offset, PacketId } from '../../broker/model/message.ts'
import type { CloseReason, Delivery, GapReason } from '../../broker/session/link.ts'
import type { Ledger, Publication } from './ledger.ts'
import { isExcused, isOwed, matchesTopic, type Claim, type Life } from './life.ts'
import type { Clause, Referee } from './referee.ts'
import type { Sent } from './wire.ts'

/** A connection as the server sees it, from CONNECT on. */
export interface Connection {
  readonly number: number
  readonly clientId: ClientId
  /** Set when connect() is answered. */
  life: Life | undefined
  attached: boolean
  /** The server closed it, or was told that it is gone: nothing may be sent any more. */
  over: boolean
  closedWith: CloseReason | undefined
  /** Offset of the last message that was sent on it. */
  lastOffset: number
  /** Since when there is nothing to wait for: it takes bytes and the window has room. */
  readySinceMs: number
  readonly writable: () => boolean
  /** Identifiers that were released here for messages sent before a crash; they take room in the window. */
  readonly releasing: Set<PacketId>
  /** How many may be out unacknowledged. */
  inflightMax: number
  /** Its client proves that it has handled something; it does not acknowledge. */
  isProven: boolean
  /** The client has shown that it handled everything up to here: nothing up to here may be sent again. */
  exactThrough: number
  /** What the client has shown of itself, and what it is given if that does not count. */
  shown: { readonly pid: string | undefined, readonly fresh: string } | undefined
}

export class Deliveries {
  readonly #referee: Referee
  readonly #ledger: Ledger
  readonly #limits: Limits

  constructor (referee: Referee, ledger: Ledger, limits: Limits) {
    this.#referee = referee
    this.#ledger = ledger
    this.#limits = limits
  }

  sent (connection: Connection, deliveries: readonly Delivery[]): void {
    const life = this.#lifeOf(connection, 'a delivery')
    if (life === undefined) return
    if (!connection.writable()) this.#violate('G6', `${life.name} was sent more while its connection takes no bytes`)
    connection.readySinceMs = this.#referee.nowMs
    const inUseBefore = life.inUse.size // what a connection with a larger window left behind
    for (const delivery of deliveries) {
      const publication = this.#ledger.find(delivery.message)
      if (publication === undefined) return this.#violate('contract', `${life.name} was sent what nobody published`)
      const { qos, packetId, dup, retain } = delivery
      this.#referee.trace?.(`  to ${life.name}#${connection.number}: ${publication.key} on ${publication.topic} ` +
        `(offset ${publication.offset ?? '-'}, q${qos}, id ${packetId}${dup ? ', dup' : ''})`)
      if (retain) {
        this.#sendRetained(connection, life, publication, delivery)
        continue
      }
      const claim = life.claims.get(publication.key) ?? this.#claimLate(life, publication)
      this.#checkAllowed(life, claim, delivery)
      if (delivery.qos === 0) this.#sendOnce(life, claim, delivery)
      else this.#send(connection, life, claim, delivery)
      claim.acknowledgedMs = undefined
      claim.isForgotten = false
      claim.sends++
      claim.sentOn = connection.number
      claim.sentMs = this.#referee.nowMs
    }
    const inflightMax = Math.max(connection.inflightMax, inUseBefore)
    if (life.inUse.size > inflightMax) {
      this.#violate('G6',
        `${life.name} has ${life.inUse.size} in flight; the most on this connection is ${inflightMax}`)
    }
  }

  /** A message that was not stored for the session may reach it all the same, while it is attached; it need not. */
  #claimLate (life: Life, publication: Publication): Claim {
    const { topic, qos, calledAt, receiptAt } = publication
    const coverage = life.coverageDuring(topic, qos, calledAt, receiptAt)
    coverage.certain.clear()
    return life.claim(publication, { ...coverage, qosMin: 0 })
  }

  /** What was retained at the place of a SUBSCRIBE, for that (MQTT 3.3.1-6, -8); again after a crash, perhaps. */
  #sendRetained (connection: Connection, life: Life, publication: Publication, { packetId, qos, dup }: Delivery): void {
    const { key, topic, retainedFrom, retainedTo } = publication
    const claim = life.retainedClaim(publication)
    // What is not in the log can't be told from what was there when a SUBSCRIBE had its place at the same end of it.
    const isUnplaced = publication.offset === undefined
    const isDue = life.subscribes.some(({ filter, calledAt, answeredAt }) => matchesTopic(filter, topic) &&
      (retainedFrom <= answeredAt || isUnplaced) && calledAt <= retainedTo)
    if (!isDue) this.#violate('contract', `${life.name} was sent ${key} as retained; it was not when it subscribed`)
    if (qos > publication.qos) this.#violate('contract', `${life.name} was sent ${key} at QoS ${qos}, retained at less`)
    this.#referee.count('sent as retained')
    claim.sends++
    claim.sentOn = connection.number
    if (qos === 0) return
    const owner = life.inUse.get(packetId)
    if (owner !== undefined && (!owner.isRetained || owner.publication !== publication)) {
      this.#violate('G4', `${life.name}: identifier ${packetId} was given to ${key}, which is retained, but ` +
        `${owner.publication.key} still has it`)
    }
    if (owner === undefined) life.inUse.set(packetId, life.retainedFlight(publication, packetId))
    else if (!dup) this.#violate('G4', `${life.name} was sent ${key}, which is retained, again without DUP`)
  }

  #checkAllowed (life: Life, claim: Claim, { qos, dup }: Delivery): void {
    const { publication } = claim
    // It is completed whatever was unsubscribed meanwhile, also if it was only about to be sent [MQTT-3.10.4-3].
    if (qos > 0 && (claim.sends > 0 || (dup && this.#isPossiblySent(life, claim)))) return
    // A session that is not kept has no positions: what waits for it counts for any filter that it has now.
    const isQueued = !life.kept && life.coverage(publication.topic, publication.qos).possible.size > 0
    if (isQueued) return
    if (claim.possible.size === 0) {
      this.#violate('contract',
        `${life.name} was sent ${publication.key} on ${publication.topic}; no subscription of it counts`)
    } else if (!claim.qosPossible.has(qos)) {
      this.#violate('contract', `${life.name} was sent ${publication.key} at QoS ${qos}; no subscription grants that`)
    } else if (qos < claim.qosMin && claim.certain.size > 0) {
      this.#violate('contract',
        `${life.name} was sent ${publication.key} at QoS ${qos}, below the highest that matches, ${claim.qosMin}`)
    }
  }

  #sendOnce (life: Life, claim: Claim, { packetId, dup }: Delivery): void {
    const { key } = claim.publication
    if (claim.sends > 0) this.#violate('G4', `${life.name} was sent ${key} again, at QoS 0`)
    if (packetId !== 0 || dup) this.#violate('contract', `${life.name} was sent ${key} at QoS 0 with identifier or DUP`)
    this.#checkPublisherOrder(life, claim, 0)
  }

  #send (connection: Connection, life: Life, claim: Claim, { packetId, qos, dup }: Delivery): void {
    const { key, offset } = claim.publication
    const owner = life.inUse.get(packetId)
    if (packetId < 1 || packetId > 65_535) this.#violate('contract', `${key} was sent with identifier ${packetId}`)
    if (owner !== undefined && owner !== claim) {
      this.#violate('G4',
        `${life.name}: identifier ${packetId} was given to ${key}, but ${owner.publication.key} still has it`)
    }
    if (claim.sends > 0) this.#checkAgain(connection, life, claim, packetId, dup)
    else this.#checkFirst(life, claim, dup)
    if (offset !== undefined) {
      if (offset <= connection.lastOffset) {
        this.#violate('G3', `${life.name}: ${key} at ${offset} was sent after what stands at ${connection.lastOffset}`)
      }
      connection.lastOffset = offset
      if (offset <= connection.exactThrough) {
        this.#violate('G4', `${life.name}: ${key} at ${offset} was sent again, though its client has shown that it ` +
          `handled everything up to ${connection.exactThrough}`)
      }
    }
    if (qos < 2) claim.isExactlyOnce = false
    claim.packetId = packetId
    life.inUse.set(packetId, claim)
    this.#referee.count(`sent at QoS ${qos}`)
  }

  /**
   * What is only possibly owed may come back with a filter whose removal failed; what a session was told that it would
   * not get may come back when the server crashed before it had written down that it had gone past it.
   */
  #mayBeLate (life: Life, claim: Claim): boolean {
    return life.kept && (claim.certain.size === 0 || (life.gapTold > 0 && life.forgottenMs >= 0))
  }

  /** What was about to be sent when a connection broke or the server went away may have been sent: it says DUP. */
  #isPossiblySent (life: Life, { publication }: Claim): boolean {
    return publication.durableMs <= Math.max(life.brokenMs, life.forgottenMs)
  }

  #checkFirst (life: Life, claim: Claim, dup: boolean): void {
    const { key, offset } = claim.publication
    if (dup && !this.#isPossiblySent(life, claim)) {
      this.#violate('G4', `${life.name} was sent ${key} with DUP, for the first time`)
    }
    if (offset !== undefined) {
      if (offset < life.firstSentMax && !this.#mayBeLate(life, claim)) {
        this.#violate('G3', `${life.name}: ${key} at ${offset} was overtaken by what stands at ${life.firstSentMax}`)
      }
      life.firstSentMax = Math.max(life.firstSentMax, offset)
    }
    this.#checkPublisherOrder(life, claim, 1)
  }

  /** Of one publisher on one topic, whether stored or not [MQTT-4.6.0-6]. */
  #checkPublisherOrder (life: Life, claim: Claim, level: 0 | 1): void {
    const { key, publisher, topic, qos, calledAt } = claim.publication
    const line = `${publisher} ${topic} ${Math.min(1, qos)} ${level}`
    const last = life.lastOf.get(line) ?? -1
    if (calledAt < last && !this.#mayBeLate(life, claim)) {
      this.#violate('G3', `${life.name}: ${key} was overtaken by a later message of its publisher`)
    }
    life.lastOf.set(line, calledAt)
  }

  #checkAgain (connection: Connection, life: Life, claim: Claim, packetId: PacketId, dup: boolean): void {
    const { key } = claim.publication
    this.#referee.count('redelivery')
    if (claim.sentOn === connection.number) this.#violate('G4', `${life.name} was sent ${key} twice on one connection`)
    if (claim.received) this.#violate('G4', `${life.name} was sent ${key} again, after its PUBREC was durable`)
    if (!dup) this.#violate('G4', `${life.name} was sent ${key} again without DUP`)
    if (claim.acknowledgedMs !== undefined) {
      const ago = Math.round(this.#referee.nowMs - claim.acknowledgedMs)
      if (!claim.isForgotten) this.#violate('G4', `${life.name} was sent ${key} again, acknowledged ${ago} ms ago`)
    } else if (claim.sentMs > life.forgottenMs && packetId !== claim.packetId) {
      this.#violate('G4', `${life.name} was sent ${key} again with identifier ${packetId}; it had ${claim.packetId}`)
    }
  }

  released (connection: Connection, packetId: PacketId): void {
    const life = this.#lifeOf(connection, 'a PUBREL')
    if (life === undefined) return
    this.#referee.trace?.(`  to ${life.name}#${connection.number}: PUBREL ${packetId}`)
    const owner = life.inUse.get(packetId)
    if (owner === undefined) connection.releasing.add(packetId)
    if (owner === undefined || owner.received) return
    // Whoever waits for the same sync hears of it in the same moment: looked at when that has passed.
    this.#referee.soon(() => {
      if (owner.received) return
      this.#violate('G4', `${life.name}: PUBREL ${packetId} for ${owner.publication.key}, whose PUBREC is not durable`)
    })
  }

  gap (connection: Connection, count: number, reason: GapReason): void {
    const life = this.#lifeOf(connection, 'a gap notice')
    if (life === undefined) return
    this.#referee.trace?.(`  to ${life.name}#${connection.number}: ${count} are missing (${reason})`)
    if (!this.#mayLose(reason)) this.#violate('G5', `${life.name} was told of a gap (${reason}) that can't be`)
    if (!(count > 0)) this.#violate('G5', `${life.name} was told of a gap of ${count}`)
    life.gaps.push({ count, reason })
    life.gapTold += count
    this.#referee.count(`gap: ${reason}`)
  }

  #mayLose (reason: GapReason): boolean {
    const limits = this.#limits
    switch (reason) {
      case 'backlog-messages': return limits.backlogMessagesMax < DEFAULT_LIMITS.backlogMessagesMax
      case 'backlog-bytes': return limits.backlogBytesMax < DEFAULT_LIMITS.backlogBytesMax
      case 'backlog-age': return limits.backlogAgeMsMax < DEFAULT_LIMITS.backlogAgeMsMax
      case 'queue-full': return limits.cleanQueueMessagesMax < DEFAULT_LIMITS.cleanQueueMessagesMax ||
        limits.cleanQueueBytesMax < DEFAULT_LIMITS.cleanQueueBytesMax
      case 'set-aside': return true // held against what was set aside at the end
      case 'qos-lowered': return true // held against what its filters no longer cover at the end
      case 'damaged': return (this.#referee.counts.get('damaged') ?? 0) > 0
    }
  }

  acknowledged (connection: Connection, packetId: PacketId): void {
    const { life } = connection
    connection.releasing.delete(packetId)
    const claim = life?.inUse.get(packetId)
    if (life === undefined || claim === undefined || connection.over) return
    claim.acknowledgedMs = this.#referee.nowMs
    life.inUse.delete(packetId)
    connection.readySinceMs = this.#referee.nowMs
  }

  /** It is written to a client that proves what it has handled. */
  written (connection: Connection, packetId: PacketId, isAsked: boolean): void {
    const claim = connection.life?.inUse.get(packetId)
    if (claim === undefined) return
    claim.writtenOn.add(connection.number)
    claim.isAsked = isAsked
  }

  /** The client is said to have handled it, or only to have it: on this very connection [G2]. */
  proven (connection: Connection, packetId: PacketId, level: 'handled' | 'received' | 'answered'): void {
    const { life } = connection
    const flight = life?.inUse.get(packetId)
    if (life === undefined || flight === undefined || connection.over) return
    const { key } = flight.publication
    const claim = flight.isRetained ? life.retained.get(key)! : flight
    this.#referee.count(`proven: ${level}`)
    if (level === 'answered') { // by a handler that had it, perhaps on an earlier connection
      if (claim.handled > 0) return
      this.#violate('G2', `${life.name}: an answer counts for ${key}, which no handler has had`)
      return
    }
    if (level === 'handled' && claim.handledOn !== connection.number) {
      this.#violate('G2', `${life.name}#${connection.number}: ${key} counts as handled, but no handler has had it`)
    } else if (claim.reachedOn !== connection.number) {
      this.#violate('G2', `${life.name}#${connection.number}: ${key} counts as received, but has not arrived`)
    }
    if (level === 'received') claim.weaklyProvenOn = connection.number
  }

  /** The client shows that it has handled everything up to here [G2]. */
  receivedThrough (connection: Connection, through: Offset): void {
    const life = connection.life!
    connection.exactThrough = through
    this.#referee.count('offset honoured')
    this.#referee.trace?.(`${life.name}#${connection.number} goes on behind ${through}`)
    for (const claim of life.claims.values()) {
      const { offset, key } = claim.publication
      if (offset === undefined || offset > through) continue
      const isLost = claim.handled === 0 && !claim.isDamageUntold && !isExcused(claim)
      if (isOwed(claim) && isLost && life.gapTold === 0) {
        this.#violate('G2', `${life.name} is taken to have handled everything up to ${through}, but never had ${key}`)
      }
      if (claim.isAsked && life.inUse.get(claim.packetId) === claim) {
        this.#violate('G2', `${life.name} is taken to have handled ${key}, which waits for its application's answer`)
      }
      if (claim.sends === 0 || life.inUse.get(claim.packetId) !== claim) continue
      life.inUse.delete(claim.packetId)
      claim.acknowledgedMs = this.#referee.nowMs
    }
  }

  // --- what reached the client

  arrived (life: Life, { message, dup, qos, retain }: Sent, wasHandled: boolean): void {
    const publication = this.#ledger.find(message)
    const claim = publication && (retain ? life.retained : life.claims).get(publication.key)
    if (claim === undefined) return
    const { key, offset } = claim.publication
    claim.seen++
    if (retain) {
      if (wasHandled) claim.handled++
      return
    }
    if (claim.seen > 1 && !dup) this.#violate('G4', `${life.name} saw ${key} again, without DUP`)
    if (!wasHandled) return
    claim.handled++
    if (claim.handled === 1) this.#referee.count('handled')
    if (claim.handled > 1 && claim.isExactlyOnce) this.#violate('G4', `${life.name} handled ${key} twice, at QoS 2`)
    if (claim.handled > 1 || offset === undefined || qos === 0) return
    if (offset < life.firstSeenMax && !this.#mayBeLate(life, claim)) {
      this.#violate('G3', `${life.name} saw ${key} at ${offset} after ${life.firstSeenMax}`)
    }
    life.firstSeenMax = Math.max(life.firstSeenMax, offset)
  }

  #lifeOf (connection: Connection, what: string): Life | undefined {
    const { life } = connection
    if (life === undefined || !connection.attached) {
      this.#violate('contract', `${connection.clientId}#${connection.number} got ${what} before it was attached`)
    } else if (connection.over || life.ended !== undefined) {
      this.#violate('contract', `${life.name}#${connection.number} got ${what} though it was ` +
        (connection.over ? `closed (${connection.closedWith ?? 'gone'})` : `ended (${life.ended})`))
    }
    return life
  }

  #violate (clause: Clause, text: string): void {
    this.#referee.violate(clause, text)
  }
}
