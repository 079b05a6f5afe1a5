/** The broker and its store. */
import { randomUUID } from 'node:crypto'
import { createBroker, processHeap, systemClock, type Broker } from '../broker/index.ts'
import { createEmbeddedStore } from '../broker/store/embedded.ts'
import { narrate, narrateRecovery } from './narrate.ts'
import { limitsOf } from './options.ts'
import type { Parts } from './parts.ts'
import { guardProgram, inboxOfPerson } from './program.ts'
import type { Setup } from './setup.ts'

export interface ClosedBroker {
  readonly broker: Broker
  /** Rejects with HoldfastError: the data folder. */
  open (parts: Parts): Promise<void>
}

/** A sync takes milliseconds, and seconds on a disk that is overloaded. */
const LOG_SILENT_MS_MAX = 10_000

/** What was read from the disk last takes so small a part of the heap at most. */
const CACHE_PARTS = 16

export function makeBroker ({ auth, config, data, log, store: given }: Setup): ClosedBroker {
  const heap = processHeap()
  const store = given ?? createEmbeddedStore({
    folder: data,
    cacheBytesMax: heap.bytesMax / CACHE_PARTS,
    notesBytesMax: config.notesBytesMax,
    report: (sentence) => log.error({ data }, sentence),
    broken: (why) => { broker.events.emit('store-broken', { why }) }
  })
  const broker = createBroker({
    store,
    auth: guardProgram(auth),
    limits: limitsOf(config),
    clock: systemClock,
    heap,
    makeId: randomUUID,
    messageExpiry: config.messageExpiry,
    inboxOf: inboxOfPerson
  })
  narrate(broker.events, log)
  return {
    broker,
    async open (parts) {
      const recovery = await broker.open().catch(async (error) => {
        // a broker that could not open can't close either; its store may hold the lock of the folder already
        await store.close().catch(() => {})
        throw error
      })
      narrateRecovery(recovery, data, log)
      parts.add(() => broker.close())
    }
  }
}

/** A question about health must not be what ends the server. */
export function notReady (broker: Broker): string | undefined {
  try {
    const { storeFailing, logSilentMs, heap } = broker.stats()
    if (storeFailing) return 'the log can\'t be written'
    if (logSilentMs > LOG_SILENT_MS_MAX) return `the log has given no answer for ${logSilentMs} ms`
    return heap.isFull ? 'as much is held in memory as may be (heapPercentMax)' : undefined
  } catch (error) {
    return `the store does not answer: ${(error as Error).message}`
  }
}
