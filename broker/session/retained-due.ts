/**
 * Retained messages that a session is owed since it subscribed (MQTT 3.3.1-6): for each filter a search that goes on
 * where it stopped, not a list of what it will find [G6]. Filters take turns, in the order of their last SUBSCRIBE.
 */
import type { Budget, TopicWalk } from '../log/topic-tree.ts'
import type { Offset } from '../model/message.ts'

export type Walk = Pick<TopicWalk<Offset>, 'next' | 'isOver'>

/** The next that is due; without a topic all of the filter has been sent. */
export interface Due {
  readonly filter: string
  readonly topic: string | undefined
  /** The place of the SUBSCRIBE: what was retained later reaches the session by the log. */
  readonly notAfter: Offset
}

export class RetainedDue {
  readonly #notAfter = new Map<string, Offset>()
  /** Of the first filter, once it has begun. */
  #walk: Walk | undefined
  #next: Due | undefined
  /** There was a SUBSCRIBE in this turn: nothing is sent before the next one, so that its SUBACK goes first. */
  isNew = false

  /** Those of a filter, all of them: what of it was under way begins anew [MQTT-3.8.4-3]. */
  add (filter: string, notAfter: Offset): void {
    this.remove(filter)
    this.#notAfter.set(filter, notAfter)
    this.isNew = true
  }

  remove (filter: string): void {
    if (this.#first === filter) this.#walk = this.#next = undefined
    this.#notAfter.delete(filter)
  }

  has (filter: string): boolean { return this.#notAfter.has(filter) }
  get size (): number { return this.#notAfter.size }

  get #first (): string | undefined {
    for (const filter of this.#notAfter.keys()) return filter
    return undefined
  }

  /** What is due next, until it was taken; undefined where nothing is, or the budget ends before it is found. */
  peek (walk: (filter: string) => Walk, budget: Budget): Due | undefined {
    const filter = this.#first
    if (filter === undefined || this.#next !== undefined) return this.#next
    this.#walk ??= walk(filter)
    const topic = this.#walk.next(budget)
    if (topic === undefined && !this.#walk.isOver) return undefined
    this.#next = { filter, topic, notAfter: this.#notAfter.get(filter)! }
    return this.#next
  }

  /** It was sent, or is nothing any more; if it was removed meanwhile nothing changes. */
  taken (due: Due): void {
    if (this.#next !== due) return
    this.#next = undefined
    if (due.topic === undefined) this.remove(due.filter)
  }
}
