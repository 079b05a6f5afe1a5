/**
 * Removals that the store still owes: of sessions that have ended [G5] and of filters that were unsubscribed. A write
 * may fail while the disk is full; until it has succeeded a restart would bring the records back, so each is tried
 * again, and whoever takes the name of an ended session writes its removal along with his own records.
 */
import type { HoldfastError } from '../model/errors.ts'
import type { Log, RecordChange } from '../log/log.ts'
import type { ClientId } from '../model/message.ts'
import type { Session } from '../session/session.ts'
import { sessionKey } from '../store/keys.ts'

interface Removal {
  readonly changes: readonly RecordChange[]
  isWriting: boolean
  hasFailed: boolean
}

export class Removals {
  readonly #log: Log
  readonly #sessions = new Map<ClientId, Removal>()
  /** By the key of the record. */
  readonly #filters = new Map<string, { readonly session: Session, readonly filter: string, isWriting: boolean }>()

  constructor (log: Log) {
    this.#log = log
  }

  // --- sessions that have ended

  /** Removes the records of a session; they are owed from now on until that is durable. */
  remove (clientId: ClientId, changes: readonly RecordChange[]): void {
    const removal = { changes, isWriting: false, hasFailed: false }
    this.#sessions.set(clientId, removal)
    this.#write(clientId, removal, NOTHING, () => {})
  }

  /**
   * One session takes the name of another: what is owed, the removal of the other and the own records in one step.
   * Rejects with STORE_UNAVAILABLE: then nothing of it is written, and the removal is owed unless it is settled().
   */
  async replace (clientId: ClientId, removal: readonly RecordChange[], own: readonly RecordChange[]): Promise<void> {
    const earlier = this.#sessions.get(clientId)
    if (earlier === undefined && removal.length === 0) {
      await this.#log.recorded(own)
      return
    }
    const changes = [...earlier?.changes ?? NOTHING, ...removal]
    const both = { changes, isWriting: false, hasFailed: earlier?.hasFailed === true }
    this.#sessions.set(clientId, both)
    await new Promise<void>((resolve, reject) => {
      this.#write(clientId, both, own, (error) => { if (error === undefined) resolve(); else reject(error) })
    })
  }

  /** Nothing is owed of that name. */
  settled (clientId: ClientId): void { this.#sessions.delete(clientId) }

  /**
   * True while a removal has failed and was not made up for: the entries that only its session held must stay, or it
   * would come back from a crash without them.
   */
  get hasFailed (): boolean {
    for (const removal of this.#sessions.values()) if (removal.hasFailed) return true
    return false
  }

  #write (clientId: ClientId, removal: Removal, own: readonly RecordChange[],
    written: (error?: HoldfastError) => void): void {
    removal.isWriting = true
    this.#log.record([...removal.changes, ...own], (error) => {
      removal.isWriting = false
      removal.hasFailed ||= error !== undefined
      if (error === undefined && this.#sessions.get(clientId) === removal) this.#sessions.delete(clientId)
      written(error)
    })
  }

  // --- filters that were unsubscribed

  /** Resolves when the filter's record is removed. Rejects with STORE_UNAVAILABLE: then it is owed. */
  async removeFilter (session: Session, filter: string): Promise<void> {
    const key = sessionKey(session.clientId, filter)
    const removal = { session, filter, isWriting: true }
    this.#filters.set(key, removal)
    try {
      await this.#log.recorded([{ table: 'filters', key, value: null }])
      if (this.#filters.get(key) === removal) this.#filters.delete(key)
    } catch (error) {
      removal.isWriting = false
      // A subscription of the same filter that was on its way before has forgotten what is owed since.
      if (!session.ended) this.#filters.set(key, removal)
      throw error
    }
  }

  owesFilter (session: Session, filter: string): boolean {
    return this.#filters.size > 0 && this.#filters.has(sessionKey(session.clientId, filter))
  }

  /** The filter was subscribed anew, durably. */
  filterWritten (session: Session, filter: string): void {
    if (this.#filters.size > 0) this.#filters.delete(sessionKey(session.clientId, filter))
  }

  // --- once more

  /** Writes what is owed and not on its way. `isTaken` says of a name that somebody is about to write it himself. */
  retry (isTaken: (clientId: ClientId) => boolean): void {
    for (const [clientId, removal] of this.#sessions) {
      if (!removal.isWriting && !isTaken(clientId)) this.#write(clientId, removal, NOTHING, () => {})
    }
    for (const [key, removal] of this.#filters) {
      if (removal.session.ended) this.#filters.delete(key) // its records have gone with it
      else if (!removal.isWriting && !removal.session.subscriptions.has(removal.filter)) {
        this.removeFilter(removal.session, removal.filter).catch(() => {}) // still owed
      }
    }
  }
}

const NOTHING: readonly RecordChange[] = []

/** Takes the records of a session away, all of them. */
export function removalOf (session: Session): RecordChange[] {
  const { clientId } = session
  const changes: RecordChange[] = [
    { table: 'sessions', key: clientId, value: null },
    { table: 'cursors', key: clientId, value: null }
  ]
  for (const filter of session.subscriptions.keys()) {
    changes.push({ table: 'filters', key: sessionKey(clientId, filter), value: null })
  }
  for (const packetId of session.incoming?.keys() ?? []) {
    changes.push({ table: 'incoming', key: sessionKey(clientId, String(packetId)), value: null })
  }
  for (const id of session.setAside ?? []) {
    changes.push({ table: 'setAside', key: sessionKey(clientId, id), value: null })
  }
  return changes
}
