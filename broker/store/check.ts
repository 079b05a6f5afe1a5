import assert from 'node:assert/strict'
import { KEY_BYTES_MAX } from './keys.ts'
import type { Batch, Change } from './store.ts'

/** What a caller must keep, the same in every store; a breach is a bug of the caller's. Throws AssertionError. */
export function checkBatch ({ messages, changes }: Batch): void {
  for (const change of changes) checkChange(change, messages.length)
}

function checkChange ({ table, key, value, after }: Change, count: number): void {
  // A UTF-16 unit takes at most 3 bytes of UTF-8, so most keys need not be measured.
  const fits = key.length > 0 && (key.length * 3 <= KEY_BYTES_MAX || Buffer.byteLength(key) <= KEY_BYTES_MAX)
  assert(fits, `the key of a record in '${table}' must have 1 to ${KEY_BYTES_MAX} bytes, not ${Buffer.byteLength(key)}`)
  assert(Number.isInteger(after) && after >= 0 && after <= count,
    `a change in '${table}' comes after ${after} of ${count} messages`)
  assert(value === null || Buffer.isBuffer(value), `the value of a record in '${table}' must be a Buffer or null`)
}
