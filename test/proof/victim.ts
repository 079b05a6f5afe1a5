/** A client in a process of its own: killed for real. */
import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { packageOf, TRANSPORTS } from '../helpers/socketio-clients.ts'
import type { Scope } from '../helpers/temp.ts'
import { within } from '../helpers/wait.ts'
import type { Life, LifeOptions } from './life.ts'

const PROGRAM = fileURLToPath(new URL('victim.mjs', import.meta.url))
const READY_MS_MAX = 30_000

export class Victim implements Life {
  readonly socket = undefined
  readonly reconnects = 0
  readonly recovered = 0
  readonly thrownOut = 0
  readonly #scope: Scope
  readonly #options: LifeOptions
  #child: ChildProcess | undefined
  /** Everything that it said is read. */
  #over: Promise<unknown> = Promise.resolve()

  constructor (scope: Scope, options: LifeOptions) {
    this.#scope = scope
    this.#options = options
  }

  get dead (): boolean {
    return this.#child?.exitCode !== null || this.#child.signalCode !== null
  }

  async joined (room: string): Promise<void> {
    const { version, transport, url, clientId, onSeen } = this.#options
    const asked = { client: packageOf(version), url, clientId, room, transports: TRANSPORTS[transport] }
    const child = spawn(process.execPath, [PROGRAM, JSON.stringify(asked)], { stdio: ['pipe', 'pipe', 'inherit'] })
    this.#child = child
    this.#scope.teardown(() => child.kill('SIGKILL'))
    child.stdin.on('error', () => {}) // it is dead already
    const lines = createInterface({ input: child.stdout })
    this.#over = Promise.all([once(child, 'close'), once(lines, 'close')])
    await within(new Promise<void>(resolve => lines.on('line', line => {
      if (line === 'ready') return resolve()
      const [source, number] = line.split(' ')
      onSeen(source, Number(number))
    })), `${clientId} to join its room`, READY_MS_MAX)
  }

  async noticed (ms: number): Promise<void> {
    await new Promise(resolve => setTimeout(resolve, ms))
  }

  dropConnections (): void {}

  async dieAfter (handlers: number): Promise<void> {
    this.#child?.stdin?.write(`die ${handlers}\n`)
    await this.#over
  }

  replaced (): void {}

  async kill (): Promise<void> {
    this.#child?.kill('SIGKILL')
    await this.#over
  }
}
