/**
 * The subscriptions of a session by filter. Nearly all sessions have a few, and a detached one may cost 2 KB in all: so
 * it is a list, and a map only from there on.
 */
import type { Subscriber, Subscription } from '../log/route.ts'

const LIST_MAX = 8

export class Subscriptions<S extends Subscriber> {
  #list: Array<Subscription<S>> = NONE
  #map: Map<string, Subscription<S>> | undefined

  get size (): number { return this.#map?.size ?? this.#list.length }

  get (filter: string): Subscription<S> | undefined {
    if (this.#map !== undefined) return this.#map.get(filter)
    for (const one of this.#list) if (one.route.filter === filter) return one
    return undefined
  }

  has (filter: string): boolean { return this.get(filter) !== undefined }

  /** The filter must not be there yet. */
  add (subscription: Subscription<S>): void {
    if (this.#map !== undefined) this.#map.set(subscription.route.filter, subscription)
    else if (this.#list.length < LIST_MAX) this.#list = [...this.#list, subscription] // no spare capacity
    else {
      this.#map = new Map(this.#list.map((one) => [one.route.filter, one]))
      this.#map.set(subscription.route.filter, subscription)
      this.#list = NONE
    }
  }

  delete (filter: string): void {
    if (this.#map !== undefined) this.#map.delete(filter)
    else this.#list = this.#list.filter((one) => one.route.filter !== filter)
  }

  clear (): void {
    this.#map = undefined
    this.#list = NONE
  }

  values (): Iterable<Subscription<S>> { return this.#map?.values() ?? this.#list }

  * keys (): IterableIterator<string> {
    for (const one of this.values()) yield one.route.filter
  }
}

const NONE: never[] = []
