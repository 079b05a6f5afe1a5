import type { Principal } from '../model/message.ts'
import type { ProgramAuth } from './program.ts'

export const ANONYMOUS = 'anonymous' as Principal

/** Lets everybody in as the same principal; for loopback, or behind something that has already checked. */
export const anonymous: ProgramAuth = {
  anonymous: true,
  async authenticate () { return ANONYMOUS },
  mayPublish: () => true,
  maySubscribe: () => true
}
