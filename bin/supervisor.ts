/**
 * What a service manager is told, as sd_notify(3) has it: that the server is ready, that it stops, and again and again
 * that it is well. Without one (NOTIFY_SOCKET is not set) nobody is told anything.
 */
import { spawn } from 'node:child_process'
import type { Clock, Logger } from '../broker/index.ts'

export interface Supervisor {
  /** The server accepts connections. From now on it says that it is well, while the log answers. */
  ready (says: string, logSilentMs: () => number): void
  stopping (): void
}

export interface SupervisorOptions {
  readonly env: NodeJS.ProcessEnv
  readonly pid: number
  readonly clock: Pick<Clock, 'after'>
  readonly log: Logger
  /** Passes one assignment on, `READY=1`. */
  readonly tell: (assignment: string) => void
}

const NOBODY: Supervisor = { ready () {}, stopping () {} }

export function supervisorOf ({ env, pid, clock, log, tell }: SupervisorOptions): Supervisor {
  if (env['NOTIFY_SOCKET'] === undefined) return NOBODY
  const deadlineMs = watchdogMs(env, pid)

  /** Runs in the event loop: where that is stuck, nothing is said either. */
  function watch (logSilentMs: () => number, ms: number): void {
    const silentMs = logSilentMs()
    if (silentMs < ms) tell('WATCHDOG=1')
    else {
      log.error({ silentMs, watchdogMs: ms }, 'the log gives no answer, so the watchdog is not told that all is ' +
        'well: the service manager ends this process and starts it again. Look at the disk')
    }
    clock.after(ms / 2, () => watch(logSilentMs, ms))
  }

  return {
    ready (says, logSilentMs) {
      tell(`STATUS=${says}`)
      tell('READY=1')
      if (deadlineMs !== undefined) watch(logSilentMs, deadlineMs)
    },
    stopping () { tell('STOPPING=1') }
  }
}

/** How often at least it has to be said that all is well; undefined where nobody waits for that. */
function watchdogMs ({ WATCHDOG_USEC, WATCHDOG_PID }: NodeJS.ProcessEnv, pid: number): number | undefined {
  if (WATCHDOG_PID !== undefined && WATCHDOG_PID !== String(pid)) return undefined
  const ms = Number(WATCHDOG_USEC) / 1_000
  return ms > 0 && Number.isFinite(ms) ? ms : undefined
}

const PASS_ON = 'while IFS= read -r line; do systemd-notify "$line" || exit; done'

/**
 * Node.js has no datagram sockets of the file system, so a shell hands each line to systemd-notify. It is started once,
 * while this process is small: to start one from a process of 2 GiB blocks the event loop for a tenth of a second.
 */
export function createNotifier (
  { PATH, NOTIFY_SOCKET }: NodeJS.ProcessEnv, log: Logger
): (assignment: string) => void {
  if (NOTIFY_SOCKET === undefined) return () => {}
  const shell = spawn('sh', ['-c', PASS_ON], { env: { PATH, NOTIFY_SOCKET }, stdio: ['pipe', 'ignore', 'pipe'] })
  let said = ''
  shell.stderr.setEncoding('utf8').on('data', (text: string) => { said = (said + text).slice(-SAID_CHARS_MAX) })
  shell.stdin.on('error', () => {}) // its end is told below
  shell.on('error', (err) => told({ err }))
  shell.on('close', (code) => told({ code, said: said.trim() }))
  // neither keeps this process alive
  shell.unref()
  for (const stream of [shell.stdin, shell.stderr]) (stream as unknown as { unref? (): void }).unref?.()

  function told (why: object): void {
    log.error(why, 'the service manager can\'t be told how the server is: it needs systemd-notify and a shell, and ' +
      'NotifyAccess=all in the unit')
  }
  return (assignment) => { if (shell.stdin.writable) shell.stdin.write(`${assignment}\n`) }
}

const SAID_CHARS_MAX = 1_000
