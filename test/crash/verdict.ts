/** Compares what was promised with what was seen. */
import type { LoadPublisher } from './publisher.ts'
import type { LoadSubscriber, Sighting } from './subscriber.ts'

export interface Verdict {
  readonly receipts: number
  readonly seen: number
  /** Got a receipt and was not seen [G2]. */
  readonly lost: readonly string[]
  /** First seen after a later one of the same publisher [G3]. */
  readonly disordered: readonly string[]
  /** Seen more than once [G4]. */
  readonly repeated: number
  /** Seen more than once, in one run of the server, without DUP, though its publisher sent it once. */
  readonly unexcused: readonly string[]
}

export function judge (subscriber: LoadSubscriber, publishers: readonly LoadPublisher[]): Verdict {
  const lost: string[] = []
  const disordered: string[] = []
  const unexcused: string[] = []
  let receipts = 0
  let repeated = 0
  for (const publisher of publishers) {
    const first = new Map<number, Sighting>()
    let highest = -1
    for (const sighting of subscriber.sightings) {
      if (sighting.publisher !== publisher.id) continue
      const { number } = sighting
      const before = first.get(number)
      if (before === undefined) {
        first.set(number, sighting)
        if (number < highest) disordered.push(`${publisher.id} ${number} after ${highest}`)
        highest = Math.max(highest, number)
        continue
      }
      repeated++
      if (sighting.dup || sighting.run !== before.run || publisher.resent.has(number)) continue
      unexcused.push(`${publisher.id} ${number} in run ${sighting.run}`)
    }
    receipts += publisher.receipts.size
    for (const number of publisher.receipts) if (!first.has(number)) lost.push(`${publisher.id} ${number}`)
  }
  return { receipts, seen: subscriber.sightings.length, lost, disordered, repeated, unexcused }
}

/** True when every receipt has been seen. */
export function isComplete (subscriber: LoadSubscriber, publishers: readonly LoadPublisher[]): boolean {
  const seen = new Set(subscriber.sightings.map(({ publisher, number }) => `${publisher} ${number}`))
  return publishers.every(({ id, receipts }) => [...receipts].every(number => seen.has(`${id} ${number}`)))
}
