/**
 * Which filters match a topic? Filters without a wildcard stand in a map, the others in a tree of levels.
 * Written for one need that the well-known matchers do not serve: a detached session may cost 2 KB in all, so a node
 * holds nothing that it does not use, and what is found is the filter (with all its subscriptions), not each of them.
 */
import { hasWildcard } from '../topics.ts'

interface Node<V> {
  readonly parent: Node<V> | undefined
  readonly level: string
  /** One child stands alone, several in a map. */
  children: Map<string, Node<V>> | Node<V> | undefined
  plus: Node<V> | undefined
  /** The filter that ends here. */
  value: V | undefined
  /** The filter that ends here with one more level, `#`. */
  rest: V | undefined
}

export class FilterTree<V> {
  readonly #exact = new Map<string, V>()
  readonly #root: Node<V> = makeNode(undefined, '')
  #size = 0
  /** Grows whenever the answer of match() may have changed. */
  version = 0

  get size (): number { return this.#size }

  get (filter: string): V | undefined {
    if (!hasWildcard(filter)) return this.#exact.get(filter)
    const { node, rest } = this.#walk(filter, false)
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
    const { node, rest } = this.#walk(filter, true)
    if (rest) node!.rest = value
    else node!.value = value
  }

  remove (filter: string): void {
    this.version++
    this.#size--
    if (!hasWildcard(filter)) {
      this.#exact.delete(filter)
      return
    }
    const { node, rest } = this.#walk(filter, false)
    if (node === undefined) return
    if (rest) node.rest = undefined
    else node.value = undefined
    this.#prune(node)
  }

  /** All filters that match a topic name, each once. */
  match (topic: string): V[] {
    const found: V[] = []
    const exact = this.#exact.get(topic)
    if (exact !== undefined) found.push(exact)
    if (this.#root.children !== undefined || this.#root.plus !== undefined || this.#root.rest !== undefined) {
      const levels = topic.split('/')
      collect(this.#root, levels, 0, topic.charCodeAt(0) === 36, found)
    }
    return found
  }

  #walk (filter: string, make: boolean): { node: Node<V> | undefined, rest: boolean } {
    let node = this.#root
    const levels = filter.split('/')
    const rest = levels[levels.length - 1] === '#'
    if (rest) levels.pop()
    for (const level of levels) {
      let next = level === '+' ? node.plus : childOf(node, level)
      if (next === undefined) {
        if (!make) return { node: undefined, rest }
        next = makeNode(node, level)
        if (level === '+') node.plus = next
        else addChild(node, next)
      }
      node = next
    }
    return { node, rest }
  }

  #prune (node: Node<V>): void {
    for (let at = node; at.parent !== undefined; at = at.parent) {
      if (at.value !== undefined || at.rest !== undefined || at.plus !== undefined || at.children !== undefined) return
      if (at.level === '+') at.parent.plus = undefined
      else {
        removeChild(at.parent, at)
      }
    }
  }
}

function makeNode<V> (parent: Node<V> | undefined, level: string): Node<V> {
  return { parent, level, children: undefined, plus: undefined, value: undefined, rest: undefined }
}

function childOf<V> ({ children }: Node<V>, level: string): Node<V> | undefined {
  if (children === undefined) return undefined
  if (children instanceof Map) return children.get(level)
  return children.level === level ? children : undefined
}

function addChild<V> (node: Node<V>, child: Node<V>): void {
  const { children } = node
  if (children === undefined) node.children = child
  else if (children instanceof Map) children.set(child.level, child)
  else node.children = new Map([[children.level, children], [child.level, child]])
}

function removeChild<V> (node: Node<V>, child: Node<V>): void {
  if (!(node.children instanceof Map)) node.children = undefined
  else {
    node.children.delete(child.level)
    if (node.children.size === 0) node.children = undefined
  }
}

/** @param reserved the topic begins with $, so no wildcard may stand for its first level [MQTT-4.7.2-1] */
function collect<V> (node: Node<V>, levels: readonly string[], depth: number, reserved: boolean, found: V[]): void {
  if (node.rest !== undefined && !(reserved && depth === 0)) found.push(node.rest)
  if (depth === levels.length) {
    if (node.value !== undefined) found.push(node.value)
    return
  }
  const child = childOf(node, levels[depth])
  if (child !== undefined) collect(child, levels, depth + 1, reserved, found)
  if (node.plus !== undefined && !(reserved && depth === 0)) collect(node.plus, levels, depth + 1, reserved, found)
}
