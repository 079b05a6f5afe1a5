/**
 * Which topics does a filter match? Values by topic name, in a tree of levels: looking for a filter costs what it
 * matches, not what is there [G8]. The counterpart of FilterTree.
 */

/** Most nodes have one child (`device/17/state`): a map for it alone would cost more than all the rest. */
class Node<V> {
  value: V | undefined
  #name = ''
  #child: Node<V> | undefined
  #children: Map<string, Node<V>> | undefined

  get isEmpty (): boolean {
    return this.value === undefined && this.#child === undefined && this.#children === undefined
  }

  get (name: string): Node<V> | undefined {
    if (this.#child !== undefined) return this.#name === name ? this.#child : undefined
    return this.#children?.get(name)
  }

  make (name: string): Node<V> {
    const known = this.get(name)
    if (known !== undefined) return known
    const made = new Node<V>()
    if (this.#children !== undefined) this.#children.set(name, made)
    else if (this.#child === undefined) {
      this.#name = name
      this.#child = made
    } else {
      this.#children = new Map([[this.#name, this.#child], [name, made]])
      this.#child = undefined
    }
    return made
  }

  remove (name: string): void {
    if (this.#child !== undefined) this.#child = undefined // the caller has looked that it is this one
    else if (this.#children!.delete(name) && this.#children!.size === 0) this.#children = undefined
  }

  * children (): IterableIterator<[string, Node<V>]> {
    if (this.#child !== undefined) yield [this.#name, this.#child]
    else if (this.#children !== undefined) yield * this.#children
  }
}

export class TopicTree<V extends NonNullable<unknown>> {
  readonly #root = new Node<V>()
  #size = 0

  get size (): number { return this.#size }

  get (topic: string): V | undefined {
    let node: Node<V> | undefined = this.#root
    for (const level of topic.split('/')) {
      node = node.get(level)
      if (node === undefined) return undefined
    }
    return node.value
  }

  set (topic: string, value: V): void {
    let node = this.#root
    for (const level of topic.split('/')) node = node.make(level)
    if (node.value === undefined) this.#size++
    node.value = value
  }

  delete (topic: string): void {
    const path = [this.#root]
    const levels = topic.split('/')
    for (const level of levels) {
      const next = path[path.length - 1].get(level)
      if (next === undefined) return
      path.push(next)
    }
    const last = path[levels.length]
    if (last.value === undefined) return
    last.value = undefined
    this.#size--
    for (let depth = levels.length; depth > 0 && path[depth].isEmpty; depth--) { // what led only to it goes with it
      path[depth - 1].remove(levels[depth - 1])
    }
  }

  /** The topics that a valid filter matches (MQTT 4.7), each once. The tree must not change meanwhile. */
  match (filter: string): IterableIterator<string> {
    return find(this.#root, filter.split('/'), 0, '')
  }
}

/** @param depth of the node, and of the level of the filter that is looked for */
function * find<V> (node: Node<V>, wanted: readonly string[], depth: number, path: string): IterableIterator<string> {
  if (depth === wanted.length) {
    if (node.value !== undefined) yield path
    return
  }
  const level = wanted[depth]
  if (level === '#') {
    yield * all(node, depth, path)
  } else if (level !== '+') {
    const child = node.get(level)
    if (child !== undefined) yield * find(child, wanted, depth + 1, join(path, level, depth))
  } else {
    for (const [name, child] of node.children()) {
      if (!isReserved(name, depth)) yield * find(child, wanted, depth + 1, join(path, name, depth))
    }
  }
}

/** A node and all below it: `a/#` matches `a`, too (4.7.1.2). */
function * all<V> (node: Node<V>, depth: number, path: string): IterableIterator<string> {
  if (node.value !== undefined) yield path
  for (const [name, child] of node.children()) {
    if (!isReserved(name, depth)) yield * all(child, depth + 1, join(path, name, depth))
  }
}

/** No wildcard stands for a first level that begins with $ [MQTT-4.7.2-1]. */
function isReserved (name: string, depth: number): boolean {
  return depth === 0 && name.charCodeAt(0) === 36
}

function join (path: string, level: string, depth: number): string {
  return depth === 0 ? level : `${path}/${level}`
}
