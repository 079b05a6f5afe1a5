/** What a client emits, carried out in its order and answered in its order. */
import type { Socket } from 'socket.io'
import {
  HoldfastError, toDoAbout, type Broker, type Logger, type Peer, type Refusals
} from '../../broker/index.ts'
import type { Connection } from './connection.ts'
import type { Receipt, RetriesBySession } from './repeats.ts'
import type { NamespaceRules } from './rules/rules.ts'
import type { Command } from './translation/commands.ts'
import { decodeName } from '../../protocol/index.ts'
import { readProof } from './admission/identity.ts'
import { OWN_EVENTS } from './translation/translate.ts'
import { OK, Stored } from './wire/ok.ts'

/** What an emit's ack callback gets. Never before the message, or the change of rooms, is durable [G1]. */
export type Answer =
  | { readonly status: 'ok' }
  /** To a message: for how many sessions that are kept it is in the log, as Broker.publish() counts them. */
  | Stored
  /** To `rooms`: what the session is in. */
  | { readonly status: 'ok', readonly rooms: readonly string[] }
  | { readonly status: 'error', readonly code: string, readonly message: string }

type Ack = (...answer: readonly unknown[]) => void

interface Slot {
  /** The name, shortened. */
  readonly event: string
  readonly ack: Ack | undefined
  readonly isErrorFirst: boolean
  readonly bytes: number
  /** Undefined while it is under way; 'none' where no answer may be given. */
  answer: Answer | 'none' | undefined
}

export interface InboundOptions {
  readonly socket: Socket
  readonly connection: Connection
  readonly peer: Peer
  readonly broker: Broker
  readonly rules: NamespaceRules
  /** As the client gave it; undefined where it gave none. */
  readonly name: string | undefined
  /** What the session remembers of its emits, which only sessions need whose clients give ids. */
  readonly retries: RetriesBySession
  /** Emits that no rule is for are handlers' of a program, and not refused. */
  readonly leavesUnruled: boolean
  readonly log: Logger
  readonly refusals: Refusals
}

/** With a fresh token, or `{ token }`, `{ username, password }` as in `auth`. */
const TOKEN_EVENT = `${OWN_EVENTS}token`
/** Counted for every emit on top of its bytes, so that many small ones are bounded too. */
const OVERHEAD_BYTES = 256
/** What a filter that comes or goes costs, in units (broker/system/turns.ts). */
const FILTER_UNITS = 16
const TO_DO: Readonly<Record<string, string>> = {
  NO_RULE: 'add a rule for the event (docs/rules.md), or keep the client from emitting it',
  EVENT_INVALID: 'give the event another name in the client (docs/socketio.md)',
  ARGUMENTS_INVALID: 'correct the arguments in the client (docs/socketio.md)'
}
/** So many filters are more work to list than an event is. */
const LONG_LIST = 64

export class Inbound {
  readonly #options: InboundOptions
  /** Emits that were taken and not yet answered, oldest first; their bytes are bounded by Connection.take [G6]. */
  readonly #slots: Slot[] = []
  /** A join or leave under way and what was emitted behind it, which waits so that it finds the room as it should. */
  #tail: Promise<void> | undefined
  #stopped = false
  #idle: (() => void) | undefined

  constructor (options: InboundOptions) {
    this.#options = options
  }

  /**
   * One event as it came from the socket: name, arguments, and the ack function where the client asked for one.
   * False where no rule is for it and somebody else is to have it.
   */
  handle (packet: readonly unknown[]): boolean {
    if (this.#stopped) return true
    const ack = typeof packet.at(-1) === 'function' ? packet.at(-1) as Ack : undefined
    if (packet[0] === TOKEN_EVENT) return this.#renew(packet, ack)
    const { rules, name, connection } = this.#options
    const { principal } = this.#options.peer
    const asks = ack !== undefined
    const command = rules.command({ packet: asks ? packet.slice(0, -1) : packet, asks, name, principal })
    if (this.#options.leavesUnruled && command.kind === 'refused' && command.code === 'NO_RULE') return false
    const bytes = OVERHEAD_BYTES + size(command)
    const isErrorFirst = command.isErrorFirst === true
    const slot: Slot = { event: String(packet[0]).slice(0, 80), ack, isErrorFirst, bytes, answer: undefined }
    this.#slots.push(slot)
    connection.take(bytes)
    const step = (): void | Promise<void> => this.#carryOut(command, slot)
    const done = this.#tail === undefined ? step() : this.#tail.then(step)
    if (done === undefined) return true
    const tail = done.then(() => { if (this.#tail === tail) this.#tail = undefined })
    this.#tail = tail
    return true
  }

  /** A fresh proof, of which nothing else that the client emits has to wait. */
  #renew ([event, shown]: readonly unknown[], ack: Ack | undefined): true {
    const { connection, peer } = this.#options
    connection.take(OVERHEAD_BYTES)
    const answer = (answer: Answer): void => {
      connection.settle(OVERHEAD_BYTES, true)
      this.#send({ event: String(event), ack, isErrorFirst: false, bytes: 0, answer }, answer)
    }
    // what may pass later is told too: there is time, and who is not told would be closed for nothing
    peer.renew(readProof(shown)).then(() => answer(OK), (error: unknown) => {
      const known = error instanceof HoldfastError ? error : undefined
      if (known === undefined) this.#options.log.error({ err: error }, 'a token could not be looked at')
      const { code, message } = known ?? { code: 'INTERNAL', message: 'the log of the server says why' }
      this.#tell(TOKEN_EVENT, code, message, 'a fresh token was refused; what the client had stays while it lasts')
      answer({ status: 'error', code, message })
    })
    return true
  }

  /** Takes nothing more; resolves when everything taken is answered. */
  async stop (): Promise<void> {
    this.#stopped = true
    if (this.#slots.length > 0) await new Promise<void>(resolve => { this.#idle = resolve })
  }

  get #peer (): Peer {
    return this.#options.peer
  }

  /** Resolves when what comes behind it may start; a message takes its place at once, so nothing waits for it. */
  #carryOut (command: Command, slot: Slot): void | Promise<void> {
    const { broker, connection } = this.#options
    const settle = (error?: unknown, done: Answer = OK): void => this.#settle(slot, error, done)
    switch (command.kind) {
      case 'publish': {
        const { topic, payload, encodings, id, qos, retain, retryId } = command
        const message = { topic, payload, encodings, id, qos, retain }
        broker.meters.cameIn('socketio', qos)
        const receipt: Receipt = (error, sessions = 0) => settle(error, new Stored(sessions))
        // One that is refused for its length needs no memory.
        if (retryId === undefined || topic.length > broker.limits.topicBytesMax) {
          return this.#peer.publish(message, receipt)
        }
        return this.#options.retries.of(this.#peer.clientId).once(topic, retryId, first => { // [G4]
          this.#peer.publish(message, first)
        }, receipt)
      }
      case 'subscribe':
        return all(command.filters, filter => this.#subscribe(filter)).then(() => settle(), settle)
      case 'unsubscribe':
        connection.charge(FILTER_UNITS * command.filters.length)
        return all(command.filters, filter => this.#peer.unsubscribe(filter)).then(() => settle(), settle)
      case 'list':
        return this.#answerList(slot, command.before, command.after)
      case 'ignored':
        return this.#answer(slot, OK)
      case 'refused':
        this.#refuse(slot, command)
    }
  }

  /** A long list takes a turn of its own [G8]. */
  #answerList (slot: Slot, before: string, after: string): void | Promise<void> {
    const size = this.#peer.filterCount
    const answer = (): void => { this.#answer(slot, { status: 'ok', rooms: this.#list(before, after) }) }
    if (size < LONG_LIST) return answer()
    return new Promise(resolve => this.#options.connection.inTurn(size >>> 2, () => {
      answer()
      resolve()
    }))
  }

  /** One that is there already stays as it is: nothing is written for it, and no retained messages are repeated. */
  async #subscribe (filter: string): Promise<void> {
    const { connection } = this.#options
    if (this.#peer.keepsFilter(filter)) return
    connection.charge(FILTER_UNITS)
    await this.#peer.subscribe(filter, 1)
  }

  #list (before: string, after: string): string[] {
    const rooms: string[] = []
    for (const filter of this.#peer.filters()) {
      if (!filter.startsWith(before) || !filter.endsWith(after)) continue
      const level = filter.slice(before.length, filter.length - after.length)
      if (level !== '' && !level.includes('/')) rooms.push(decodeName(level))
    }
    return rooms
  }

  #settle (slot: Slot, error: unknown, done: Answer): void {
    if (error === undefined) {
      this.#answer(slot, done) // [G1]
    } else if (error instanceof HoldfastError && !error.retriable) {
      this.#refuse(slot, error)
    } else {
      // No answer, which an ack callback would take for success; the connection breaks, so that the client knows.
      this.#cut(slot, error)
      this.#stopped = true
      this.#options.connection.close()
      this.#answer(slot, 'none')
    }
  }

  #refuse (slot: Slot, { code, message }: { readonly code: string, readonly message: string }): void {
    this.#tell(slot.event, code, message, 'what a Socket.IO client emitted was refused, and its client was told')
    this.#answer(slot, { status: 'error', code, message })
  }

  /** What may pass later; or a fault of ours. */
  #cut (slot: Slot, error: unknown): void {
    const what = 'what a Socket.IO client emitted could not be made durable: it is disconnected without a receipt'
    const code = error instanceof HoldfastError ? error.code : undefined
    if (code === undefined) this.#options.log.error({ session: this.#peer.clientId, err: error }, what)
    else if (code !== 'CLOSED') { // it has ended anyway
      this.#tell(slot.event, code, (error as HoldfastError).message, what)
    }
  }

  #tell (event: string, code: string, error: string, what: string): void {
    const { clientId, principal } = this.#peer
    this.#options.refusals.note({
      kind: event === TOKEN_EVENT ? 'clients' : code.startsWith('FILTER') ? 'filters' : 'messages',
      who: { remoteAddress: this.#options.connection.engine.remoteAddress, clientId, principal },
      about: { event, code, error },
      sameAs: code,
      what,
      toDo: TO_DO[code] ?? toDoAbout(code)
    })
  }

  /** Answers go out in the order of the emits. */
  #answer (slot: Slot, answer: Answer | 'none'): void {
    slot.answer = answer
    for (let first = this.#slots[0]; first?.answer !== undefined; first = this.#slots[0]) {
      this.#slots.shift()
      const { ack, bytes, answer } = first
      this.#options.connection.settle(bytes, answer !== 'none' && (ack !== undefined || answer.status === 'error'))
      if (answer !== 'none') this.#send(first, answer)
    }
    if (this.#slots.length === 0) this.#idle?.()
  }

  #send ({ event, ack, isErrorFirst }: Slot, answer: Answer): void {
    if (ack !== undefined && isErrorFirst) ack(...errorFirst(answer))
    else if (ack !== undefined) ack(answer)
    else if (answer.status === 'error') {
      // Nobody waits for an answer, and still it is not refused in silence.
      this.#options.socket.emit(`${OWN_EVENTS}error`, { event, code: answer.code, message: answer.message })
    }
  }
}

function errorFirst (answer: Answer): readonly unknown[] {
  if (answer.status === 'error') return [{ code: answer.code, message: answer.message }]
  return 'rooms' in answer ? [null, answer.rooms] : [null]
}

function size (command: Command): number {
  switch (command.kind) {
    case 'publish': return command.topic.length + command.payload.length
    case 'subscribe':
    case 'unsubscribe': return command.filters.reduce((sum, filter) => sum + filter.length, 0)
    case 'list':
    case 'ignored':
    case 'refused': return 0
  }
}

/** One behind the other; the first that fails ends it. */
async function all (filters: readonly string[], change: (filter: string) => Promise<unknown>): Promise<void> {
  for (const filter of filters) await change(filter)
}
