/** What a failure means to the person at the terminal: one line for each problem, and the code of the process. */
import { type ErrorCode, HoldfastError } from '../broker/index.ts'
import { ConfigError, lineOf } from '../config/problem.ts'
import { ListenError } from '../server/listen.ts'
import { FailedError, UsageError } from './usage.ts'
import { peerRange } from '../server/version.ts'

export const EXIT = {
  ok: 0,
  /** Could not start, or was forced to stop. */
  failed: 1,
  /** What was asked for makes no sense (sysexits.h, EX_USAGE). */
  usage: 64,
  /** An error of the program itself (sysexits.h, EX_SOFTWARE). */
  internal: 70,
  /** The disk failed, and the process could not go on (sysexits.h, EX_IOERR). */
  disk: 74
} as const

const ADVICE: { readonly [Code in ErrorCode]?: string } = {
  DATA_MISSING: 'name the folder of the server with --data',
  DATA_LOCKED: 'stop that server, or choose another folder with --data',
  DATA_NOT_WRITABLE: 'give this user write access to it, or choose another folder with --data',
  DATA_NEWER: 'install the newer version again, or choose another folder with --data',
  DATA_OLDER: 'move it away, or choose another folder with --data',
  DATA_DAMAGED: 'restore the folder from a copy, or choose another one with --data'
}

/** As Node.js says it. Package managers that leave peers to the project (npm 6, Yarn) install none. */
const PEER_MISSING = /^Cannot find package 'socket\.io'/

export function explain (error: unknown): { readonly lines: readonly string[], readonly exitCode: number } {
  if (error instanceof ConfigError) return { lines: error.problems.map(lineOf), exitCode: EXIT.usage }
  if (error instanceof UsageError) return { lines: [error.message], exitCode: EXIT.usage }
  if (error instanceof FailedError) return { lines: [oneLine(error.message)], exitCode: EXIT.failed }
  if (error instanceof ListenError) return { lines: [oneLine(error.message)], exitCode: EXIT.failed }
  if (error instanceof HoldfastError) {
    const advice = ADVICE[error.code]
    const says = oneLine(error.message)
    const told = advice === undefined || says.includes('--data')
    return { lines: [told ? says : `${says}; ${advice}`], exitCode: EXIT.failed }
  }
  const says = error instanceof Error ? error.message : String(error)
  if (PEER_MISSING.test(says)) {
    return { lines: [`socket.io is not installed: npm install "socket.io@${peerRange()}"`], exitCode: EXIT.failed }
  }
  return { lines: [`internal error: ${oneLine(says)}`], exitCode: EXIT.internal }
}

/** One line each on standard error, with the name of the program. */
export function complain (lines: readonly string[]): void {
  process.stderr.write(lines.map((line) => `holdfast: ${line}\n`).join(''))
}

function oneLine (text: string): string {
  return text.replace(/\s*\n\s*/g, ' ')
}
