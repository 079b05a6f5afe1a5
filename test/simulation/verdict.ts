/** What must hold while a world runs, seen at intervals, and what must hold when all has healed and come to rest. */
import type { Offset } from '../../broker/model/message.ts'
import { readFilter, readSession } from '../../broker/session/records.ts'
import { splitSessionKey } from '../../broker/store/keys.ts'
import type { Checker } from './checker.ts'
import type { SimulatedDisk } from './disk.ts'
import type { Publication } from './ledger.ts'
import { isExcused, isOwed, matchesTopic, type Claim, type Life } from './life.ts'
import type { Referee } from './referee.ts'
import type { Scenario } from './scenario.ts'
import type { ServerProcess } from './server.ts'

/** Virtual time in which something that nothing holds back has to happen [G8]: some syncs and reads of a slow disk. */
const PROGRESS_MS = 600

export interface Evidence {
  readonly checker: Checker
  readonly referee: Referee
  readonly scenario: Scenario
  readonly disk: SimulatedDisk
  readonly server: () => ServerProcess | undefined
  /** Time since which the server is open. */
  readonly openSinceMs: () => number
}

/** Is somebody waiting for something that nothing holds back? Others being slow or frozen is no excuse [G8]. */
export function checkProgress (evidence: Evidence): void {
  const { checker, referee, scenario, server, openSinceMs } = evidence
  if (server()?.isOpen !== true) return
  const now = referee.nowMs
  const calmSinceMs = Math.max(openSinceMs(), checker.diskTroubleMs)
  const waiting = checker.ledger.oldestWaiting()
  if (waiting !== undefined && now - Math.max(waiting.calledMs, calmSinceMs) > PROGRESS_MS) {
    referee.violate('G8', `${waiting.key} waits for its receipt since ${waiting.calledMs.toFixed(0)} ms`)
  }
  for (const life of checker.sessions.alive()) {
    const connection = checker.connectionOf(life)
    if (connection === undefined || !connection.writable()) continue
    if (life.inUse.size + connection.releasing.size >= connection.inflightMax) continue
    const { oldest, count } = life.unsent(life.gapTold + 1)
    if (oldest === undefined || count <= life.gapTold || scenario.hasGaps) continue
    const { durableMs, calledMs } = oldest.publication
    const sinceMs = Math.max(connection.readySinceMs, durableMs, calledMs, calmSinceMs)
    if (now - sinceMs > PROGRESS_MS) {
      referee.violate('G8', `${life.name} waits for ${oldest.publication.key} since ${sinceMs.toFixed(0)} ms, ` +
        'though it is attached, takes bytes, and has room')
    }
  }
}

/** Nobody owes anybody anything. */
export function isAtRest (evidence: Evidence): boolean {
  const { checker, disk, server } = evidence
  if (server()?.isOpen !== true || checker.ledger.oldestWaiting() !== undefined || disk.entries.size > 0) return false
  for (const life of checker.sessions.alive()) {
    if (life.kept && life.attached === 0 && !life.mayHaveEnded) return false
    if (life.inUse.size > 0 || (life.attached !== 0 && life.unsent(life.gapTold + 1).count > life.gapTold)) return false
  }
  for (const life of checker.sessions.alive()) if (lacksRetained(checker, life) !== undefined) return false
  return checker.wills.missing() === undefined && differsFromDisk(evidence) === undefined
}

/**
 * What a restart would find is what the server says of its sessions: nothing is on the disk that has ended, and nothing
 * is missing that is needed. Records of an earlier session of the same name are told apart at the start and cleared
 * away, so they may lie there. Undefined if all is well.
 */
function differsFromDisk ({ disk, server }: Evidence): string | undefined {
  const said = new Set<string>()
  for (const { clientId, clean, filters } of server()!.broker.sessions()) {
    if (clean) continue
    said.add(`session ${clientId}`)
    for (const { filter, qos } of filters) said.add(`filter ${clientId} ${filter} q${qos}`)
  }
  const written = new Set<string>()
  const sessions = disk.tables.get('sessions')!
  for (const key of sessions.keys()) written.add(`session ${key}`)
  for (const record of disk.tables.get('filters')!.values()) {
    const { clientId, part } = splitSessionKey(record.key)
    const session = sessions.get(clientId)
    const { instance, qos } = readFilter(record)
    if (session !== undefined && readSession(session).instance === instance) {
      written.add(`filter ${clientId} ${part} q${qos}`)
    }
  }
  for (const one of said) if (!written.has(one)) return `${one} is not on the disk; a restart would lose it`
  for (const one of written) {
    if (!said.has(one)) return `${one} is on the disk, but is gone; a restart would bring it back`
  }
  return undefined
}

export function checkEnd (evidence: Evidence): void {
  const { checker, referee, disk } = evidence
  if (evidence.server()?.isOpen !== true) return referee.violate('crash', 'the server did not stop or start again')
  for (const life of checker.sessions.alive()) {
    if (life.attached === 0) {
      if (life.kept && life.mayHaveEnded === false) referee.violate('G2', `${life.name} could not come back`)
      continue
    }
    checkReceived(evidence, life)
    const lacking = lacksRetained(checker, life)
    if (lacking !== undefined) {
      referee.violate('G2',
        `${life.name} subscribed while ${lacking.key} was retained on ${lacking.topic}, and never got it`)
    }
    for (const claim of life.inUse.values()) {
      referee.violate('G2', `${life.name} still has ${claim.publication.key} in flight (id ${claim.packetId}), ` +
        (claim.received ? 'for which PUBREL never came' : 'though it acknowledges everything'))
    }
  }
  if (disk.entries.size > 0) {
    const offsets = [...disk.entries.keys()].slice(0, 5).join(' ')
    referee.violate('G6', `all is acknowledged, but ${disk.entries.size} entries were not trimmed: ${offsets}`)
  }
  const will = checker.wills.missing()
  if (will !== undefined) referee.violate('G2', `the will ${will.key} of ${will.clientId} was never published`)
  const difference = differsFromDisk(evidence)
  if (difference !== undefined) referee.violate('G5', difference)
  const backlogged = [...evidence.server()!.broker.sessions()]
    .find(one => one.backlogMessages > 0 || one.inflightMessages > 0)
  if (backlogged !== undefined) {
    referee.violate('G6', `${backlogged.clientId} is said to have ${backlogged.backlogMessages} waiting and ` +
      `${backlogged.inflightMessages} in flight; nothing is`)
  }
}

/** A message that was retained when the session subscribed, and still is, but never reached it. */
function lacksRetained (checker: Checker, life: Life): Publication | undefined {
  if (life.isUncertain || life.attached === 0) return undefined
  const calls = life.granted()
  for (const publication of checker.retainedNow()) {
    const isDue = calls.some(({ filter, qos, calledAt }) => qos !== undefined && Math.min(qos, publication.qos) > 0 &&
      publication.retainedFrom < calledAt && matchesTopic(filter, publication.topic))
    const claim = life.retained.get(publication.key)
    const isMissing = claim === undefined || (claim.handled === 0 && !claim.isAside && !isExcused(claim))
    if (isDue && isMissing) return publication
  }
  return undefined
}

/** Received is what was owed, but for what it was told of [G2, G5]. */
function checkReceived ({ referee }: Evidence, life: Life): void {
  const missing: Claim[] = []
  let possiblyMissing = life.retainedAside
  for (const claim of life.claims.values()) {
    if (claim.isAside) {
      if (claim.handled === 0 && isOwed(claim)) missing.push(claim)
      else possiblyMissing++
    } else if (isExcused(claim)) referee.count('lost by a client that had received it')
    else if (claim.handled > 0) {
      // Gone before its acknowledgement came: the server had to take it for missing.
      if (claim.damaged && isOwed(claim)) possiblyMissing++
    } else if (isOwed(claim) && !claim.isDamageUntold) missing.push(claim)
    else possiblyMissing++
  }
  referee.count('checked sessions')
  if (missing.length > life.gapTold) {
    const { key, offset } = missing[0].publication
    referee.violate('G2', `${life.name} never got ${missing.length} messages that it was owed, the first ${key} ` +
      `${at(offset)}; it was told of ${life.gapTold}`)
  }
  const isExact = life.forgottenMs < 0 && !life.isUncertain
  if (isExact && life.gapTold > missing.length + possiblyMissing) {
    referee.violate('G5', `${life.name} was told that ${life.gapTold} messages are missing, but ${missing.length} are`)
  }
}

function at (offset: Offset | undefined): string {
  return offset === undefined ? '(never stored)' : `at ${offset}`
}
