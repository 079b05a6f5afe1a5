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
const READY_MS_MAX = 120_000

export class Victim implements Life {
  readonly socket = undefined
  readonly reconnects = 0
  readonly recovered = 0
  readonly thrownOut = 0
  readonly #scope: Scope
  readonly #options: LifeOptions
  #child: ChildProcess | undefined
  dead = false
  /** It was told to die, so that its end is no crash. */
  #isDoomed = false
  /** Everything that it said is read. */
  readonly over: Promise<void>
  #ended = (): void => {}

  constructor (scope: Scope, options: LifeOptions) {
    this.#scope = scope
    this.#options = options
    this.over = new Promise(resolve => { this.#ended = resolve })
  }

  async joined (room: string): Promise<void> {
    const { version, transport, url, clientId, onSeen, onCrash } = this.#options
    const asked = { client: packageOf(version), url, clientId, room, transports: TRANSPORTS[transport] }
    const child = spawn(process.execPath, [PROGRAM, JSON.stringify(asked)], { stdio: ['pipe', 'pipe', 'inherit'] })
    this.#child = child
    this.#scope.teardown(() => child.kill('SIGKILL'))
    child.stdin.on('error', () => {}) // it is dead already
    const lines = createInterface({ input: child.stdout })
    void Promise.all([once(child, 'close'), once(lines, 'close')]).then(() => {
      const isCrash = !this.#isDoomed
      this.dead = true
      this.#ended()
      if (isCrash) onCrash()
    })
    const isReady = new Promise<void>(resolve => lines.on('line', line => {
      if (line === 'ready') return resolve()
      const [source, number] = line.split(' ')
      onSeen(source, Number(number))
    }))
    await within(Promise.race([isReady, this.over]), `${clientId} to join its room`, READY_MS_MAX)
  }

  async noticed (ms: number): Promise<void> {
    await new Promise(resolve => setTimeout(resolve, ms))
  }

  dropConnections (): void {}

  async dieAfter (handlers: number): Promise<void> {
    this.#isDoomed = true
    this.#child?.stdin?.write(`die ${handlers}\n`)
    await this.over
  }

  replaced (): void {}

  async kill (): Promise<void> {
    this.#isDoomed = true
    if (this.#child === undefined) return
    this.#child.kill('SIGKILL')
    await this.over
  }
}
