/**
 * Which filters match a topic? Filters without a wildcard stand in a map, the others in a tree of levels.
 * Written for one need that the well-known matchers do not serve: a detached session may cost 2 KB in all, so a node
 * holds nothing that it does not use, levels where nothing parts share a node (a radix tree, Morrison, 1968), and what
 * is found is the filter (with all its subscriptions), not each of them.
 */
import { hasWildcard } from '../model/topics.ts'

const SLASH = 47
const PLUS = 43

interface Node<V> {
  parent: Node<V> | undefined
  /** One level or several in a row, as they stand in a filter: each is a name, or `+`. */
  path: string
  /** Whose paths begin with a name. One stands alone, several in a map by their first level. */
  children: Map<string, Node<V>> | Node<V> | undefined
  /** Whose path begins with `+`. */
  plus: Node<V> | undefined
  /** The filter that ends here. */
  value: V | undefined
  /** The filter that ends here with one more level, `#`. */
  rest: V | undefined
}

export class FilterTree<V> {
  readonly #exact = new Map<string, V>()
  readonly #root: Node<V> = makeNode('')
  #size = 0
  /** Grows whenever the answer of match() may have changed. */
  version = 0

  get size (): number { return this.#size }

  get (filter: string): V | undefined {
    if (!hasWildcard(filter)) return this.#exact.get(filter)
    const { levels, rest } = levelsOf(filter)
    const node = find(this.#root, levels)
    return rest ? node?.rest : node?.value
  }

  /** The filter must be valid (checkFilter) and not be there yet. */
  add (filter: string, value: V): void {
    this.version++
    this.#size++
    if (!hasWildcard(filter)) {
      this.#exact.set(filter, value)
      return
    }
    const { levels, rest } = levelsOf(filter)
    const node = make(this.#root, levels)
    if (rest) node.rest = value
    else node.value = value
  }

  remove (filter: string): void {
    this.version++
    this.#size--
    if (!hasWildcard(filter)) {
      this.#exact.delete(filter)
      return
    }
    const { levels, rest } = levelsOf(filter)
    const node = find(this.#root, levels)
    if (node === undefined) return
    if (rest) node.rest = undefined
    else node.value = undefined
    tidy(node)
  }

  /** All filters that match a topic name, each once. */
  match (topic: string): V[] {
    const found: V[] = []
    const exact = this.#exact.get(topic)
    if (exact !== undefined) found.push(exact)
    if (this.#root.children !== undefined || this.#root.plus !== undefined || this.#root.rest !== undefined) {
      collect(this.#root, topic, 0, found)
    }
    return found
  }
}

function levelsOf (filter: string): { levels: string[], rest: boolean } {
  const levels = filter.split('/')
  const rest = levels[levels.length - 1] === '#'
  if (rest) levels.pop()
  return { levels, rest }
}

function makeNode<V> (path: string): Node<V> {
  return { parent: undefined, path, children: undefined, plus: undefined, value: undefined, rest: undefined }
}

function firstOf (path: string): string {
  const end = path.indexOf('/')
  return end < 0 ? path : path.slice(0, end)
}

function childOf<V> ({ children, plus }: Node<V>, level: string): Node<V> | undefined {
  if (level === '+') return plus
  if (children === undefined) return undefined
  if (children instanceof Map) return children.get(level)
  return firstOf(children.path) === level ? children : undefined
}

/** Hangs a node below another, in the place of one with the same first level. */
function hang<V> (parent: Node<V>, child: Node<V>): void {
  child.parent = parent
  const level = firstOf(child.path)
  const { children } = parent
  if (level === '+') parent.plus = child
  else if (children instanceof Map) children.set(level, child)
  else if (children === undefined || firstOf(children.path) === level) parent.children = child
  else parent.children = new Map([[firstOf(children.path), children], [level, child]])
}

function unhang<V> (parent: Node<V>, child: Node<V>): void {
  if (parent.plus === child) parent.plus = undefined
  else if (parent.children instanceof Map) {
    parent.children.delete(firstOf(child.path))
    if (parent.children.size === 0) parent.children = undefined
  } else parent.children = undefined
}

/** How many levels of a path are those that come here in a list. */
function sharedLevels (path: readonly string[], levels: readonly string[], from: number): number {
  let count = 0
  while (count < path.length && path[count] === levels[from + count]) count++
  return count
}

function find<V> (root: Node<V>, levels: readonly string[]): Node<V> | undefined {
  let node: Node<V> | undefined = root
  for (let i = 0; i < levels.length;) {
    node = childOf(node, levels[i])
    if (node === undefined) return undefined
    const path = node.path.split('/')
    if (sharedLevels(path, levels, i) < path.length) return undefined
    i += path.length
  }
  return node
}

function make<V> (root: Node<V>, levels: readonly string[]): Node<V> {
  let node = root
  for (let i = 0; i < levels.length;) {
    const next = childOf(node, levels[i])
    if (next === undefined) {
      const added = makeNode<V>(levels.slice(i).join('/'))
      hang(node, added)
      return added
    }
    const path = next.path.split('/')
    const shared = sharedLevels(path, levels, i)
    i += shared
    if (shared === path.length) node = next
    else { // they part within it
      const upper = makeNode<V>(path.slice(0, shared).join('/'))
      hang(node, upper)
      next.path = path.slice(shared).join('/')
      hang(upper, next)
      node = upper
    }
  }
  return node
}

/** A node that may have lost its last filter goes, or is one with the only one below it. */
function tidy<V> (node: Node<V>): void {
  const { parent, children, plus } = node
  if (parent === undefined || node.value !== undefined || node.rest !== undefined) return
  if (plus !== undefined ? children !== undefined : children instanceof Map && children.size > 1) return
  const only = plus ?? (children instanceof Map ? [...children.values()][0] : children)
  if (only === undefined) {
    unhang(parent, node)
    tidy(parent)
    return
  }
  only.path = `${node.path}/${only.path}`
  hang(parent, only)
}

function collect<V> (node: Node<V>, topic: string, at: number, found: V[]): void {
  const isReserved = at === 0 && topic.charCodeAt(0) === 36 // no wildcard stands for its first level [MQTT-4.7.2-1]
  if (node.rest !== undefined && !isReserved) found.push(node.rest)
  if (at > topic.length) {
    if (node.value !== undefined) found.push(node.value)
    return
  }
  const { children, plus } = node
  const child = children instanceof Map ? children.get(levelAt(topic, at)) : children
  if (child !== undefined) follow(child, topic, at, found)
  if (plus !== undefined && !isReserved) follow(plus, topic, at, found)
}

function levelAt (topic: string, at: number): string {
  const end = topic.indexOf('/', at)
  return topic.slice(at, end < 0 ? topic.length : end)
}

/** Goes on behind the path of a node, if the levels of the topic from `at` are as it says. */
function follow<V> (node: Node<V>, topic: string, at: number, found: V[]): void {
  const { path } = node
  for (let i = 0; i <= path.length; i++) { // a level each time, and the slash behind it
    if (at > topic.length) return
    if (path.charCodeAt(i) === PLUS) {
      i++
      while (at < topic.length && topic.charCodeAt(at) !== SLASH) at++
    } else {
      for (; i < path.length && path.charCodeAt(i) !== SLASH; i++, at++) {
        if (topic.charCodeAt(at) !== path.charCodeAt(i)) return // NaN behind the end is no character
      }
      if (at < topic.length && topic.charCodeAt(at) !== SLASH) return
    }
    at++ // behind the slash, or one further than the end
  }
  collect(node, topic, at, found)
}
