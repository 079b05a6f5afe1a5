/** `holdfast backup` and `holdfast compact`: whole copies of a data folder. */
import { resolve } from 'node:path'
import { HoldfastError } from '../broker/index.ts'
import {
  beginCopy, compactFolder, copiedBytes, copyStopped, dropCopy, finishCopy, type Draft
} from '../broker/store/copy.ts'
import { type CommandLine, loadConfig } from '../config/load.ts'
import { bytes, count } from '../config/units.ts'
import { ownArguments } from './arguments.ts'
import { ask, NoServerError } from './control.ts'
import { FailedError } from './usage.ts'

const PROGRESS_MS = 1_000

/**
 * Resolves to what to print when the copy is whole and on disk.
 * @param tell hears once in a while how far it is
 */
export async function backup (line: CommandLine, tell: (says: string) => void): Promise<string> {
  const { words: [to], args } = ownArguments('backup', line.args, { words: ['the folder for the copy'] })
  const folder = resolve(loadConfig({ ...line, args }).config.data)
  const draft = beginCopy(to)
  const timer = setInterval(() => { tell(`${bytes(copiedBytes(draft))} copied`) }, PROGRESS_MS)
  try {
    await copy(folder, draft)
    tell('looking at all that is in the copy')
    const { messages, bytes: size, notes } = await finishCopy(draft)
    return [
      `${draft.target} is a copy of ${folder}: ${count(messages)} ${messages === 1 ? 'message' : 'messages'} ` +
        `(${bytes(size)}), all sessions, whole and on disk.`,
      ...notes,
      `Start a server on it, or on a copy of it, to restore: holdfast start --data ${draft.target}`,
      ''
    ].join('\n')
  } catch (error) {
    dropCopy(draft)
    throw error
  } finally {
    clearInterval(timer)
  }
}

async function copy (folder: string, draft: Draft): Promise<void> {
  try {
    await ask(folder, 'POST', '/copy', { folder: draft.folder })
  } catch (error) {
    if (!(error instanceof NoServerError)) throw error
    await copyStopped(folder, draft)
  }
}

export async function compact (line: CommandLine): Promise<string> {
  const { args } = ownArguments('compact', line.args, {})
  const folder = resolve(loadConfig({ ...line, args }).config.data)
  const { before, after } = await compactFolder(folder).catch((error: unknown) => {
    if (!(error instanceof HoldfastError) || error.code !== 'DATA_LOCKED') throw error
    throw new FailedError(`a server runs on ${folder}: it uses what is free in its file by itself, and the file can ` +
      'be made smaller only while it is stopped; or restore a backup, which has nothing free in it')
  })
  return `${folder}: the data file has ${bytes(after)} now, and had ${bytes(before)}.\n`
}
