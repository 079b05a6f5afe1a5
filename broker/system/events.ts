import { EventEmitter } from 'node:events'
import type { Clock } from './clock.ts'
import type { ErrorCode } from '../model/errors.ts'
import type { ClientId, Principal, QoS } from '../model/message.ts'
import type { HeapUsage } from './heap-guard.ts'
import type { ClockDoubt } from './own-time.ts'
import { Seldom } from './seldom.ts'
import type { GapReason } from '../session/link.ts'

/** What a program's own Auth is asked. */
export type AuthHook = 'authenticate' | 'refresh' | 'mayPublish' | 'maySubscribe' | 'mayRead'

export type EndReason =
  | 'expired' | 'clean-connect' | 'administrator' | 'damaged'
  /** A clean session, with its connection. */
  | 'disconnected'
  /** Its client has left for good. */
  | 'left'
  /** It was made for a client that was not let in, or whose connection broke before. */
  | 'never-attached'
  /** It kept messages for a person who has a session now, and that one has them. */
  | 'inherited'

/** What a program can listen to; one sentence each. */
export interface BrokerEvents {
  /** A session was made. */
  'session-created': [{ clientId: ClientId, principal: Principal, clean: boolean }]
  /** A session ended: nothing is kept for it any more [G5]. */
  'session-ended': [{ clientId: ClientId, reason: EndReason }]
  /** A connection follows the session now. */
  attached: [{ clientId: ClientId }]
  /**
   * Connections take the session over from each other again and again, `takeovers` times in a row: the newcomer has to
   * wait from now on. Told once a minute, and of one session a second; so many `sessions` were found so meanwhile.
   */
  contested: [{ clientId: ClientId, takeovers: number, waitMs: number, remoteAddress: string | undefined,
    newcomerAddress: string | undefined, sessions: number }]
  /** A subscription is durable, and in force. */
  subscribed: [{ clientId: ClientId, filter: string, qos: QoS }]
  /** The connection of the session is gone. */
  detached: [{ clientId: ClientId }]
  /** A session will not receive `count` messages that it would have received [G5]. */
  gap: [{ clientId: ClientId, count: number, reason: GapReason }]
  /**
   * A message was set aside after so many `attempts`: the session goes on without it [G5]. `dropped` older ones went,
   * as the session had setAsideMessagesMax of them.
   */
  'set-aside': [{ clientId: ClientId, topic: string, id: string, attempts: number, dropped: number }]
  /**
   * A message of a client, or its will, was refused for good and is not kept: `reason` is a sentence for people. Over
   * MQTT 3.1.1 the client got a receipt all the same, unless refusedMessages is disconnect.
   */
  refused: [{ clientId: ClientId, topic: string, code: ErrorCode, reason: string }]
  /** A message for a person without a session is not kept: keepForUsersMax others have something waiting. */
  'inboxes-full': [{ filter: string, keepForUsersMax: number }]
  /** The log can't be written: no receipts are given until 'store-recovered'. */
  'store-failed': [{ error: Error }]
  'store-recovered': []
  /** The wall clock was set by so much; it is not counted as time that has passed. */
  'clock-set': [{ byMs: number }]
  /** At start: the wall clock can't tell how long the server was down, which then counts as no time. */
  'clock-doubted': [{ why: ClockDoubt, wall: number, lastWall: number }]
  /** The disk failed in a way that may have damaged the memory of this process: it should end, and be started again. */
  'store-broken': [{ why: string }]
  /** The heap holds as much as it may: nothing that would be kept is taken in until 'heap-free'. */
  'heap-full': [HeapUsage]
  'heap-free': [HeapUsage]
  /**
   * The program's own Auth threw, or gave no answer within connectTimeoutMs: whoever was asked about was refused.
   * Told once a second, with how many `times` it happened since.
   */
  'auth-failed': [{ hook: AuthHook, error: Error, times: number }]
  /** A listener of one of these events threw, or rejected; the others were called all the same. Told once a second. */
  'listener-failed': [{ event: string, error: Error, times: number }]
}

const TOLD_PAUSE_MS = 1_000

/** Listeners are the program's: what one of them throws costs it a line in the log, and nobody else anything. */
export class Events extends EventEmitter<BrokerEvents> {
  readonly #seldom: Seldom

  constructor (clock: Clock) {
    super()
    this.#seldom = new Seldom(clock, TOLD_PAUSE_MS)
  }

  override emit<Name extends keyof BrokerEvents> (name: Name, ...args: BrokerEvents[Name]): boolean
  override emit (name: string, ...args: unknown[]): boolean {
    const listeners = this.rawListeners(name as keyof BrokerEvents) as Array<(...args: unknown[]) => unknown>
    for (const listener of listeners) {
      try {
        const result = listener.apply(this, args)
        if (result instanceof Promise) result.catch((error: unknown) => { this.#failed(name, error) })
      } catch (error) {
        this.#failed(name, error)
      }
    }
    return listeners.length > 0
  }

  #failed (event: string, cause: unknown): void {
    const times = this.#seldom.happened()
    if (times === 0) return // one that listens to this event and throws ends here too
    const error = cause instanceof Error ? cause : new Error(String(cause))
    this.emit('listener-failed', { event, error, times })
  }
}
