import type { ClientId } from '../model/message.ts'

/** Longest key that every store takes, in bytes of UTF-8. */
export const KEY_BYTES_MAX = 1_900

const SEPARATOR = '\u0000'

/** Key of a record that belongs to a session: client identifiers and filters can't hold U+0000 (MQTT 1.5.3-2). */
export function sessionKey (clientId: ClientId, part: string): string {
  return clientId + SEPARATOR + part
}

export function splitSessionKey (key: string): { clientId: ClientId, part: string } {
  const at = key.indexOf(SEPARATOR)
  return { clientId: key.slice(0, at) as ClientId, part: key.slice(at + 1) }
}
