/**
 * Vocabulary of the intruder's suite:
 * - a house is one server with all its doors, where each person reads their own messages alone
 * - a door is one transport, by one client; a guest is whoever came in by it
 * - the victim is u1, the intruder has the account u2 and whatever they can make up, sender writes to people
 */
import { createPublicKey, generateKeyPairSync, pbkdf2Sync, type KeyObject } from 'node:crypto'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { SignJWT, type JWTHeaderParameters, type JWTPayload } from 'jose'
import type { Test } from 'tap'
import { createMemoryStore } from '../../broker/store/memory.ts'
import type { AccessOption } from '../../config/access-rule.ts'
import { createHoldfast, type Holdfast } from '../../server/index.ts'
import { connectWire, publish1, type WireClient } from '../helpers/mqtt-wire.ts'
import { tempFolder } from '../helpers/temp.ts'

export const PASSWORD = 'Tr0ub4dor&3'
const SECRET = Buffer.from('a secret of thirty-two bytes or more')
const USERS = ['u1', 'u2', 'sender', 'wide']

const RULES: AccessOption = [
  { principal: 'sender', allow: 'publish', topics: ['own/#', 'io/+/user/#'] },
  { authenticated: true, allow: 'all', topics: ['own/{principal}/#', 'io/_/room/{principal}/#'] },
  { principal: 'wide', allow: 'read', topics: 'shown/{principal}/#' },
  { everybody: true, deny: 'all', topics: 'io/+/room/#' },
  { everybody: true, deny: 'publish', topics: 'io/+/all/#' }
]

export interface House {
  readonly holdfast: Holdfast
  readonly mqtt: { readonly host: string, readonly port: number }
  readonly url: string
  /** May write to everybody. */
  readonly sender: WireClient
  readonly forge: Forge
  /** Everybody who was let in by right: the name of the session, and whose it is. */
  readonly entered: Map<string, string>
  /** What u1 was told, in order. */
  readonly told: string[]
}

export interface Who {
  readonly clientId: string
  readonly username?: string
  readonly password?: string
  /** Over MQTT it goes as the password. */
  readonly token?: string
  /** Socket.IO alone. Default `/`. */
  readonly namespace?: string
  /** MQTT alone. Default true. */
  readonly clean?: boolean
  readonly will?: { readonly topic: string, readonly payload: Buffer, readonly qos: 1, readonly retain: boolean }
}

export interface Guest {
  /** What it heard, in order. */
  readonly got: readonly string[]
  readonly isClosed: boolean
  /** Resolves when the connection is gone. */
  leave (): Promise<void>
}

export interface Door<G extends Guest = Guest> {
  readonly name: string
  /** Of a client of this name. */
  sessionOf (clientId: string): string
  /** Rejects with the code of the refusal. */
  enter (t: Test, house: House, who: Who): Promise<G>
  /** A kept session of this person, who is told what comes to their inbox from now on. */
  settle (t: Test, house: House, who: Who): Promise<G>
  /** Asks for whatever this person has no right to. What was granted, which should be nothing. */
  overreach (t: Test, house: House, principal: string, guest: G): Promise<string[]>
}

/** What the refusal of somebody who may not come in says, over MQTT and over Socket.IO. */
export const REFUSAL = /^refused: (CONNACK [245]|NOT_AUTHORIZED|SESSION_FOREIGN|CLIENT_ID_INVALID)$/

export async function openHouse (t: Test): Promise<House> {
  const folder = tempFolder(t, 'intruder')
  const [usersFile, jwtKeyFile] = ['users', 'keys'].map((name) => join(folder, name))
  writeFileSync(usersFile, USERS.map((name) => `${name}:${cheapHash(PASSWORD)}\n`).join(''), { mode: 0o600 })
  const { publicKey } = generateKeyPairSync('rsa', { modulusLength: 2048 })
  const keys = [{ kty: 'oct', kid: 'hs', k: SECRET.toString('base64url') },
    { ...publicKey.export({ format: 'jwk' }), kid: 'rs' }]
  writeFileSync(jwtKeyFile, JSON.stringify({ keys }), { mode: 0o600 })
  const holdfast = await createHoldfast({
    mqttPort: 0,
    httpPort: 0,
    logLevel: 'silent',
    store: createMemoryStore(),
    usersFile,
    jwtKeyFile,
    jwtAudience: ['chat'],
    jwtIssuer: ['house'],
    jwtClientIdClaim: 'device',
    access: RULES,
    authDelayMs: 0
  })
  t.teardown(() => holdfast.close())
  const { mqtt, http } = holdfast.addresses
  const { client: sender } = await connectWire(t, mqtt!, { username: 'sender', password: Buffer.from(PASSWORD) })
  return {
    sender,
    holdfast,
    mqtt: mqtt!,
    url: `http://${http!.host}:${http!.port}`,
    forge: new Forge(publicKey),
    entered: new Map(),
    told: []
  }
}

/** A line of mosquitto_passwd. */
function cheapHash (password: string): string {
  const salt = Buffer.alloc(12, 1)
  const hash = pbkdf2Sync(password, salt, 101, 64, 'sha512')
  return `$7$101$${salt.toString('base64')}$${hash.toString('base64')}`
}

/** Makes tokens: good ones as the house's own issuer, and what an intruder makes of them. */
class Forge {
  readonly #publicKey: KeyObject

  constructor (publicKey: KeyObject) {
    this.#publicKey = publicKey
  }

  good (sub: string, claims: JWTPayload = {}): Promise<string> { return sign({ sub, ...claims }) }

  /** Each for this person, by what is wrong with it. */
  async wrong (sub: string, clientId: string): Promise<ReadonlyArray<readonly [string, string]>> {
    const good = await sign({ sub })
    const [, claims, signature] = good.split('.')
    const own = generateKeyPairSync('rsa', { modulusLength: 2048 })
    const jwk = createPublicKey(own.privateKey).export({ format: 'jwk' })
    const pem = Buffer.from(this.#publicKey.export({ type: 'spki', format: 'pem' }))
    const der = this.#publicKey.export({ type: 'spki', format: 'der' })
    const [, , ofAnother] = (await sign({ sub: 'u2' })).split('.')
    const now = Math.floor(Date.now() / 1_000)
    return [
      ['expired', await sign({ sub, exp: now - 3_600 })],
      ['without an end', await sign({ sub, exp: undefined })],
      ['not yet good', await sign({ sub, nbf: now + 3_600 })],
      ['for another audience', await sign({ sub, aud: 'shop' })],
      ['for no audience', await sign({ sub, aud: undefined })],
      ['of another issuer', await sign({ sub, iss: 'elsewhere' })],
      ['for another device', await sign({ sub, device: `not ${clientId}` })],
      ['alg none', `${part({ alg: 'none' })}.${claims}.`],
      ['alg none with a signature', `${part({ alg: 'none' })}.${claims}.${signature}`],
      ['alg NONE, and the name of a key', `${part({ alg: 'NONE', kid: 'hs' })}.${claims}.`],
      ['with another key', await sign({ sub }, Buffer.alloc(32, 7))],
      ['with an empty signature', `${part({ alg: 'HS256' })}.${claims}.`],
      ['with the signature of another one', `${part({ alg: 'HS256' })}.${claims}.${ofAnother}`],
      ['HS256 by the PEM of the public key', await sign({ sub }, pem, { alg: 'HS256', kid: 'rs' })],
      ['HS256 by the trimmed PEM', await sign({ sub }, Buffer.from(pem.toString().trim()), { alg: 'HS256' })],
      ['HS256 by the DER of the public key', await sign({ sub }, der, { alg: 'HS256', kid: 'rs' })],
      ['RS256 by a key of its own', await sign({ sub }, own.privateKey, { alg: 'RS256', kid: 'rs' })],
      ['RS256 with the key that it brings', await sign({ sub }, own.privateKey, { alg: 'RS256', jwk })],
      ['a header that says RS256 over HS256', `${part({ alg: 'RS256', kid: 'hs' })}.${claims}.${signature}`],
      ['the token cut short', good.slice(0, -4)]
    ]
  }
}

function sign (
  claims: JWTPayload, key: Uint8Array | KeyObject = SECRET, header: JWTHeaderParameters = { alg: 'HS256' }
): Promise<string> {
  const exp = Math.floor(Date.now() / 1_000) + 3_600
  return new SignJWT({ aud: 'chat', iss: 'house', exp, ...claims }).setProtectedHeader(header).sign(key)
}

function part (value: object): string { return Buffer.from(JSON.stringify(value)).toString('base64url') }

/** A message to a person's inbox, by whoever may write to them. */
export async function tell ({ sender, told }: House, user: string, text: string, namespace = '_'): Promise<void> {
  if (user === 'u1') told.push(text)
  await publish1(sender, `io/${namespace}/user/${user}/news`, JSON.stringify(text))
}

/** What somebody heard, as text, whoever wrote it. */
export function textOf (payload: Buffer): string {
  const said: unknown = JSON.parse(payload.toString())
  return typeof said === 'string' ? said : String((said as { args: unknown[] }).args[0])
}
