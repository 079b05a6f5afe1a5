/** Compares what was promised with what was seen. */
import type { Publisher } from './publisher.ts'

/** One message as a handler saw it. */
export interface Sighting {
  /** `source number` */
  readonly key: string
  /** Which client object it was, counted from 0. */
  readonly life: number
}

export interface Verdict {
  readonly expected: number
  readonly lost: readonly string[]
  readonly falseReceipts: readonly string[]
  readonly disordered: readonly string[]
  readonly duplicates: readonly string[]
  readonly retried: number
  readonly again: number
}

/** @param log place of each message in the log, as somebody else saw it */
export function judge (
  sightings: readonly Sighting[], publishers: readonly Publisher[], log: ReadonlyMap<string, number>
): Verdict {
  const resent = new Map<string, number>(publishers.flatMap(({ source, resent }) =>
    [...resent].map(([number, times]) => [`${source} ${number}`, times] as const)))
  const lives = new Map<string, number>()
  const disordered: string[] = []
  const duplicates: string[] = []
  let retried = 0
  let again = 0
  let highest = -1
  for (const { key, life } of sightings) {
    const before = lives.get(key)
    lives.set(key, life)
    if (before === undefined) {
      const place = log.get(key)
      if (place === undefined) continue // the witness had not seen it: told as a problem by isComplete()
      if (place < highest) disordered.push(key)
      highest = Math.max(highest, place)
    } else if ((resent.get(key) ?? 0) > 0) {
      resent.set(key, resent.get(key)! - 1)
      retried++
    } else if (before !== life) again++
    else duplicates.push(key)
  }
  const expected = publishers.flatMap(({ source, receipts }) => [...receipts].map(number => `${source} ${number}`))
  const lost = expected.filter(key => !lives.has(key))
  return {
    expected: expected.length,
    lost,
    falseReceipts: lost.filter(key => log.has(key)),
    disordered,
    duplicates,
    retried,
    again
  }
}

/** True when the client and the witness have seen every message that got a receipt. */
export function isComplete (
  sightings: readonly Sighting[], publishers: readonly Publisher[], log: ReadonlyMap<string, number>
): boolean {
  const seen = new Set(sightings.map(({ key }) => key))
  for (const { source, receipts } of publishers) {
    for (const number of receipts) {
      const key = `${source} ${number}`
      if (!seen.has(key) || !log.has(key)) return false
    }
  }
  return sightings.every(({ key }) => log.has(key))
}
