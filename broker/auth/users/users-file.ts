/**
 * The text of a users file: `name:hash` or `name:hash:group,group` a line, as mosquitto has it but for the groups.
 * Lines that are empty or begin with # are left as they are.
 */
import { parseHash, type PasswordHash } from './password-hash.ts'

export interface User {
  readonly name: string
  /** As it stands in the file: it changes with the password. */
  readonly hashText: string
  readonly hash: PasswordHash
  readonly groups: readonly string[]
}

export type Users = ReadonlyMap<string, User>

export const USER_NAME_BYTES_MAX = 256
const GROUP = /^[^\s:,#]{1,128}$/u
/** What ends a line or a field, or can't be seen. */
const BAD_IN_NAME = /[:\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/u

/** A line can't be used; the message names it and says what to do, and never holds a password. */
export class UsersFileError extends Error {}

/** @throws UsersFileError for the first line that is wrong */
export function parseUsers (text: string): Users {
  const users = new Map<string, User>()
  const lineOf = new Map<string, number>()
  for (const [index, line] of text.split('\n').entries()) {
    const user = parseLine(line, index + 1)
    if (user === undefined) continue
    const before = lineOf.get(user.name)
    if (before !== undefined) {
      throw new UsersFileError(`line ${index + 1}: ${JSON.stringify(user.name)} stands in line ${before} already; ` +
        'leave one of them')
    }
    lineOf.set(user.name, index + 1)
    users.set(user.name, user)
  }
  return users
}

function parseLine (given: string, number: number): User | undefined {
  const line = given.replace(/\r$/, '')
  if (isForeign(line)) return undefined
  const [name, hashText, groupsText = '', ...more] = line.split(':')
  const wrong = (says: string): UsersFileError => new UsersFileError(`line ${number}: ${says}`)
  const bad = wrongName(name)
  if (bad !== undefined) throw wrong(bad)
  if (hashText === undefined || more.length > 0) throw wrong('it must be name:hash or name:hash:group,group')
  const hash = parseHash(hashText)
  if (hash === undefined) {
    throw wrong(`the password of ${JSON.stringify(name)} is in no form that is known ($scrypt$, $7$, $6$); ` +
      'set it with "holdfast user add"')
  }
  const groups = groupsText === '' ? [] : groupsText.split(',')
  const badGroup = groups.find((group) => wrongGroup(group) !== undefined)
  if (badGroup !== undefined) throw wrong(wrongGroup(badGroup)!)
  return { name, hashText, hash, groups }
}

function isForeign (line: string): boolean {
  return line.trim() === '' || line.startsWith('#')
}

/** What is wrong with a user name, or undefined. */
export function wrongName (name: string): string | undefined {
  if (name === '') return 'the name of the user is empty'
  if (Buffer.byteLength(name) > USER_NAME_BYTES_MAX) {
    return `the name of the user is longer than ${USER_NAME_BYTES_MAX} bytes`
  }
  if (BAD_IN_NAME.test(name) || name.trim() !== name || name.startsWith('#')) {
    return 'the name of a user has no colon, no spaces around it, no # before it and nothing that can\'t be seen'
  }
  if (name === 'anonymous' || name.startsWith('$')) {
    return `${JSON.stringify(name)} is a name of the server's own; choose another`
  }
  return undefined
}

/** What is wrong with the name of a group, or undefined. */
export function wrongGroup (group: string): string | undefined {
  return GROUP.test(group)
    ? undefined
    : `${JSON.stringify(group)} is no name of a group: 1 to 128 characters without spaces, commas, colons and #`
}

/**
 * The text with this user in it: in the line where they stood, else at the end. All other lines stay as they are.
 * @param groups undefined leaves them as they are
 */
export function withUser (
  text: string, { name, hashText, groups }: { name: string, hashText: string, groups: readonly string[] | undefined }
): string {
  const lines = linesOf(text)
  const at = lines.findIndex((line) => nameIn(line) === name)
  const [, , before = ''] = at < 0 ? [] : lines[at].replace(/\r$/, '').split(':')
  const group = groups === undefined ? before : groups.join(',')
  const line = `${name}:${hashText}${group === '' ? '' : `:${group}`}`
  if (at < 0) lines.push(line)
  else lines[at] = line
  return lines.join('\n') + '\n'
}

/** The text without this user; undefined where they don't stand in it. */
export function withoutUser (text: string, name: string): string | undefined {
  const lines = linesOf(text)
  const left = lines.filter((line) => nameIn(line) !== name)
  if (left.length === lines.length) return undefined
  return left.length === 0 ? '' : left.join('\n') + '\n'
}

function linesOf (text: string): string[] {
  return text === '' ? [] : text.replace(/\n$/, '').split('\n')
}

function nameIn (line: string): string | undefined {
  return isForeign(line) ? undefined : line.split(':', 1)[0]
}
