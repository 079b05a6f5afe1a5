/** Chance as an argument: a run is repeated by its seed, which every test that uses one prints. */
export interface Random {
  readonly seed: number
  /** An integer from 0 to `below` - 1. */
  int (below: number): number
  /** An integer from `low` to `high`, both included. */
  between (low: number, high: number): number
  pick<T> (items: readonly T[]): T
  bytes (length: number): Buffer
}

/** mulberry32. */
export function createRandom (seed: number): Random {
  let state = seed >>> 0
  function next (): number {
    state = (state + 0x6d2b79f5) >>> 0
    let t = state
    t = Math.imul(t ^ (t >>> 15), t | 1)
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61)
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296
  }
  const int = (below: number): number => Math.floor(next() * below)
  return {
    seed,
    int,
    between: (low, high) => low + int(high - low + 1),
    pick: items => items[int(items.length)],
    bytes: length => Buffer.from(Array.from({ length }, () => int(256)))
  }
}

/**
 * The seed of this run: `HOLDFAST_TEST_SEED` where it is set, else always the same, so that a run says something of the
 * code and not of the day. Who searches for new faults sets it to `new`.
 */
export function chooseSeed (): number {
  const given = process.env['HOLDFAST_TEST_SEED'] ?? '1'
  return given === 'new' ? newSeed() : Number(given)
}

/** A seed that no run had before, as good as surely. */
export function newSeed (): number {
  return Date.now() % 1_000_000_007
}
