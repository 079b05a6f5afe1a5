/** Compares what was promised with what was seen. */

/** What a publisher was promised. */
export interface Promised {
  readonly source: string
  /** Numbers that got a receipt [G1]. */
  readonly receipts: ReadonlySet<number>
  /** How often a number was sent again. */
  readonly resent: ReadonlyMap<number, number>
}

/** One message as a handler saw it. */
export interface Sighting {
  /** `source number` */
  readonly key: string
  /** Which client object it was, counted from 0. */
  readonly life: number
  /** The recovery offset that came with it: copies with the same one are one message of the log. */
  readonly token?: string
  /** The client had kept it of a connection that its application had left: it says nothing of the order. */
  readonly isKept?: boolean
}

export interface Verdict {
  readonly expected: number
  readonly lost: readonly string[]
  readonly falseReceipts: readonly string[]
  readonly disordered: readonly string[]
  readonly duplicates: readonly string[]
  readonly leftover: number
  readonly retried: number
  readonly again: number
}

/**
 * @param log place of each message in the log, as somebody else saw it
 * @param leftovers of all clients, as in Life
 */
export function judge (
  sightings: readonly Sighting[], publishers: readonly Promised[], log: ReadonlyMap<string, number>,
  leftovers: ReadonlyArray<ReadonlyMap<string, number>>
): Verdict {
  /** For each message, how often each client object saw it. */
  const seen = new Map<string, Map<number, number>>()
  const disordered: string[] = []
  let highest = -1
  let leftover = 0
  for (const { key, life, isKept } of sightings) {
    let times = seen.get(key)
    if (times === undefined) {
      seen.set(key, times = new Map())
      const place = log.get(key) ?? highest // what the witness has not seen is told by isComplete()
      if (isKept === true) leftover++
      else {
        if (place < highest) disordered.push(key)
        highest = Math.max(highest, place)
      }
    }
    times.set(life, (times.get(life) ?? 0) + 1)
  }
  const duplicates: string[] = []
  let retried = 0
  let again = 0
  for (const { source, resent } of publishers) {
    for (const [key, times] of seen) {
      if (!key.startsWith(`${source} `)) continue
      let left = leftovers.reduce((sum, of) => sum + (of.get(key) ?? 0), 0)
      for (const count of times.values()) {
        // what is in the log twice, every client of the name may see twice
        const sentAgain = Math.min(count - 1, resent.get(Number(key.slice(source.length + 1))) ?? 0)
        const leftOver = Math.min(count - 1 - sentAgain, left)
        left -= leftOver
        retried += sentAgain
        leftover += leftOver
        for (let extra = count - 1 - sentAgain - leftOver; extra > 0; extra--) duplicates.push(key)
      }
      again += times.size - 1
    }
  }
  const expected = publishers.flatMap(({ source, receipts }) => [...receipts].map(number => `${source} ${number}`))
  const lost = expected.filter(key => !seen.has(key))
  return {
    expected: expected.length,
    lost,
    falseReceipts: lost.filter(key => log.has(key)),
    disordered,
    duplicates,
    leftover,
    retried,
    again
  }
}

/** True when the client and the witness have seen every message that got a receipt. */
export function isComplete (
  sightings: readonly Sighting[], publishers: readonly Promised[], log: ReadonlyMap<string, number>
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
