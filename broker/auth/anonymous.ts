import type { Principal } from '../model/message.ts'
import type { Auth } from './auth.ts'

export const ANONYMOUS = 'anonymous' as Principal

/** Lets everybody in as the same principal; for loopback, or behind something that has already checked. */
export const anonymous: Auth = {
  anonymous: true,
  async authenticate () { return ANONYMOUS },
  mayPublish: () => true,
  maySubscribe: () => true
}
