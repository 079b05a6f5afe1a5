/** Where sentences for the operator go; pino fits. No payload, no secret; names from the wire only as fields. */
export interface Logger {
  debug (fields: object, sentence: string): void
  info (fields: object, sentence: string): void
  warn (fields: object, sentence: string): void
  error (fields: object, sentence: string): void
}

export const silent: Logger = { debug () {}, info () {}, warn () {}, error () {} }
