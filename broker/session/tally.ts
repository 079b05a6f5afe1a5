/**
 * What waits for a session, counted entry by entry: a slice at a time, and from then on only what comes and goes [G8].
 * Pure.
 */
import type { Sum } from '../log/log-index.ts'
import { bytesOf, type Merge } from '../log/merge.ts'
import type { Found } from '../log/topic-log.ts'
import type { Offset } from '../model/message.ts'

/** What may still be looked at in this turn. */
export interface Work { left: number }

/**
 * Reading on begins with a look at each filter. It goes on until `work.left` has come down to what is returned, which
 * is far enough to be worth that look.
 */
export function startSlice (entries: Merge, work: Work): number {
  const { width } = entries
  work.left -= width
  return Math.min(0, work.left - width)
}

export class Tally implements Sum {
  messages = 0
  bytes = 0
  /** Entries up to this one are counted. */
  through: Offset

  constructor (from: Offset) {
    this.through = from
  }

  /** Goes on with the entries after `through`; false where the end of the log is too far for now. */
  advance (entries: Merge, tail: Offset, work: Work): boolean {
    const least = startSlice(entries, work)
    while (entries.offset !== undefined) {
      if (work.left <= least) return false
      work.left--
      const one = entries.next()!
      this.messages++
      this.bytes += bytesOf(one)
      this.through = one.offset
    }
    this.through = tail
    return true
  }

  /** An entry that was counted is in the log no more. */
  expired ({ bytes }: { readonly bytes: number }): void {
    this.messages--
    this.bytes -= bytes
  }

  /** The session has moved over an entry. */
  pass (found: Found): void {
    if (found.offset > this.through) return
    this.messages--
    this.bytes -= bytesOf(found)
  }
}
