/**
 * Users of a file, by name and password. Somebody who does not stand in it costs the same work as somebody who does:
 * the password is compared with that of a user whom their name picks, and it is a no whatever comes of it.
 */
import { createHmac } from 'node:crypto'
import { addressGroup } from '../../system/address-group.ts'
import type { Principal } from '../../model/message.ts'
import type { Credentials } from '../auth.ts'
import type { Authenticator, Verdict } from '../authenticator.ts'
import type { FairWork } from '../fair-work.ts'
import type { Known } from '../identity.ts'
import { SCRYPT, isPassword, type PasswordHash } from './password-hash.ts'
import { parseUsers, type User, type Users } from './users-file.ts'

export interface UsersOptions {
  /** Reads the file; rejects as node:fs does. */
  readonly read: () => Promise<string>
  readonly work: FairWork
  /** Made by chance when the server starts: whose hash a stranger's password is compared with is not to be guessed. */
  readonly secret: Buffer
  readonly compare?: typeof isPassword
}

/** Nobody has a longer one; a longer text is something else, as a token. */
export const PASSWORD_BYTES_MAX = 1_024
const PASS: Verdict = { kind: 'pass' }
/** What an empty file is compared with. */
const NOBODY: PasswordHash = {
  kind: 'scrypt', ...SCRYPT, salt: Buffer.alloc(SCRYPT.saltBytes), hash: Buffer.alloc(SCRYPT.hashBytes)
}

export class UsersFile implements Authenticator {
  readonly name = 'users'
  readonly #options: UsersOptions
  #users: Users = new Map()
  #inOrder: readonly User[] = []
  /** With which line of the file each was known: another password ends what the older one opened. */
  readonly #lines = new WeakMap<Known, string>()

  constructor (options: UsersOptions) {
    this.#options = options
  }

  get size (): number { return this.#users.size }

  /** Rejects with UsersFileError or as node:fs does; then the users are those of before. */
  async reload (): Promise<void> {
    const users = parseUsers(await this.#options.read())
    this.#users = users
    this.#inOrder = [...users.values()]
  }

  async authenticate (credentials: Credentials, signal: AbortSignal): Promise<Verdict> {
    const { username, password, remoteAddress } = credentials
    if (username === undefined || password === undefined || password.length > PASSWORD_BYTES_MAX) return PASS
    const user = this.#users.get(username)
    const hash = user?.hash ?? this.#decoy(username)
    const { work, compare = isPassword } = this.#options
    const isRight = await work.run(addressGroup(remoteAddress), signal, () => compare(hash, password))
    // whoever was removed, or has another password since, while this one waited for its turn
    const isStillUser = user !== undefined && this.#users.get(username)?.hashText === user.hashText
    if (user === undefined) return PASS
    if (!isRight || !isStillUser) return { kind: 'refused', why: 'wrong password' }
    return { kind: 'known', known: this.#known(user) }
  }

  refresh (known: Known): Known | undefined {
    const user = this.#users.get(known.principal)
    return user === undefined || this.#lines.get(known) !== user.hashText ? undefined : this.#known(user)
  }

  lookUp (principal: string): Known | undefined {
    const user = this.#users.get(principal)
    return user === undefined ? undefined : this.#known(user)
  }

  #known (user: User): Known {
    const { name, groups } = user
    const known: Known = {
      principal: name as Principal, groups, info: {}, expiresAt: undefined, grants: undefined, clientId: undefined,
      by: this.name
    }
    this.#lines.set(known, user.hashText)
    return known
  }

  /** The same for the same name, and as often of a kind as the file has of it. */
  #decoy (username: string): PasswordHash {
    const { length } = this.#inOrder
    if (length === 0) return NOBODY
    const digest = createHmac('sha256', this.#options.secret).update(username).digest()
    return this.#inOrder[digest.readUInt32BE() % length].hash
  }
}
