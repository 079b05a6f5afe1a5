/** Chance for a simulated world: the seeded generator of the tests, with the few distributions that a world needs. */
import { createRandom as createGenerator } from '../helpers/random.ts'

const STEPS = 1_000_000

export interface Random {
  /** An integer from 0 to `below` - 1. */
  int (below: number): number
  /** An integer from `low` to `high`, both included. */
  between (low: number, high: number): number
  /** From 0 (included) to 1 (excluded). */
  fraction (): number
  /** True with the given probability (0 to 1). */
  chance (probability: number): boolean
  pick<T> (items: readonly T[]): T
  /** Exponentially distributed around a mean, cut at ten times the mean. */
  around (mean: number): number
  /** A generator of its own, so that one part of the world can draw more without changing what the others see. */
  fork (): Random
}

export function createRandom (seed: number): Random {
  const generator = createGenerator(seed)
  const fraction = (): number => generator.int(STEPS) / STEPS
  return {
    int: generator.int,
    between: generator.between,
    fraction,
    chance: probability => fraction() < probability,
    pick: generator.pick,
    around: mean => Math.min(10, -Math.log(1 - fraction())) * mean,
    fork: () => createRandom(generator.int(4_294_967_295) + 1)
  }
}
