/** A store that can be watched and held: what was written, reads that take their time, appends that wait. */
import { HoldfastError } from '../../broker/model/errors.ts'
import type { Entry, Offset } from '../../broker/model/message.ts'
import type { Batch, Store } from '../../broker/store/store.ts'

export interface StoreDouble extends Store {
  /** Batches that were handed over, one for each sync. */
  readonly batches: Batch[]
  /** Appends wait from here on, until the function that is returned is called. */
  hold (): () => void
  /** Appends are refused as by a full disk from here on, until the function that is returned is called. */
  fail (): () => void
  /** Reads wait from here on, until the function that is returned is called. */
  holdReads (): () => void
}

export function createStoreDouble (inner: Store): StoreDouble {
  const batches: Batch[] = []
  let gate: Promise<void> | undefined
  let readGate: Promise<void> | undefined
  let isFailing = false

  return {
    batches,
    hold () {
      const { promise, open } = makeGate()
      gate = promise
      return () => { gate = undefined; open() }
    },
    fail () {
      isFailing = true
      return () => { isFailing = false }
    },
    holdReads () {
      const { promise, open } = makeGate()
      readGate = promise
      return () => { readGate = undefined; open() }
    },
    get notes () { return inner.notes },
    open: async () => await inner.open(),
    async append (batch) {
      batches.push(batch)
      if (gate !== undefined) await gate
      if (isFailing) throw new HoldfastError('STORE_UNAVAILABLE', 'the disk was told to fail')
      return await inner.append(batch)
    },
    follow: (listener) => { inner.follow(listener) },
    read (offsets: readonly Offset[]): readonly Entry[] | Promise<readonly Entry[]> {
      const entries = inner.read(offsets)
      return readGate === undefined ? entries : readGate.then(() => entries)
    },
    scan: () => inner.scan(),
    records: (table) => inner.records(table),
    get: (table, key) => inner.get(table, key),
    usage: () => inner.usage(),
    fault: () => inner.fault(),
    close: async () => { await inner.close() }
  }
}

function makeGate (): { promise: Promise<void>, open: () => void } {
  let open = (): void => {}
  const promise = new Promise<void>((resolve) => { open = resolve })
  return { promise, open }
}
