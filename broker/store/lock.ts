/**
 * One server for a data folder. The lock is a Unix domain socket in the folder: the kernel closes it with its process,
 * so it is free at once after `kill -9`, and it works across containers that share the folder on one kernel (not
 * across machines).
 *
 * Every server that wants the folder puts a socket of its own there that listens already, and then looks at the
 * others. Of two, at least one sees the other, so two can never both find themselves alone. Who sees an owner gives
 * up; of candidates the one whose name sorts first goes on. Names are never used twice, so a dead one can be removed
 * without a race.
 */
import { randomBytes } from 'node:crypto'
import { closeSync, linkSync, openSync, readdirSync, renameSync, rmSync } from 'node:fs'
import { connect, createServer } from 'node:net'
import type { Server } from 'node:net'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { HoldfastError } from '../model/errors.ts'

const CANDIDATE = /^candidate-(\d+)-[0-9a-f]{16}$/
const OWNER = /^lock-(\d+)-[0-9a-f]{16}$/
const DRAFT = /^draft-(\d+)-[0-9a-f]{16}$/
const PATIENCE_MS = 10
const ROUNDS_MAX = 200

export interface FolderLock {
  release (): Promise<void>
}

/**
 * Resolves when this process owns the folder, which must exist. Throws HoldfastError DATA_LOCKED, naming the folder
 * and the process, or DATA_NOT_WRITABLE.
 * @param makeId 16 hexadecimal digits, never the same twice
 */
export async function lockFolder (folder: string, makeId: () => string = randomId): Promise<FolderLock> {
  const name = `${process.pid}-${makeId()}`
  const directory = openDirectory(folder)
  const candidate = `candidate-${name}`
  const owner = `lock-${name}`
  let server: Server | undefined
  const release = async (): Promise<void> => {
    for (const file of [owner, candidate, `draft-${name}`]) rmSync(join(folder, file), { force: true })
    await new Promise<void>(resolve => { server === undefined ? resolve() : server.close(() => resolve()) })
    closeSync(directory.fd)
  }
  try {
    // It must listen before it can be seen: a socket that does not answer counts as dead.
    server = await listen(directory.path(`draft-${name}`), folder)
    publish(folder, `draft-${name}`, candidate)
    await becomeOnly(folder, directory.path, candidate)
    // The name of the candidate stays: a rename could hide both from somebody who lists the folder just then.
    linkSync(join(folder, candidate), join(folder, owner))
    return { release }
  } catch (error) {
    await release()
    throw error
  }
}

/** The process that owns the folder now, as far as can be seen without asking for the lock. */
export async function ownerOf (folder: string): Promise<number | undefined> {
  const directory = openDirectory(folder)
  try {
    for (const file of readdirSync(folder)) {
      const owner = OWNER.exec(file)
      if (owner !== null && await answers(directory.path(file))) return Number(owner[1])
    }
    return undefined
  } finally {
    closeSync(directory.fd)
  }
}

function randomId (): string {
  return randomBytes(8).toString('hex')
}

function publish (folder: string, draft: string, candidate: string): void {
  try {
    renameSync(join(folder, draft), join(folder, candidate))
  } catch (error) {
    // Only an owner tidies up, and it takes a draft that does not listen yet for a dead one.
    const owner = readdirSync(folder).find(file => OWNER.test(file))
    throw owner === undefined ? error : locked(folder, owner)
  }
}

async function becomeOnly (folder: string, pathOf: (file: string) => string, candidate: string): Promise<void> {
  let rivals: string[] = []
  for (let round = 0; round < ROUNDS_MAX; round++) {
    const owners: string[] = []
    rivals = []
    const dead: string[] = []
    for (const file of readdirSync(folder)) {
      if (file === candidate || !(CANDIDATE.test(file) || OWNER.test(file) || DRAFT.test(file))) continue
      if (!await answers(pathOf(file))) dead.push(file)
      else if (OWNER.test(file)) owners.push(file)
      else if (CANDIDATE.test(file)) rivals.push(file)
    }
    if (owners.length > 0) throw locked(folder, owners[0])
    const before = rivals.find(rival => rival < candidate)
    if (before !== undefined) throw locked(folder, before)
    if (rivals.length === 0) {
      for (const file of dead) rmSync(join(folder, file), { force: true })
      return
    }
    // The rivals are about to give up, or one of them looked before this candidate was there and becomes the owner.
    await delay(PATIENCE_MS)
  }
  throw locked(folder, rivals[0])
}

function locked (folder: string, file: string): HoldfastError {
  const pid = /\d+/.exec(file)?.[0]
  return new HoldfastError('DATA_LOCKED',
    `${folder} belongs to process ${pid}. Stop that server, or give this one a folder of its own (data, --data)`)
}

/** A path to a socket may have 107 bytes only; on Linux the open folder gives every file a short one. */
function openDirectory (folder: string): { fd: number, path: (file: string) => string } {
  const fd = openSync(folder, 'r')
  const base = process.platform === 'linux' ? `/proc/self/fd/${fd}` : folder
  return { fd, path: file => join(base, file) }
}

function listen (path: string, folder: string): Promise<Server> {
  return new Promise((resolve, reject) => {
    const server = createServer(socket => { socket.destroy() })
    server.once('error', error => reject(new HoldfastError('DATA_NOT_WRITABLE',
      `no lock can be made in ${folder} (${error.message}). It must be writable and on a file system of this machine`,
      { cause: error })))
    server.listen({ path, exclusive: true }, () => resolve(server.unref()))
  })
}

/** Whether a living process listens there. A socket whose owner is busy or stopped counts as living. */
function answers (path: string): Promise<boolean> {
  return new Promise(resolve => {
    const socket = connect(path)
    socket.once('connect', () => { resolve(true); socket.destroy() })
    socket.once('error', (error: NodeJS.ErrnoException) => {
      resolve(error.code !== 'ECONNREFUSED' && error.code !== 'ENOENT')
    })
  })
}
