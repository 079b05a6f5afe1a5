/** What a client shows, and what authenticators are made with, for tests of authentication. */
import { Refusals, type Credentials, type Logger } from '../../broker/index.ts'
import { AddressDelays, type AddressDelaysLimits } from '../../broker/auth/address-delays.ts'
import type { ClientId } from '../../broker/model/message.ts'
import type { Clock } from '../../broker/system/clock.ts'
import { FairWork } from '../../broker/auth/fair-work.ts'

export interface Shown {
  readonly username?: string
  readonly password?: string | Buffer
  readonly clientId?: string
  readonly address?: string
  readonly cookies?: string
  readonly certificate?: Credentials['certificate']
}

export function credentials (shown: Shown = {}): Credentials {
  const { username, password, clientId = 'c1', address = '203.0.113.7', cookies, certificate } = shown
  return {
    clientId: clientId as ClientId,
    username,
    password: typeof password === 'string' ? Buffer.from(password) : password,
    via: 'mqtt',
    remoteAddress: address,
    cookies,
    certificate
  }
}

export const SECRET = Buffer.alloc(32, 7)

/** A signal that never ends. */
export function patient (): AbortSignal { return new AbortController().signal }

export function fairWork (runningMax = 2, waitingMax = 100): FairWork {
  return new FairWork({ runningMax, waitingMax, what: 'too many (workMax)' })
}

export const DELAYS: AddressDelaysLimits = {
  authDelayMs: 100, authDelayMsMax: 1_000, authDelayFadeMs: 10_000, authDelayAddressesMax: 100, authDelayWaitingMax: 3
}

export function addressDelays (clock: Clock, limits: Partial<AddressDelaysLimits> = {}): AddressDelays {
  return new AddressDelays({ clock, limits: { ...DELAYS, ...limits } })
}

export interface Line { readonly fields: Readonly<Record<string, unknown>>, readonly text: string }

/** Refusals, and the lines that they make. */
export function toldRefusals (clock: Clock): { readonly refusals: Refusals, readonly lines: Line[] } {
  const lines: Line[] = []
  const keep = (fields: object, text: string): void => { lines.push({ fields: { ...fields }, text }) }
  const log: Logger = { debug: keep, info: keep, warn: keep, error: keep }
  return { refusals: new Refusals({ clock, log }), lines }
}
