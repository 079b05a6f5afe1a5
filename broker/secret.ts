/** What a transport signs with what it gives away and wants to know again: the same after a restart. */
import { randomBytes } from 'node:crypto'
import type { Log } from './log/log.ts'
import { readSecret, SECRET_BYTES, secretChange } from './session/records.ts'
import type { Store } from './store/store.ts'

export const randomSecret = (): Buffer => randomBytes(SECRET_BYTES)

/** The one that is written down, or one that is from now on. */
export async function loadSecret (store: Store, log: Log, make: () => Buffer): Promise<Buffer> {
  const stored = await readSecret(store)
  if (stored !== undefined) return stored
  const secret = make()
  // where it can't be written, what is signed with it is forgotten with this process
  await log.recorded([secretChange(secret)]).catch(() => {})
  return secret
}
