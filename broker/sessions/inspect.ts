/** What the records of a log say of its sessions, without a broker: of a log that another process writes, or none. */
import type { SessionInfo } from '../broker.ts'
import { DEFAULT_LIMITS } from '../model/limits.ts'
import { LogIndex } from '../log/log-index.ts'
import { loadSessions } from './load.ts'
import type { SetAsideMessage, ClientId, TimeMs } from '../model/message.ts'
import { readAlive, readSetAside } from '../session/records.ts'
import type { Session } from '../session/session.ts'
import { setAsideByWall, infoOf } from './session-info.ts'
import { sessionKey } from '../store/keys.ts'
import type { Recovery, Store } from '../store/store.ts'

export type LogRecords = Pick<Store, 'records' | 'scan' | 'get'> & Pick<Recovery, 'clean' | 'tail'>

export interface InspectedSessions {
  /** When a server was last known to run on it; it says so every few seconds. */
  readonly aliveAt: TimeMs | undefined
  /**
   * In the order of their identifiers. `attached` says that the session has a connection, or had one when its server
   * was killed. Clean sessions are not written down. The place of a session is written a moment after it has moved.
   */
  readonly sessions: readonly SessionInfo[]
  /** What was set aside for a session, the oldest first. */
  listSetAside (clientId: ClientId): AsyncIterableIterator<SetAsideMessage>
}

/** Reads all of the log, but for the payloads: what waits is counted by the filters of the sessions. */
export async function inspectSessions (records: LogRecords): Promise<InspectedSessions> {
  const alive = await readAlive(records)
  const wall = (time: TimeMs): TimeMs => time + (alive === undefined ? 0 : alive.wall - alive.own) as TimeMs
  const index = new LogIndex<Session>(0)
  const { clean, tail } = records
  const { sessions, surprised } = await loadSessions({
    store: records,
    recovery: { clean, tail, damaged: [], damagedRecords: [] },
    messages: 0,
    limits: DEFAULT_LIMITS,
    now: alive?.own ?? 0 as TimeMs,
    aliveAt: alive?.own ?? 0 as TimeMs,
    index
  })
  for await (const headers of records.scan()) {
    for (const { topic, offset, bytes } of headers) index.restore(topic, offset, bytes)
  }
  const attached = new Set(surprised)
  return {
    aliveAt: alive?.wall as TimeMs | undefined,
    sessions: [...sessions.values()].map((session) => {
      const info = infoOf(session, index, { wall })
      return attached.has(session) ? { ...info, attached: true, detachedAt: undefined } : info
    }),
    async * listSetAside (clientId) {
      for (const id of sessions.get(clientId)?.setAside ?? []) {
        const record = await records.get('setAside', sessionKey(clientId, id))
        if (record !== undefined) yield setAsideByWall(readSetAside(record).message, wall)
      }
    }
  }
}
