/** The next entries of many topics in the order of the log. Pure. */
import type { Offset, QoS } from '../message.ts'
import type { Found, TopicLog } from './topic-log.ts'

export interface Source {
  readonly topic: TopicLog
  /** Entries after this one count. */
  readonly after: Offset
  readonly qos: QoS
}

/** Up to so many sources it is cheapest to take the first entries of all and sort them. */
const SORTED_SOURCES_MAX = 4

/** At most `limit` entries, ascending, each once; where several sources hold an entry, with the highest QoS. */
export function merge (sources: readonly Source[], limit: number): Found[] {
  const found: Found[] = []
  if (sources.length <= SORTED_SOURCES_MAX) {
    for (const { topic, after, qos } of sources) topic.findAfter(after, limit, qos, found)
    if (sources.length > 1) found.sort((a, b) => a.offset - b.offset)
  } else mergeMany(sources, limit, found)
  return unique(found, limit)
}

interface Head { readonly source: Source, index: number, offset: number }

/** A binary heap of the sources by their next offset: all of them are looked at once, and one for each entry. */
function mergeMany (sources: readonly Source[], limit: number, found: Found[]): void {
  const heap: Head[] = sources.map((source) => {
    const index = source.topic.indexAfter(source.after)
    return { source, index, offset: source.topic.offsetAt(index) }
  })
  for (let i = (heap.length >>> 1) - 1; i >= 0; i--) sink(heap, i)
  for (let last = -1, count = 0; heap.length > 0;) {
    const head = heap[0]
    if (head.offset !== last) {
      if (count++ === limit) return
      last = head.offset
    }
    found.push(head.source.topic.foundAt(head.index, head.source.qos))
    head.index++
    if (head.index < head.source.topic.end) head.offset = head.source.topic.offsetAt(head.index)
    else {
      const tail = heap.pop()!
      if (heap.length === 0) return
      if (tail !== head) heap[0] = tail
    }
    sink(heap, 0)
  }
}

function sink (heap: Head[], from: number): void {
  const moved = heap[from]
  let at = from
  for (let child = 2 * at + 1; child < heap.length; child = 2 * at + 1) {
    if (child + 1 < heap.length && heap[child + 1].offset < heap[child].offset) child++
    if (heap[child].offset >= moved.offset) break
    heap[at] = heap[child]
    at = child
  }
  heap[at] = moved
}

function unique (found: Found[], limit: number): Found[] {
  let kept = 0
  for (const one of found) {
    if (kept > 0 && found[kept - 1].offset === one.offset) {
      if (one.qos > found[kept - 1].qos) found[kept - 1].qos = one.qos
    } else if (kept === limit) break
    else found[kept++] = one
  }
  found.length = kept
  return found
}
