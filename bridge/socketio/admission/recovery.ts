/**
 * Which session a client gets, and whether it goes on where it was.
 *
 * With its CONNECT packet a client of Engine.IO 4 is given a private identifier (pid), which from version 4.6 on it
 * shows when it comes back. The public identifier (sid, also socket.id) is a hash of it. The sid is kept with the
 * session as its tag: the pid proves that it is the very client that used the session last, and so that the offset it
 * brings means something (proof/recovery-offset.ts). Another page under the same name makes a new tag.
 *
 * - With a name: `io:<namespace>:<name>`, kept for sessionExpiryMs.
 * - With a pid alone: the one that it was given for; it holds the place of it.
 * - With the device cookie: `io:<namespace>:::<hash of the cookie>:<slot>`, the lowest slot without a living
 *   connection, kept for sessionExpiryMs; until the cookie has come back once, recoveryExpiryMs.
 * - With none of them: `io:<namespace>::<sid>`, kept for recoveryExpiryMs; without a pid (Engine.IO 3) it ends with its
 *   connection.
 *
 * Nothing is kept for it beside the session, so all of it holds after a crash.
 */
import { createHash } from 'node:crypto'
import type { Brand, Broker, ClientId, Principal, SessionInfo } from '../../../broker/index.ts'
import { deviceSessionId, sessionId, transientSessionId } from '../../../protocol/index.ts'
import type { Device } from './cookie.ts'

/** Private identifier: `<secret>`, or `<secret>.<device key>.<slot>`. */
export type Pid = Brand<string, 'Pid'>
/** Public identifier. */
export type Sid = Brand<string, 'Sid'>

/** Tabs of a browser that are told apart by the cookie alone; one more has a session without it. */
export const SLOTS_PER_DEVICE_MAX = 32

const PID = /^([\w-]{24,64})(?:\.([\w-]{22})\.(\d{1,2}))?$/
/** As Socket.IO's own. */
const SID_LENGTH = 20

/** A session that a client may have; the first that can be had is taken. */
export interface Candidate {
  readonly clientId: ClientId
  /** Nothing of the session stays when the connection is gone. */
  readonly clean: boolean
  readonly expiryMs: number
  /** Given to the client, unless it has shown the one of the session. Undefined where clients have none. */
  readonly pid: Pid | undefined
  /** Only as it is: to be left alone if it is not there, or not the client's. */
  readonly isClaim: boolean
}

export interface Seeker {
  /** Of the session, as the rules map it. */
  readonly namespace: string
  readonly name: string | undefined
  readonly principal: Principal
  /** Of the session, beside the principal: see ConnectRequest.owner. */
  readonly owner: string | undefined
  /** What the client shows as its pid; undefined where its version has none. */
  readonly claimed: Pid | undefined
  /** Of who it is besides: its pid means something only together with the same. '' where nothing is needed. */
  readonly shown: string
  readonly device: Device | undefined
  /** Engine.IO 4: the client can be given a pid. */
  readonly takesPid: boolean
}

export interface SeatsOptions {
  readonly broker: Pick<Broker, 'session'>
  readonly makeSecret: () => string
  readonly makeId: () => string
  readonly sessionExpiryMs: number
  readonly recoveryExpiryMs: number
  /** Frees those of the sessions whose connection is dead, which may take a while to find out. */
  readonly clear: (clientIds: readonly ClientId[]) => Promise<void>
}

/** Finds sessions for clients. */
export class Seats {
  readonly #options: SeatsOptions
  /** Slots that were found free, while their session is asked for. */
  readonly #asked = new Set<ClientId>()

  constructor (options: SeatsOptions) {
    this.#options = options
  }

  /** Where the client would be if all goes well: for authentication, before anything is known of its sessions. */
  first ({ namespace, name, claimed, shown, device }: Omit<Seeker, 'principal'>): ClientId {
    if (name !== undefined) return sessionId(namespace, name) as ClientId
    if (claimed !== undefined) return placeOf(namespace, claimed, shown)
    return (device === undefined
      ? transientSessionId(namespace, this.#options.makeId())
      : deviceSessionId(namespace, device.key, 0)) as ClientId
  }

  /** In the order of preference; the next one is looked for when the one before could not be had. */
  async * candidates (seeker: Seeker): AsyncGenerator<Candidate, undefined> {
    const { sessionExpiryMs, recoveryExpiryMs, makeSecret, makeId } = this.#options
    const { namespace, name, claimed, shown, device, takesPid } = seeker
    const fresh = (place = ''): Pid | undefined => takesPid ? `${makeSecret()}${place}` as Pid : undefined
    const durable = { clean: false, isClaim: false }
    if (name !== undefined) {
      yield { ...durable, clientId: sessionId(namespace, name) as ClientId, expiryMs: sessionExpiryMs, pid: fresh() }
      return undefined
    }
    const ofDevice = device?.returned === true ? sessionExpiryMs : recoveryExpiryMs
    if (claimed !== undefined) {
      const clientId = placeOf(namespace, claimed, shown)
      const session = this.#options.broker.session(clientId)
      if (session?.tag === sidOf(claimed, shown) && isOf(session, seeker)) { // [G7]
        // The cookie may come back only now, or not be there on this path: what it was kept for is not shortened.
        const expiryMs = Math.max(session.expiryMs, PID.exec(claimed)![2] === device?.key ? ofDevice : 0)
        yield { clean: false, isClaim: true, clientId, expiryMs, pid: claimed }
      }
    }
    if (device !== undefined) {
      if (device.returned) await this.#options.clear(this.#taken(namespace, device, seeker))
      for (let slot = 0; slot < SLOTS_PER_DEVICE_MAX; slot++) {
        const clientId = deviceSessionId(namespace, device.key, slot) as ClientId
        if (!this.#isFree(clientId, seeker)) continue
        this.#asked.add(clientId)
        try {
          yield { ...durable, clientId, expiryMs: ofDevice, pid: fresh(`.${device.key}.${slot}`) }
        } finally {
          this.#asked.delete(clientId)
        }
      }
    }
    const pid = fresh()
    if (pid === undefined) {
      yield { ...durable, clean: true, clientId: transientSessionId(namespace, makeId()) as ClientId, expiryMs: 0, pid }
    } else yield { ...durable, clientId: placeOf(namespace, pid, shown), expiryMs: recoveryExpiryMs, pid }
    return undefined
  }

  #taken (namespace: string, device: Device, seeker: Seeker): ClientId[] {
    return Array.from({ length: SLOTS_PER_DEVICE_MAX }, (_, slot) =>
      deviceSessionId(namespace, device.key, slot) as ClientId).filter(clientId => {
      const session = this.#options.broker.session(clientId)
      return session?.attached === true && isOf(session, seeker)
    })
  }

  /** No connection has it, and none is about to. */
  #isFree (clientId: ClientId, seeker: Seeker): boolean {
    if (this.#asked.has(clientId)) return false
    const session = this.#options.broker.session(clientId)
    return session === undefined || (session.detachedAt !== undefined && isOf(session, seeker)) // [G7]
  }
}

/** A pid as a client sent it; undefined for what can't be one of ours. */
export function readPid (value: unknown): Pid | undefined {
  return typeof value === 'string' && PID.test(value) ? value as Pid : undefined
}

/** @param shown see Seeker */
export function sidOf (pid: Pid, shown = ''): Sid {
  return createHash('sha256').update(`pid ${pid}${shown}`).digest('base64url').slice(0, SID_LENGTH) as Sid
}

function isOf (session: Pick<SessionInfo, 'principal' | 'owner'>, { principal, owner }: Seeker): boolean {
  return session.principal === principal && session.owner === owner
}

/** The session that a pid was given for, if it was given to a client without a name. */
function placeOf (namespace: string, pid: Pid, shown: string): ClientId {
  const [, , device, slot] = PID.exec(pid)!
  return (device === undefined
    ? transientSessionId(namespace, sidOf(pid, shown))
    : deviceSessionId(namespace, device, Number(slot))) as ClientId
}
