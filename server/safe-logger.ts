/** A program's own logger: what it throws, or rejects with, ends nothing. It is said once, by the process. */
import type { Logger } from '../broker/index.ts'

const LEVELS = ['debug', 'info', 'warn', 'error'] as const

export function safeLogger (logger: Logger): Logger {
  let isTold = false
  function failed (error: unknown): void {
    if (isTold) return
    isTold = true
    process.emitWarning(`the logger of the program failed: ${error instanceof Error ? error.message : String(error)}`,
      { code: 'HOLDFAST_LOGGER' })
  }
  return Object.fromEntries(LEVELS.map((level) => [level, (fields: object, sentence: string): void => {
    try {
      const result: unknown = logger[level](fields, sentence)
      if (result instanceof Promise) result.catch(failed)
    } catch (error) {
      failed(error)
    }
  }])) as unknown as Logger
}
