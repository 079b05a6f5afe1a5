/** A contradiction between options that are each allowed: which options, and how to see it. */
import type { Config, OptionName } from './schema.ts'

export interface Circumstances {
  /** True where an application's own authentication is in force. */
  readonly authenticated: boolean
}

export interface Contradiction {
  readonly options: readonly OptionName[]
  /** What is wrong, or undefined. */
  broken (config: Config, circumstances: Circumstances): string | undefined
}
