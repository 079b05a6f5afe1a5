/**
 * What is known of Socket.IO clients from outside: who they show themselves to be, what has reached their machines and
 * their handlers, and what they will never handle. A proof is held against that [G2], a resumption too [G4].
 */
import type { ClientId, Offset } from '../../../broker/model/message.ts'
import type { Connection, Deliveries } from '../deliveries.ts'
import { isPoisonous, type Ledger } from '../ledger.ts'
import type { Claim, Life } from '../life.ts'
import type { Referee } from '../referee.ts'
import type { Scenario } from '../scenario.ts'
import type { Sessions } from '../sessions.ts'
import type { Sent } from '../wire.ts'

export interface SocketCheckerOptions {
  readonly referee: Referee
  readonly scenario: Scenario
  readonly ledger: Ledger
  readonly sessions: Sessions
  readonly deliveries: Deliveries
  /** By their numbers. */
  readonly lives: ReadonlyMap<number, Life>
}

export class SocketChecker {
  readonly #options: SocketCheckerOptions
  readonly #referee: Referee

  constructor (options: SocketCheckerOptions) {
    this.#options = options
    this.#referee = options.referee
  }

  /** What a client shows of itself when it connects; if it does not count it is given another identifier. */
  showing (connection: Connection, pid: string | undefined, fresh: string): void {
    connection.shown = { pid, fresh }
    this.#options.sessions.of(connection.clientId)?.pidsOpen.add(fresh)
  }

  /** It was refused: what it was to be given counts for nothing. */
  refused (connection: Connection): void {
    this.#options.sessions.of(connection.clientId)?.pidsOpen.delete(connection.shown!.fresh)
  }

  /** The session is answered: is it the client that had it last? */
  recovered (connection: Connection, isRecovered: boolean): void {
    const life = connection.life!
    const { pid, fresh } = connection.shown!
    const wasLast = pid !== undefined && life.pid === pid
    if (isRecovered && !wasLast && !life.pidsOpen.has(pid!)) {
      this.#referee.violate('G4', `${life.name}#${connection.number} is taken for the client that was there last`)
    }
    const others = [...life.pidsOpen].filter(other => other !== fresh)
    if (!isRecovered && wasLast && others.length === 0 && !life.isUncertain && life.sessionsSeen > 0) {
      this.#referee.violate('G4', `${life.name}#${connection.number} is not known again, though it was there last`)
    }
    this.#referee.count(isRecovered ? 'recovered' : 'not recovered')
    life.pid = isRecovered ? pid : fresh
    life.sessionsSeen++
    life.pidsOpen.clear()
  }

  receivedThrough (connection: Connection, through: Offset): void {
    this.#options.deliveries.receivedThrough(connection, through)
  }

  /**
   * The broker goes on without a message whose delivery breaks the connection. It was written on as many connections
   * that broke as the rule asks for at least; and where nothing but the message breaks them, it is one that does.
   */
  setAside (clientId: ClientId, topic: string, offset: Offset, attempts: number): void {
    const life = this.#options.sessions.of(clientId)
    const claim = offset > 0
      ? [...life?.claims.values() ?? []].find(({ publication }) => publication.offset === offset)
      : [...life?.inUse.values() ?? []].find(({ publication, isRetained }) => isRetained && publication.topic === topic)
    if (life === undefined || claim === undefined) return
    const { key } = claim.publication
    const { cutMs, freezeMs, leaves, takesOver, sockets: { killMs, redeliveriesMax } } = this.#options.scenario
    this.#referee.trace?.(`${life.name} goes on without ${key}, after ${attempts} attempts`)
    const scoreMax = Math.max(1, redeliveriesMax - Math.ceil(redeliveriesMax / 2))
    if (claim.writtenOn.size < scoreMax) {
      this.#referee.violate('G5', `${key} was set aside for ${life.name}, but written on ${claim.writtenOn.size} ` +
        `connections; it takes ${scoreMax} at least`)
    }
    const isPoison = isPoisonous(key)
    const isCalm = cutMs === undefined && freezeMs === undefined && killMs === undefined && leaves + takesOver === 0
    this.#referee.count(isPoison ? 'set aside' : 'set aside, though harmless')
    if (!isPoison && isCalm) this.#referee.violate('G5', `${key} was set aside for ${life.name}, but breaks nothing`)
    claim.isAside = true
    if (claim.isRetained) life.retainedAside++
    if (life.inUse.get(claim.packetId) === claim) life.inUse.delete(claim.packetId)
    claim.acknowledgedMs = this.#referee.nowMs
  }

  /** An event is on the client's machine. */
  reached (number: number, sent: Sent, connection: number): void {
    const claim = this.#claimOf(number, sent)
    if (claim !== undefined) claim.reachedOn = Math.max(claim.reachedOn, connection)
  }

  /** The client will not handle it any more: its process is gone, or its connection, or it has left. */
  dropped (number: number, sent: Sent, connection: number): void {
    const claim = this.#claimOf(number, sent)
    if (claim === undefined || claim.handledOn === connection || claim.droppedOn > connection) return
    claim.droppedOn = connection
  }

  /** The handlers were called for it, and have returned. */
  arrivedBySocket (clientId: ClientId, number: number, sent: Sent, connection: number): void {
    const claim = this.#claimOf(number, sent)
    if (claim !== undefined) claim.handledOn = connection
    const life = this.#options.lives.get(number)
    this.#referee.trace?.(`${clientId} gets ${claim?.publication.key}`)
    if (life !== undefined) this.#options.deliveries.arrived(life, sent, true)
  }

  #claimOf (number: number, { message, retain }: Sent): Claim | undefined {
    const publication = this.#options.ledger.find(message)
    const life = this.#options.lives.get(number)
    return publication && (retain ? life?.retained : life?.claims)?.get(publication.key)
  }
}
