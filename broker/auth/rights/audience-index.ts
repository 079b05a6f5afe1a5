/** Places of rules by whom they are for, so that nobody looks at the rules of others. */
import type { Audience } from './rule.ts'
import type { Subject } from './subject.ts'

/** Places in ascending order. */
type Places = number[]

export class AudienceIndex {
  readonly #everybody: Places = []
  readonly #anonymous: Places = []
  readonly #authenticated: Places = []
  readonly #principals = new Map<string, Places>()
  readonly #groups = new Map<string, Places>()
  readonly #patterns: Array<{ readonly parts: readonly string[], readonly place: number }> = []

  /** Places come in ascending order. */
  add (audience: Audience, place: number): void {
    switch (audience.kind) {
      case 'everybody': this.#everybody.push(place); break
      case 'anonymous': this.#anonymous.push(place); break
      case 'authenticated': this.#authenticated.push(place); break
      case 'group': for (const name of audience.names) put(this.#groups, name, place); break
      case 'principal':
        for (const name of audience.names) put(this.#principals, name, place)
        for (const pattern of audience.patterns ?? []) this.#patterns.push({ parts: pattern.split('*'), place })
    }
  }

  /** The first place that is for somebody; Infinity where none is. */
  first (subject: Subject): number {
    const { principal, groups, isAnonymous } = subject
    let first = Math.min(this.#everybody[0] ?? Infinity,
      (isAnonymous ? this.#anonymous : this.#authenticated)[0] ?? Infinity)
    if (isAnonymous) return first
    if (this.#principals.size > 0) first = Math.min(first, this.#principals.get(principal)?.[0] ?? Infinity)
    if (this.#groups.size > 0) {
      for (const group of groups) first = Math.min(first, this.#groups.get(group)?.[0] ?? Infinity)
    }
    for (const { parts, place } of this.#patterns) {
      if (place >= first) break
      if (fits(parts, principal)) first = place
    }
    return first
  }

  /** All places that are for somebody, in ascending order. */
  all (subject: Subject): Places {
    const { principal, groups, isAnonymous } = subject
    if (isAnonymous) return ascending([...this.#everybody, ...this.#anonymous])
    return ascending([
      ...this.#everybody, ...this.#authenticated, ...this.#principals.get(principal) ?? [],
      ...groups.flatMap(group => this.#groups.get(group) ?? []),
      ...this.#patterns.filter(({ parts }) => fits(parts, principal)).map(({ place }) => place)
    ])
  }
}

function put (map: Map<string, Places>, name: string, place: number): void {
  const places = map.get(name)
  if (places === undefined) map.set(name, [place])
  else if (places.at(-1) !== place) places.push(place)
}

function ascending (places: Places): Places {
  return places.sort((a, b) => a - b).filter((place, index) => place !== places[index - 1])
}

/** Does a text fit a pattern, split at its `*`? In time that grows with the text times the parts at most. */
function fits (parts: readonly string[], text: string): boolean {
  const last = parts.length - 1
  if (!text.startsWith(parts[0]) || !text.endsWith(parts[last])) return false
  let at = parts[0].length
  const end = text.length - parts[last].length
  for (const part of parts.slice(1, last)) {
    const found = text.indexOf(part, at)
    if (found < 0) return false
    at = found + part.length
  }
  return at <= end
}
