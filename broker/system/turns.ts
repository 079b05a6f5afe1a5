/**
 * Whose turn it is to be read [G8]: one order for all connections of a server, whatever they speak. Pure: the event
 * loop comes in as a function.
 *
 * Work is counted in units. All connections together have ROUND_UNITS a round, and between two rounds the event loop
 * looks after everything else. Who comes first is start-time fair queueing (Goyal, Vin and Cheng, 1996): what a
 * connection took moves its next turn back by as much. So one that rarely speaks comes before all that flood, however
 * many they are, and waits for one round at most; and nobody waits for ever.
 */

/**
 * What one connection has in a turn, in units of a small PUBLISH that is taken directly, which costs some microseconds.
 * So many that a window of messages, which is what an honest client has under way, goes by in one: what is taken in
 * small pieces is written and acknowledged in small pieces.
 */
const TURN_UNITS = 640
/** Who is asked within them has a whole turn, so a round takes less than twice as much: some milliseconds. */
export const ROUND_UNITS = 640

/** Calls back in the next turn of the event loop. */
export type Defer = (next: () => void) => void

/** What reads from a connection, in its turns. */
export interface Taker {
  /** Takes something, counts it in `left` of the turn, and says whether there is more to take. */
  take (): boolean
}

export class Turns {
  readonly #defer: Defer
  /** By their start. */
  readonly #waiting: Turn[] = []
  /** Start of the turn that was had last. */
  #now = 0
  /** The latest end of a turn. */
  #end = 0
  /** What is left of the round. */
  #left = ROUND_UNITS
  #isRunning = false
  #isDeferred = false

  constructor (defer: Defer = setImmediate) {
    this.#defer = defer
  }

  /** A connection's place among the others. */
  turn (taker: Taker): Turn {
    return new Turn(this, taker)
  }

  /** There is something to take: at once if that is fair, later if not. */
  ask (turn: Turn): void {
    if (!this.#wait(turn) || this.#isRunning) return
    if (this.#left > 0) this.#run()
    else this.#runLater()
  }

  /** As ask(), but not before others had a chance. */
  askLater (turn: Turn): void {
    if (this.#wait(turn)) this.#runLater()
  }

  /** Counts what was done for a connection, in its turn or behind it. */
  charge (turn: Turn, units: number): void {
    if (turn.isTaking) turn.left -= units
    else this.#count(turn, units)
  }

  #count (turn: Turn, units: number): void {
    turn.end += units
    this.#end = Math.max(this.#end, turn.end)
    this.#left -= units
  }

  #wait (turn: Turn): boolean {
    if (turn.isWaiting || turn.isTaking) return false
    turn.isWaiting = true
    const isFresh = turn.end < this.#now // has not had its share: before those that have
    turn.start = turn.end = Math.max(this.#now, turn.end)
    let from = 0
    let to = this.#waiting.length
    while (from < to) {
      const middle = (from + to) >>> 1
      const { start } = this.#waiting[middle]
      if (start > turn.start || (isFresh && start === turn.start)) to = middle
      else from = middle + 1
    }
    this.#waiting.splice(from, 0, turn)
    return true
  }

  #run (): void {
    this.#isRunning = true
    try {
      while (this.#left > 0) {
        const turn = this.#waiting.shift()
        if (turn === undefined) break
        if (this.#take(turn)) this.#wait(turn)
      }
    } finally { // what one throws must not keep the others from having theirs
      this.#isRunning = false
      if (this.#waiting.length > 0) this.#runLater()
      else this.#now = this.#end // nobody is owed anything
    }
  }

  #take (turn: Turn): boolean {
    turn.isWaiting = false
    turn.isTaking = true
    this.#now = turn.start
    turn.left = TURN_UNITS
    turn.unused = 0
    try {
      return turn.taker.take()
    } finally {
      turn.isTaking = false
      this.#count(turn, TURN_UNITS - turn.left - turn.unused)
    }
  }

  #runLater (): void {
    if (this.#isDeferred) return
    this.#isDeferred = true
    this.#defer(() => {
      this.#isDeferred = false
      this.#left = ROUND_UNITS
      this.#run()
    })
  }
}

/** Made by Turns.turn(). */
export class Turn {
  /** Units that are left; nothing more is taken when there is none. */
  left = 0
  /** Of them: given up by stop(). */
  unused = 0
  /** In units of all that was ever taken, where it waits or began. */
  start = 0
  /** Where its next one may begin. */
  end = 0
  isWaiting = false
  isTaking = false
  readonly taker: Taker
  readonly #turns: Turns

  constructor (turns: Turns, taker: Taker) {
    this.#turns = turns
    this.taker = taker
  }

  ask (): void { this.#turns.ask(this) }
  askLater (): void { this.#turns.askLater(this) }
  charge (units: number): void { this.#turns.charge(this, units) }

  /** Nothing more is taken in this turn. */
  stop (): void {
    if (this.left <= 0) return
    this.unused += this.left
    this.left = 0
  }
}
