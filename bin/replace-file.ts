/** Writes a file so that it is the old one or the new one at any time, also after a power cut. */
import { constants, open, readFile, realpath, rename, stat, unlink } from 'node:fs/promises'
import { dirname } from 'node:path'
import { FailedError } from './usage.ts'

const MODE = 0o600
/** A group that the operator lets read it goes on doing so, as that of the server; nobody else. */
const MODE_KEPT = 0o640

/**
 * Changes a file by a function of its text, undefined to leave it; one that is not there is an empty one. The new file
 * stands beside it as FILE.new meanwhile, which also keeps a second change from beginning. Resolves to whether it was
 * changed. @throws FailedError
 */
export async function changeFile (name: string, change: (text: string) => Promise<string | undefined>):
Promise<boolean> {
  const file = await realpath(name).catch(() => name) // what a link names is changed, not the link
  const fresh = `${file}.new`
  const handle = await open(fresh, constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL, MODE)
    .catch((error: NodeJS.ErrnoException) => { throw new FailedError(whyNot(error, fresh)) })
  try {
    const before = await stat(file).catch(() => undefined)
    const text = await change(before === undefined ? '' : await readFile(file, 'utf8'))
    if (text === undefined) {
      await unlink(fresh)
      return false
    }
    await handle.writeFile(text)
    if (before !== undefined) {
      // the server runs as another user than whoever changes its file
      await handle.chown(before.uid, before.gid).catch((error: NodeJS.ErrnoException) => {
        if (error.code !== 'EPERM') throw error
      })
      await handle.chmod((before.mode & MODE_KEPT) | MODE)
    }
    await handle.sync()
    await rename(fresh, file)
  } catch (error) {
    await unlink(fresh).catch(() => {})
    throw error
  } finally {
    await handle.close()
  }
  const folder = await open(dirname(file), 'r')
  await folder.sync().finally(() => folder.close())
  return true
}

function whyNot (error: NodeJS.ErrnoException, fresh: string): string {
  if (error.code === 'EEXIST') {
    return `${fresh} is there already: another command changes the file now, or one was ended while it did; then ` +
      'remove it'
  }
  return `${fresh} can't be written (${error.code === 'ENOENT' ? 'there is no such folder' : error.code})`
}
