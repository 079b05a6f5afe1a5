/** What one subscriber must see of each publisher: every sequence number from 0, once, in order. */

export class Tally {
  #seen = new Map()
  /** @param messages of one publisher */
  constructor (messages) {
    this.messages = messages
    this.received = 0
    this.duplicates = 0
    this.outOfOrder = 0
  }

  /** @returns {boolean} whether it is seen for the first time */
  see (publisher, sequence) {
    let from = this.#seen.get(publisher)
    if (from === undefined) {
      from = { bits: new Uint8Array(this.messages), highest: -1 }
      this.#seen.set(publisher, from)
    }
    if (from.bits[sequence] === 1) {
      this.duplicates++
      return false
    }
    from.bits[sequence] = 1
    if (sequence < from.highest) this.outOfOrder++
    else from.highest = sequence
    this.received++
    return true
  }
}

/** The verdict over several subscribers. */
export function verdict (tallies, expected) {
  const sum = (name) => tallies.reduce((total, tally) => total + tally[name], 0)
  const received = sum('received')
  return { expected, received, lost: expected - received, duplicates: sum('duplicates'), outOfOrder: sum('outOfOrder') }
}
