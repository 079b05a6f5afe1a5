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
    const added = new Node<V>()
    if (this.#children !== undefined) this.#children.set(name, added)
    else if (this.#child === undefined) {
      this.#name = name
      this.#child = added
    } else {
      this.#children = new Map([[this.#name, this.#child], [name, added]])
      this.#child = undefined
    }
    return added
  }

  remove (name: string): void {
    if (this.#child !== undefined) this.#child = undefined // the caller has looked that it is this one
    else if (this.#children!.delete(name) && this.#children!.size === 0) this.#children = undefined
  }

  /** Undefined where there are none. */
  children (): Iterator<[string, Node<V>]> | undefined {
    if (this.#child !== undefined) return [[this.#name, this.#child] satisfies [string, Node<V>]].values()
    return this.#children?.entries()
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

  /** Looks for the topics that a valid filter matches (MQTT 4.7). */
  walk (filter: string): TopicWalk<V> { return new TopicWalk(this.#root, filter) }
}

/** What may be done until the next pause, in whatever unit the one who gives it counts. */
export interface Budget { left: number }

/** A node whose children are being looked at. */
interface Frame<V> {
  readonly children: Iterator<[string, Node<V>]>
  /** Of the children. */
  readonly depth: number
  readonly path: string
}

/**
 * A search that stops and goes on, and holds no more than a path through the tree [G6]. The tree may change meanwhile:
 * a topic that stands there all the while is found once; one that is set anew may be found again.
 */
export class TopicWalk<V extends NonNullable<unknown>> {
  readonly #levels: readonly string[]
  /** The level from which on everything matches. */
  readonly #restAt: number
  readonly #frames: Array<Frame<V>> = []
  #found: string | undefined

  constructor (root: Node<V>, filter: string) {
    const levels = filter.split('/')
    this.#levels = levels
    this.#restAt = levels[levels.length - 1] === '#' ? levels.length - 1 : Infinity
    this.#enter(root, 0, '')
  }

  get isOver (): boolean { return this.#found === undefined && this.#frames.length === 0 }

  /** The next topic. Undefined where none is left, or the budget ends first: one unit for a node that is looked at. */
  next (budget: Budget): string | undefined {
    const frames = this.#frames
    while (this.#found === undefined && frames.length > 0 && budget.left > 0) {
      budget.left--
      const { children, depth, path } = frames[frames.length - 1]
      const next = children.next()
      if (next.done === true) frames.pop()
      else {
        const [name, child] = next.value
        if (!isReserved(name, depth)) this.#enter(child, depth + 1, join(path, name, depth))
      }
    }
    const found = this.#found
    this.#found = undefined
    return found
  }

  /** @param depth of the level of the filter that stands for the children of the node */
  #enter (node: Node<V>, depth: number, path: string): void {
    let at: Node<V> | undefined = node
    for (; depth < this.#levels.length && depth < this.#restAt && this.#levels[depth] !== '+'; depth++) {
      const level = this.#levels[depth]
      at = at.get(level)
      if (at === undefined) return
      path = join(path, level, depth)
    }
    if ((depth >= this.#restAt || depth === this.#levels.length) && at.value !== undefined) this.#found = path
    if (depth === this.#levels.length && this.#restAt === Infinity) return
    const children = at.children()
    if (children !== undefined) this.#frames.push({ children, depth, path })
  }
}

/** No wildcard stands for a first level that begins with $ [MQTT-4.7.2-1]. */
function isReserved (name: string, depth: number): boolean {
  return depth === 0 && name.charCodeAt(0) === 36
}

function join (path: string, level: string, depth: number): string {
  return depth === 0 ? level : `${path}/${level}`
}
