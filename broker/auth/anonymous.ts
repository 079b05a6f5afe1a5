import type { Principal } from '../model/message.ts'
import type { Auth } from './auth.ts'
import type { Identity } from './identity.ts'
import type { ProgramAuth } from './program.ts'
import { ALL_RIGHTS } from './rights.ts'

export const ANONYMOUS = 'anonymous' as Principal

/** Lets everybody in as the same principal; for loopback, or behind something that has already checked. */
export const anonymous: ProgramAuth = {
  anonymous: true,
  async authenticate () { return ANONYMOUS },
  mayPublish: () => true,
  maySubscribe: () => true
}

const ANYBODY: Identity = {
  principal: ANONYMOUS, groups: [], info: {}, expiresAt: undefined, rights: ALL_RIGHTS, by: 'anonymous'
}

/** The same as an Auth: nobody is asked. */
export const everybody: Auth = {
  anonymous: true,
  async authenticate () { return ANYBODY },
  rightsOf: () => ALL_RIGHTS
}
