/** `holdfast user add|remove|list|check NAME`: the users file, by itself. */
import { randomBytes } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { resolve } from 'node:path'
import {
  SCRYPT, hashPassword, isPassword, parseUsers, withUser, withoutUser, wrongGroup, wrongName, type Users
} from '../broker/index.ts'
import { type CommandLine, loadConfig } from '../config/load.ts'
import { passwordFromStdin, passwordFromTerminal, type PasswordSource } from './password.ts'
import { changeFile } from './replace-file.ts'
import { FailedError, UsageError } from './usage.ts'

const VERBS = ['add', 'remove', 'list', 'check'] as const
type Verb = typeof VERBS[number]

interface Asked {
  readonly verb: Verb
  /** '' for list. */
  readonly name: string
  readonly groups: readonly string[] | undefined
  readonly fromStdin: boolean
  readonly file: string
}

/** Resolves to what to print. @throws UsageError, FailedError, ConfigError */
export async function user (line: CommandLine, source: PasswordSource): Promise<string> {
  const asked = readAsked(line)
  switch (asked.verb) {
    case 'add': return await add(asked, source)
    case 'remove': return await remove(asked)
    case 'list': return list(await usersOf(asked.file))
    case 'check': return await check(asked, source)
  }
}

function readAsked (line: CommandLine): Asked {
  const [first, ...more] = line.args
  const verb = VERBS.find((one) => one === first)
  if (verb === undefined) throw new UsageError(`user: the next word is one of ${VERBS.join(', ')}`)
  const rest: string[] = []
  let name: string | undefined
  let groups: readonly string[] | undefined
  let fromStdin = false
  for (let i = 0; i < more.length; i++) {
    const [, flag, joined] = /^(--[a-z-]+)(?:=(.*))?$/s.exec(more[i]) ?? []
    if (flag === '--password' || flag === '--pass') {
      throw new UsageError('user: a password on the command line can be read by every program of this machine; it is ' +
        'asked for, or comes on standard input (--password-stdin)')
    }
    if (flag === '--password-stdin') fromStdin = true
    else if (flag === '--groups') groups = (joined ?? more[++i] ?? '').split(',').filter((group) => group !== '')
    else if (flag !== undefined) rest.push(more[i], ...joined === undefined && i + 1 < more.length ? [more[++i]] : [])
    else if (name === undefined) name = more[i]
    else throw new UsageError(`user ${verb}: one name at a time, not ${JSON.stringify(more[i])} too`)
  }
  const { config: { usersFile } } = loadConfig({ ...line, args: rest })
  if (usersFile === '') throw new UsageError(`user ${verb}: --users-file names the file (usersFile)`)
  check(verb, name, groups)
  return { verb, name: name ?? '', groups, fromStdin, file: resolve(usersFile) }

  function check (verb: Verb, name: string | undefined, groups: readonly string[] | undefined): void {
    if ((verb === 'list') !== (name === undefined)) {
      throw new UsageError(verb === 'list' ? 'user list: it takes no name' : `user ${verb}: name the user`)
    }
    if (groups !== undefined && verb !== 'add') throw new UsageError(`user ${verb}: --groups goes with add`)
    const wrong = (name === undefined ? undefined : wrongName(name)) ?? groups?.map(wrongGroup).find(Boolean)
    if (wrong !== undefined) throw new UsageError(`user ${verb}: ${wrong}`)
  }
}

const TAKEN = 'A running server takes it at a reload (SIGHUP).'

async function add ({ name, groups, fromStdin, file }: Asked, source: PasswordSource): Promise<string> {
  const password = await passwordOf(name, fromStdin, source, true)
  const hashText = await hashPassword(password, randomBytes(SCRYPT.saltBytes))
  let isNew = true
  await changeFile(file, async (text) => {
    isNew = !parsed(file, text).has(name)
    return withUser(text, { name, hashText, groups })
  })
  const done = isNew ? `${name} was added.` : `${name} has another password now.`
  return `${file}: ${done} ${TAKEN}\n`
}

async function remove ({ name, file }: Asked): Promise<string> {
  const isChanged = await changeFile(file, async (text) => {
    parsed(file, text)
    return withoutUser(text, name)
  })
  if (!isChanged) throw new FailedError(`${file}: there is no user ${JSON.stringify(name)}; nothing was changed`)
  return `${file}: ${name} was removed. ${TAKEN}\n`
}

function list (users: Users): string {
  return [...users.values()].map(({ name, groups }) => groups.length === 0 ? name : `${name}  ${groups.join(',')}`)
    .map((line) => line + '\n').join('')
}

/** The exit code says it too. */
async function check ({ name, fromStdin, file }: Asked, source: PasswordSource): Promise<string> {
  const users = await usersOf(file)
  const password = await passwordOf(name, fromStdin, source, false)
  const found = users.get(name)
  if (found === undefined) throw new FailedError(`${file}: there is no user ${JSON.stringify(name)}`)
  if (!await isPassword(found.hash, password)) throw new FailedError(`${file}: that is not the password of ${name}`)
  return `${file}: that is the password of ${name}.\n`
}

async function usersOf (file: string): Promise<Users> {
  const text = await readFile(file, 'utf8').catch((error: NodeJS.ErrnoException) => {
    throw new FailedError(`${file} can't be read (${error.code === 'ENOENT' ? 'there is none' : error.code})`)
  })
  return parsed(file, text)
}

function parsed (file: string, text: string): Users {
  try {
    return parseUsers(text)
  } catch (error) {
    throw new FailedError(`${file}: ${(error as Error).message}`)
  }
}

function passwordOf (name: string, fromStdin: boolean, source: PasswordSource, isNew: boolean): Promise<Buffer> {
  return fromStdin ? passwordFromStdin(source.stdin) : passwordFromTerminal(source, name, isNew)
}
