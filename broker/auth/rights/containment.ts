/**
 * Is everything that a filter can match allowed? In a list of filters the first one that matches a topic decides about
 * it; the topics are walked level by level, all those at once that the list can't tell apart. A topic has one of the
 * names that stand in the list at that level, or another one: that is all that matters of it.
 */

/** Of the topics of a filter: all are allowed; some are not there for them; some may not be subscribed to at all. */
export type Outcome = 'yes' | 'drop' | 'no'

export interface Decider {
  /** `+`, `#` in the last level, and names. */
  readonly levels: readonly string[]
  readonly outcome: Outcome
}

export interface Contained {
  /** `no` as soon as there is one of them; then the others may not have been seen. */
  readonly outcomes: ReadonlySet<Outcome>
  /** Places of what allows. */
  readonly allowing: ReadonlySet<number>
  /** The first part of the filter that is not allowed, and the place of what says so; undefined: nothing allows it. */
  readonly against: { readonly part: string, readonly place: number | undefined } | undefined
  /** The list is too long to prove anything about this filter. */
  readonly gaveUp: boolean
}

/** Filters looked at for one answer. A list that needs more of it is refused, as nothing was proven. */
const STEPS_MAX = 50_000
const DOLLAR = 36

/** @param otherwise of topics that no filter of the list matches */
export function contained (filter: string, deciders: readonly Decider[], otherwise: Outcome): Contained {
  return new Walk(filter.split('/'), deciders, otherwise).run()
}

class Walk {
  readonly #filter: readonly string[]
  readonly #deciders: readonly Decider[]
  readonly #otherwise: Outcome
  readonly #outcomes = new Set<Outcome>()
  /** What was walked already: the level, and which deciders are still in question. */
  readonly #seen = new Set<string>()
  readonly #path: string[] = []
  readonly #allowing = new Set<number>()
  #against: Contained['against']
  #steps = 0

  constructor (filter: readonly string[], deciders: readonly Decider[], otherwise: Outcome) {
    this.#filter = filter
    this.#deciders = deciders
    this.#otherwise = otherwise
  }

  run (): Contained {
    const isOwn = this.#filter[0].charCodeAt(0) === DOLLAR // no wildcard matches it [MQTT-4.7.2-1]
    const live: number[] = []
    for (let place = 0; place < this.#deciders.length; place++) {
      const [first] = this.#deciders[place].levels
      if (!isOwn || (first !== '+' && first !== '#')) live.push(place)
    }
    this.#walk(0, live, Infinity)
    return {
      outcomes: this.#outcomes,
      allowing: this.#allowing,
      against: this.#against,
      gaveUp: this.#steps > STEPS_MAX
    }
  }

  /**
   * @param live places of those that match the levels so far, ascending
   * @param best of those that match whatever follows
   */
  #walk (depth: number, live: readonly number[], best: number): void {
    this.#steps += live.length + 1
    if (this.#steps > STEPS_MAX) return this.#found('no', Infinity, '#')
    for (const place of live) if (place < best && this.#level(place, depth) === '#') best = place
    const rest = live.filter(place => place < best) // nothing behind the best counts
    if (rest.length === 0) return this.#found(this.#outcome(best), best, this.#filter.slice(depth).join('/'))
    const key = `${depth} ${best} ${rest.join()}`
    if (this.#seen.has(key)) return
    this.#seen.add(key)
    const level = this.#filter[depth]
    const isRest = this.#filter.at(-1) === '#' && depth >= this.#filter.length - 1
    if (depth >= this.#filter.length && !isRest) return this.#end(depth, rest, best)
    if (isRest && depth > 0) this.#end(depth, rest, best)
    if (!isRest && level !== '+') return this.#step(depth, level, rest, best)
    this.#step(depth, undefined, rest, best)
    for (const [name, named] of this.#names(depth, rest)) {
      if (this.#outcomes.has('no')) return
      // what only allows can't make it worse
      if (this.#outcomes.has('yes') && named.every(place => this.#outcome(place) === 'yes')) continue
      this.#step(depth, name, rest, best)
    }
  }

  /** On to the next level by a name; undefined: by one that is not in the list. */
  #step (depth: number, name: string | undefined, live: readonly number[], best: number): void {
    if (this.#outcomes.has('no')) return
    if (name === '' && this.#filter.length === 1 && this.#filter[0] === '+') return // no topic is empty
    this.#path.push(name ?? '+')
    this.#walk(depth + 1, live.filter(place => {
      const level = this.#level(place, depth)
      return level === '+' || (name !== undefined && level === name)
    }), best)
    this.#path.pop()
  }

  /** The topic ends here. */
  #end (depth: number, live: readonly number[], best: number): void {
    if (depth === 1 && this.#path[0] === '') return // no topic is empty
    const place = Math.min(best, live.find(place => this.#deciders[place].levels.length === depth) ?? Infinity)
    this.#found(this.#outcome(place), place, '')
  }

  /** The names of a level in the list that a wildcard matches, with those that have them. */
  #names (depth: number, live: readonly number[]): Map<string, number[]> {
    const names = new Map<string, number[]>()
    for (const place of live) {
      const name = this.#level(place, depth)
      if (name === undefined || name === '+' || (depth === 0 && name.charCodeAt(0) === DOLLAR)) continue
      const places = names.get(name)
      if (places === undefined) names.set(name, [place])
      else places.push(place)
    }
    return names
  }

  #level (place: number, depth: number): string | undefined { return this.#deciders[place].levels[depth] }

  #outcome (place: number): Outcome { return this.#deciders[place]?.outcome ?? this.#otherwise }

  #found (outcome: Outcome, place: number, end: string): void {
    this.#outcomes.add(outcome)
    if (outcome === 'yes' && place !== Infinity) this.#allowing.add(place)
    if (outcome === 'yes' || (this.#against !== undefined && outcome !== 'no')) return
    const part = [...this.#path, ...(end === '' ? [] : [end])].join('/')
    this.#against = { part, place: place === Infinity ? undefined : place }
  }
}
