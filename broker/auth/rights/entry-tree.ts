/** Which rule decides about a topic? A tree of levels, made once for all people; nothing in it belongs to one. */
import { AudienceIndex } from './audience-index.ts'
import type { RuleFilter } from './rule.ts'
import type { Subject } from './subject.ts'
import { type Level, fillLevel, fixedLevel, isEncoded } from './template.ts'

interface Node {
  names: Map<string, Node> | undefined
  plus: Node | undefined
  /** Levels with something to fill in. */
  holes: Array<{ readonly level: Level, readonly encoded: boolean, readonly node: Node }> | undefined
  /** Of filters that end here. */
  here: AudienceIndex | undefined
  /** Of filters that end here with `#`, which matches no further level too. */
  rest: AudienceIndex | undefined
  /** First place at or below this node. */
  readonly first: number
}

const DOLLAR = 36

export class EntryTree {
  readonly #root: Node = makeNode(0)

  constructor (entries: readonly RuleFilter[]) {
    for (const [place, entry] of entries.entries()) this.#add(entry, place)
  }

  #add ({ rule, filter }: RuleFilter, place: number): void {
    const encoded = isEncoded(filter)
    let node = this.#root
    for (const level of filter) {
      const text = fixedLevel(level)
      if (text === '#') {
        (node.rest ??= new AudienceIndex()).add(rule.audience, place)
        return
      }
      node = text === undefined ? holeChild(node, level, encoded, place) : child(node, text, place)
    }
    (node.here ??= new AudienceIndex()).add(rule.audience, place)
  }

  /** Place of the first entry that is for somebody and matches a topic; Infinity where none does. */
  first (topic: string, subject: Subject): number {
    return find(this.#root, topic.split('/'), 0, subject, Infinity)
  }
}

function find (node: Node, levels: readonly string[], depth: number, subject: Subject, best: number): number {
  if (node.first >= best) return best
  const isOwn = depth === 0 && levels[0].charCodeAt(0) === DOLLAR // no wildcard matches it [MQTT-4.7.2-1]
  if (node.rest !== undefined && !isOwn) best = Math.min(best, node.rest.first(subject))
  if (depth === levels.length) return node.here === undefined ? best : Math.min(best, node.here.first(subject))
  const level = levels[depth]
  const named = node.names?.get(level)
  if (named !== undefined) best = find(named, levels, depth + 1, subject, best)
  if (node.plus !== undefined && !isOwn) best = find(node.plus, levels, depth + 1, subject, best)
  if (node.holes !== undefined) {
    for (const hole of node.holes) {
      if (fillLevel(hole.level, hole.encoded, subject.value) !== level) continue
      best = find(hole.node, levels, depth + 1, subject, best)
    }
  }
  return best
}

function makeNode (first: number): Node {
  return { names: undefined, plus: undefined, holes: undefined, here: undefined, rest: undefined, first }
}

function child (node: Node, text: string, place: number): Node {
  if (text === '+') return (node.plus ??= makeNode(place))
  const names = node.names ??= new Map()
  const found = names.get(text) ?? makeNode(place)
  names.set(text, found)
  return found
}

function holeChild (node: Node, level: Level, encoded: boolean, place: number): Node {
  const holes = node.holes ??= []
  const key = JSON.stringify(level)
  const found = holes.find(hole => hole.encoded === encoded && JSON.stringify(hole.level) === key)
  if (found !== undefined) return found.node
  const made = makeNode(place)
  holes.push({ level, encoded, node: made })
  return made
}
