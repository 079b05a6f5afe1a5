/**
 * The way from the commands of this machine to the server on a data folder: HTTP over a Unix socket in that folder.
 * Who may connect is what the file system says: the user of the server, and root (docs/decisions/0022-operation.md).
 */
import { chmodSync, closeSync, mkdtempSync, openSync, renameSync, rmSync } from 'node:fs'
import { Agent, type Server } from 'node:http'
import { connect } from 'node:net'
import { join } from 'node:path'

export const CONTROL_SOCKET = 'control.sock'

const SOCKET_MODE = 0o600

/**
 * Listens; the caller owns the folder, so that a socket that is there already is left from a server that was killed.
 * Returns what takes the name away again.
 */
export async function listenControl (server: Server, folder: string): Promise<() => void> {
  // In a folder that nobody else may enter, until its mode is right: then it gets its name.
  const draft = mkdtempSync(join(folder, 'control-'))
  const path = join(folder, CONTROL_SOCKET)
  try {
    await withShortPath(draft, async (short) => {
      await new Promise<void>((resolve, reject) => {
        server.once('error', reject)
        server.listen(join(short, 's'), () => {
          server.off('error', reject)
          resolve()
        })
      })
    })
    chmodSync(join(draft, 's'), SOCKET_MODE)
    renameSync(join(draft, 's'), path)
  } finally {
    rmSync(draft, { recursive: true, force: true })
  }
  return () => { rmSync(path, { force: true }) }
}

/** Connections to the server on a folder, whoever it is. */
export function controlAgent (folder: string): Agent {
  const agent = new Agent()
  agent.createConnection = (_options, done) => {
    const { fd, short } = openShort(folder)
    const socket = connect(join(short, CONTROL_SOCKET))
    socket.once('connect', () => { closeSync(fd) }).once('error', () => { closeSync(fd) })
    done?.(null, socket)
    return undefined
  }
  return agent
}

async function withShortPath (folder: string, work: (short: string) => Promise<void>): Promise<void> {
  const { fd, short } = openShort(folder)
  try {
    await work(short)
  } finally {
    closeSync(fd)
  }
}

/** A path to a socket may have 107 bytes only; on Linux the open folder gives every file a short one. */
function openShort (folder: string): { readonly fd: number, readonly short: string } {
  const fd = openSync(folder, 'r')
  return { fd, short: process.platform === 'linux' ? `/proc/self/fd/${fd}` : folder }
}
