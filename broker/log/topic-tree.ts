/**
 * Which topics does a filter match? Values by topic name, in a tree of levels: looking for a filter costs what it
 * matches, not what is there [G8]. The counterpart of FilterTree.
 */

interface Node<V> {
  children: Map<string, Node<V>> | undefined
  value: V | undefined
}

export class TopicTree<V extends NonNullable<unknown>> {
  readonly #root: Node<V> = { children: undefined, value: undefined }
  #size = 0

  get size (): number { return this.#size }

  get (topic: string): V | undefined {
    let node: Node<V> | undefined = this.#root
    for (const level of topic.split('/')) {
      node = node.children?.get(level)
      if (node === undefined) return undefined
    }
    return node.value
  }

  set (topic: string, value: V): void {
    let node = this.#root
    for (const level of topic.split('/')) {
      const children: Map<string, Node<V>> = node.children ??= new Map()
      let next = children.get(level)
      if (next === undefined) children.set(level, next = { children: undefined, value: undefined })
      node = next
    }
    if (node.value === undefined) this.#size++
    node.value = value
  }

  delete (topic: string): void {
    const path = [this.#root]
    const levels = topic.split('/')
    for (const level of levels) {
      const next = path[path.length - 1].children?.get(level)
      if (next === undefined) return
      path.push(next)
    }
    const last = path[levels.length]
    if (last.value === undefined) return
    last.value = undefined
    this.#size--
    for (let depth = levels.length; depth > 0; depth--) { // what led only to it goes with it
      const { value, children } = path[depth]
      if (value !== undefined || children !== undefined) return
      const parent = path[depth - 1]
      parent.children!.delete(levels[depth - 1])
      if (parent.children!.size === 0) parent.children = undefined
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
    const child = node.children?.get(level)
    if (child !== undefined) yield * find(child, wanted, depth + 1, join(path, level, depth))
  } else if (node.children !== undefined) {
    for (const [name, child] of node.children) {
      if (!isReserved(name, depth)) yield * find(child, wanted, depth + 1, join(path, name, depth))
    }
  }
}

/** A node and all below it: `a/#` matches `a`, too (4.7.1.2). */
function * all<V> (node: Node<V>, depth: number, path: string): IterableIterator<string> {
  if (node.value !== undefined) yield path
  if (node.children === undefined) return
  for (const [name, child] of node.children) {
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
