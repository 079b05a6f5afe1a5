/** The program around the server: it is trusted, whatever access control says of others. */
import { isTypedArray } from 'node:util/types'
import { CLIENT_ID_MARK, type SocketioBridge } from '../bridge/socketio/index.ts'
import {
  ALL_RIGHTS, ANONYMOUS, HoldfastError, type Auth, type Broker, type ClientId, type Identity, type Principal, type QoS
} from '../broker/index.ts'
import { AGE_MS_MAX } from '../config/option.ts'
import { inboxOf } from '../protocol/index.ts'
import { extensionOf, wrongProperty, type MessageProperties } from './properties.ts'

export interface PublishOptions extends MessageProperties {
  readonly topic: string
  /** Text is sent as UTF-8; bytes are copied. */
  readonly payload: string | Uint8Array
  /** Default 1. */
  readonly qos?: QoS
  /** Default false. */
  readonly retain?: boolean
  /**
   * Identifier of the message, so that a second try can be recognised: a handler of a Socket.IO client runs once for
   * messages with one topic and id [G4], as far as docs/envelope.md says. Default none.
   */
  readonly id?: string
  /** How long it lasts: from then on it is delivered to nobody [G9]. Default: as messageExpiry says, else for ever. */
  readonly expiryMs?: number
}

export interface Published {
  /**
   * For how many sessions that are kept the message is in the log; one whose filters overlap counts for each that
   * matches. With 0 nobody who is away gets it, only who is connected now (QoS 0: always 0).
   */
  readonly sessions: number
}

/** A session that is made before its client comes. */
export interface NewSession {
  /** As the client will give it. */
  readonly clientId: string
  /** For a client of Socket.IO: the namespace that it will open. Default: one of MQTT. */
  readonly namespace?: string
  /** Besides those that Socket.IO and its rules give a client of this name; a text is a filter at QoS 1. */
  readonly filters?: ReadonlyArray<string | { readonly filter: string, readonly qos: QoS }>
  /** What authentication will find: nobody else gets the session [G7]. Default: `anonymous`. */
  readonly principal?: string
  /** With `io`: the user whom the program will have authenticated, where it says who that is. */
  readonly owner?: string
  /** How long it waits. Default: socketioSessionExpiryMs with `namespace`, else mqttSessionExpiryMs. */
  readonly expiryMs?: number
}

export interface Expiries {
  readonly mqttSessionExpiryMs: number
  readonly socketioSessionExpiryMs: number
}

export const PROGRAM = { clientId: '$program' as ClientId, principal: '$program' as Principal }

/** Who the program is to its own broker. */
export const PROGRAM_IDENTITY: Identity = {
  principal: PROGRAM.principal, groups: [], info: {}, expiresAt: undefined, rights: ALL_RIGHTS, by: 'program'
}

/** An Auth that lets nobody be taken for the program [G7]. */
export function guardProgram (auth: Auth): Auth {
  const unless = (identity: Identity | undefined): Identity | undefined =>
    identity?.principal === PROGRAM.principal ? undefined : identity
  return {
    anonymous: auth.anonymous,
    async authenticate (credentials, signal) {
      if (credentials.clientId.startsWith(PROGRAM.clientId)) return undefined // subscriptions of the program
      return unless(await auth.authenticate(credentials, signal))
    },
    refresh: auth.refresh && ((identity) => unless(auth.refresh!(identity))),
    rightsOf: (principal) => principal === PROGRAM.principal ? ALL_RIGHTS : auth.rightsOf(principal)
  }
}

/** Resolves when the message is durable [G1]; rejects with HoldfastError where it is not kept. */
export function publish (
  broker: Broker, options: PublishOptions
): Promise<Published> {
  const { topic, payload, qos = 1, retain = false, id = '', expiryMs } = options
  return new Promise((resolve, reject) => {
    need('publish', 'topic', isText(topic), 'a text')
    need('publish', 'payload', isText(payload) || isTypedArray(payload), 'a text or bytes (JSON.stringify an object)')
    need('publish', 'qos', isQos(qos), '0, 1 or 2')
    need('publish', 'retain', typeof retain === 'boolean', 'true or false')
    need('publish', 'id', isText(id), 'a text; leave it out for none') // null for all would be one id for all [G2]
    need('publish', 'expiryMs', expiryMs === undefined || isAge(expiryMs), `whole milliseconds, 1 to ${AGE_MS_MAX}`)
    const wrong = wrongProperty(options)
    if (wrong !== undefined) need('publish', wrong[0], false, wrong[1])
    const bytes = typeof payload === 'string' ? Buffer.from(payload) : Buffer.copyBytesFrom(payload)
    const marked = id === '' ? '' : CLIENT_ID_MARK + id
    const extension = extensionOf(options)
    broker.meters.cameIn('program', qos)
    broker.publish(PROGRAM, { topic, payload: bytes, qos, retain, id: marked, expiryMs, extension },
      (error, sessions = 0) => error === undefined ? resolve({ sessions }) : reject(error))
  })
}

/** As Holdfast.createSession(). */
export async function createSession (
  broker: Broker, bridge: Pick<SocketioBridge, 'placeOf'>, expiries: Expiries, asked: NewSession
): Promise<boolean> {
  const { clientId: name, namespace, filters: more = [], owner } = asked
  checkNew({ ...asked, filters: more })
  const principal = (asked.principal ?? ANONYMOUS) as Principal
  const place = namespace === undefined
    ? { clientId: name as ClientId, filters: [] }
    : bridge.placeOf(namespace, name, principal)
  if (place === undefined) {
    throw new HoldfastError('NOT_AUTHORIZED', `the rules let nobody into the namespace ${JSON.stringify(namespace)}`)
  }
  const { mqttSessionExpiryMs, socketioSessionExpiryMs } = expiries
  const expiryMs = asked.expiryMs ?? (namespace === undefined ? mqttSessionExpiryMs : socketioSessionExpiryMs)
  const filters = [...place.filters, ...more]
    .map((one) => typeof one === 'string' ? { filter: one, qos: 1 as QoS } : one)
  return await broker.provision({ clientId: place.clientId, principal, owner, expiryMs, filters })
}

/** What a program in JavaScript may pass: further in it would cost others, or mean something else. Throws TypeError. */
function checkNew ({ clientId, namespace, filters, principal, owner, expiryMs }: NewSession): void {
  const of = 'createSession'
  need(of, 'clientId', isText(clientId), 'a text')
  need(of, 'namespace', namespace === undefined || isText(namespace), 'a text; leave it out for a client of MQTT')
  need(of, 'principal', principal === undefined || isName(principal), 'a text that is not empty')
  need(of, 'owner', owner === undefined || isName(owner), 'a text that is not empty')
  need(of, 'expiryMs', expiryMs === undefined || (Number.isSafeInteger(expiryMs) && expiryMs > 0),
    'whole milliseconds, 1 or more')
  need(of, 'filters', Array.isArray(filters) && filters.every(isFilter), // a text would be a list of its letters
    'a list; of each a text, or { filter: a text, qos: 0, 1 or 2 }')
}

function need (method: string, option: string, isRight: boolean, what: string): void {
  if (!isRight) throw new TypeError(`${method}(): ${option}: ${what}`)
}

function isText (value: unknown): boolean {
  return typeof value === 'string'
}

function isName (value: unknown): boolean {
  return isText(value) && value !== ''
}

function isAge (value: number): boolean {
  return Number.isSafeInteger(value) && value > 0 && value <= AGE_MS_MAX
}

function isQos (value: unknown): boolean {
  return value === 0 || value === 1 || value === 2
}

function isFilter (value: unknown): boolean {
  if (typeof value !== 'object' || value === null) return isText(value)
  const { filter, qos } = value as { readonly filter?: unknown, readonly qos?: unknown }
  return isText(filter) && isQos(qos)
}

/** Whose inbox a topic is: with authentication the user of `io/<namespace>/user/<user>/...` is a principal. */
export function inboxOfPerson (topic: string): { readonly filter: string, readonly principal: Principal } | undefined {
  const inbox = inboxOf(topic)
  return inbox === undefined ? undefined : { filter: inbox.filter, principal: inbox.user as Principal }
}
