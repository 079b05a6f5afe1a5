/**
 * Wills as seen from outside (MQTT 3.1.1, 3.1.2.5): which must be published, which may, and which must not be any more.
 * A will is published once, whatever happens to the server meanwhile.
 */
import type { ClientId, Message, QoS } from '../../broker/model/message.ts'
import { ANONYMOUS } from '../../broker/auth/anonymous.ts'
import type { Checker } from './checker.ts'
import { payloadOf, type Publication } from './ledger.ts'
import type { Life } from './life.ts'
import type { Referee } from './referee.ts'
import type { ServerProcess } from './server.ts'

/** `maybe`: its fate was not decided when the server died. */
type State = 'put' | 'written' | 'leaving' | 'maybe' | 'owed' | 'gone'

interface Will {
  readonly key: string
  readonly clientId: ClientId
  readonly topic: string
  readonly qos: QoS
  state: State
  /** The next connection of its client has put its own in its place; this one is no more written down. */
  isReplaced: boolean
  publication: Publication | undefined
  /** The subscriptions that certainly counted when it was handed over. */
  wantedBy: Array<readonly [life: Life, subscriptions: ReadonlySet<string>]>
}

export class Wills {
  readonly #referee: Referee
  readonly #checker: Checker
  readonly #wills = new Map<string, Will>()
  #made = 0

  constructor (referee: Referee, checker: Checker) {
    this.#referee = referee
    this.#checker = checker
  }

  make (clientId: ClientId, topic: string, qos: QoS, nowMs: number): Message {
    const key = `${clientId}/will.${++this.#made}`
    // The one before is published by its own connection, unless the server dies first.
    for (const will of this.#wills.values()) if (will.clientId === clientId) will.isReplaced = true
    this.#wills.set(key, { key, clientId, topic, qos, state: 'put', isReplaced: false, publication: undefined,
      wantedBy: [] })
    return {
      topic, payload: payloadOf(key, 0), qos, retain: false, publisher: clientId, principal: ANONYMOUS,
      time: nowMs as Message['time'], id: '', extension: undefined, encodings: undefined
    }
  }

  written (message: Message): void {
    const will = this.#of(message)
    if (will.state === 'put') will.state = 'written'
  }

  /** Its client takes leave: it is forgotten once that is written down. */
  leaving (message: Message): void { this.#of(message).state = 'leaving' }

  left (message: Message): void { this.#of(message).state = 'gone' }

  /** Its connection is gone without leave: it is handed to the broker. */
  broken (message: Message): void {
    const will = this.#of(message)
    will.state = 'owed'
    this.#publish(will)
  }

  /** The server has died, or stopped while its client was connected: the next one publishes what is written down. */
  crashed (): void {
    for (const will of this.#wills.values()) {
      const isDone = will.publication?.offset !== undefined
      if (will.state === 'gone' || isDone) continue
      if (will.state === 'put' || will.state === 'leaving' || will.isReplaced) will.state = 'maybe'
      else if (will.state === 'written') will.state = 'owed'
    }
  }

  /** A process starts, and publishes what it finds. */
  started (): void {
    for (const will of this.#wills.values()) {
      const mayBeThere = will.state === 'owed' || will.state === 'maybe'
      if (mayBeThere && will.publication?.offset === undefined) this.#publish(will)
    }
  }

  /** A will that must have been published and was not, though a session waits for it. */
  missing (): Will | undefined {
    for (const will of this.#wills.values()) {
      if (will.state !== 'owed' || will.publication === undefined || will.publication.offset !== undefined) continue
      if (this.#isStillWanted(will)) return will
    }
    return undefined
  }

  /** Without a pause: to a full disk it may be owed until nobody wants it. */
  #isStillWanted ({ wantedBy, topic, qos }: Will): boolean {
    return wantedBy.some(([life, before]) => this.#checker.certainlyWants(life, topic, qos) &&
      [...life.coverage(topic, qos).certain].some(one => before.has(one)))
  }

  #publish (will: Will): void {
    const { key, topic, qos } = will
    this.#referee.count('will to be published')
    // A publisher of its own: what is owed to a full disk comes later than what was published meanwhile.
    will.publication = this.#checker.publishingWill(key as ClientId, key, topic, qos)
    will.wantedBy = will.publication.wantedBy.map(life => [life, life.coverage(topic, qos).certain])
  }

  #of (message: Message): Will {
    const text = message.payload.toString()
    return this.#wills.get(text.slice(0, text.indexOf('|')))!
  }
}

/** The will of one connection, as the MQTT transport looks after it. */
export class ConnectionWill {
  readonly #server: ServerProcess
  readonly message: Message
  /** Its connection is gone, or never came about. */
  isOver = false

  constructor (server: ServerProcess, clientId: ClientId) {
    const { checker, random, scenario, referee } = server.options
    this.#server = server
    const { topics, qosPublished } = scenario
    this.message = checker.wills.make(clientId, random.pick(topics), Math.max(1, random.pick(qosPublished)) as QoS,
      server.broker.clock.now())
    referee.trace?.(`${clientId} has a will: ${this.message.payload.toString()} on ${this.message.topic}`)
  }

  async put (): Promise<void> {
    this.#server.lastWill.set(this.message.publisher, this)
    await this.#server.broker.wills.put(this.message)
    if (!this.#server.isGone) this.#server.options.checker.wills.written(this.message)
  }

  /** The connection is gone. */
  over (isOrderly: boolean): void {
    this.isOver = true
    const { checker } = this.#server.options
    if (this.#server.isGone || !this.#server.isOpen) return // the next process finds it
    if (!isOrderly) {
      checker.wills.broken(this.message)
      this.#server.broker.wills.publish(this.message)
      return
    }
    // That of a connection that has followed stays.
    if (this.#server.lastWill.get(this.message.publisher) !== this) return checker.wills.left(this.message)
    checker.wills.leaving(this.message)
    this.#server.broker.wills.remove(this.message.publisher).then(() => {
      if (!this.#server.isGone) checker.wills.left(this.message)
    }, () => {})
  }
}
