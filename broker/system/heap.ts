/**
 * The JavaScript heap of the process: how much of it there may be, and how much there is. An argument, like the clock.
 * V8 ends the process where no more can be had, so whoever fills it has to stop before [G6].
 */
import { constants, PerformanceObserver } from 'node:perf_hooks'
import { getHeapStatistics, setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'

export interface Heap {
  /** What may live in it at most (`--max-old-space-size`). */
  readonly bytesMax: number
  /** Bytes in use now, with those that nobody needs and that were not collected yet. */
  used (): number
  /** Calls back after each collection of the whole heap. The returned function ends that. */
  onCollected (listener: () => void): () => void
  /** Collects the whole heap now. It stops the process for as long as that takes. */
  collect (): void
}

/** As Node.js has it, and its types do not. */
interface GcEntry { readonly detail: { readonly kind: number } }

/** Where nobody watches. */
export const unlimitedHeap: Heap = { bytesMax: Infinity, used: () => 0, onCollected: () => () => {}, collect () {} }

/** V8 counts the space of new objects to the limit: three halves of this size, unless a flag says another. */
const SEMI_SPACE_BYTES = 16_777_216
const SEMI_SPACES = 3
const SEMI_SPACE_FLAG = /--max[-_]semi[-_]space[-_]size[= ](\d+)/g
const MIB = 1_048_576

export function processHeap (): Heap {
  let gc: (() => void) | undefined
  return {
    bytesMax: getHeapStatistics().heap_size_limit - SEMI_SPACES * semiSpaceBytes(),
    used: () => getHeapStatistics().used_heap_size,
    onCollected (listener) {
      const observer = new PerformanceObserver((list) => {
        const isWhole = (list.getEntries() as unknown as readonly GcEntry[])
          .some(({ detail }) => detail.kind === constants.NODE_PERFORMANCE_GC_MAJOR)
        if (isWhole) listener()
      })
      observer.observe({ entryTypes: ['gc'] })
      return () => { observer.disconnect() }
    },
    collect () {
      if (gc === undefined) { // a context that is made while the flag is set has it
        setFlagsFromString('--expose-gc')
        gc = runInNewContext('gc') as () => void
        setFlagsFromString('--no-expose-gc')
      }
      gc()
    }
  }
}

function semiSpaceBytes (): number {
  const flags = [process.env.NODE_OPTIONS ?? '', ...process.execArgv].join(' ')
  const given = [...flags.matchAll(SEMI_SPACE_FLAG)].at(-1)
  return given === undefined ? SEMI_SPACE_BYTES : Number(given[1]) * MIB
}
