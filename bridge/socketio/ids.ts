/** Identifiers that nobody can guess, at a fraction of the cost of asking the system for each. */
import { randomFillSync } from 'node:crypto'

/** Taken from the system at once. */
const POOL_IDS = 512

/** Makes identifiers of `bytes` random bytes, as base64url. */
export function randomIds (bytes: number): () => string {
  const pool = Buffer.alloc(bytes * POOL_IDS)
  let at = pool.length
  return () => {
    if (at === pool.length) {
      randomFillSync(pool)
      at = 0
    }
    const id = pool.toString('base64url', at, at + bytes)
    pool.fill(0, at, at += bytes) // it can't be read from here any more
    return id
  }
}
