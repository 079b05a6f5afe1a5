/** What nearly all emits are answered with: their JSON is known, so that no encoder is needed. */

/** A change of rooms is on disk, or there was nothing to do. */
export const OK = { status: 'ok' } as const
const OK_JSON = JSON.stringify([OK])

/** A message is on disk, for so many sessions that are kept. */
export class Stored {
  readonly status = 'ok'
  readonly sessions: number

  constructor (sessions: number) {
    this.sessions = sessions
  }
}

/** The arguments of an answer as a JSON array, where they are one of these. */
export function okJson (values: readonly unknown[]): string | undefined {
  if (values.length !== 1) return undefined
  const [value] = values
  if (value === OK) return OK_JSON
  return value instanceof Stored ? `[{"status":"ok","sessions":${value.sessions}}]` : undefined
}
