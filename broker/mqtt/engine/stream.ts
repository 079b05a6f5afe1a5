/**
 * What Aedes is given in place of the socket. Aedes ends a client when the socket does; but what was received before
 * may still have to be carried out, also where the peer has gone and nothing can be answered any more.
 * It only writes: reading is the intake's.
 */
import { EventEmitter } from 'node:events'
import type { Duplex } from 'node:stream'

export interface EngineStreamOptions {
  readonly stream: Duplex
  /** The socket is gone: what is written is written to nobody. */
  isDead (): boolean
  /** Called before each write. */
  writing (): void
  /** Aedes is done with the connection; because of an error, if there is one. */
  over (error?: Error): void
}

export class EngineStream extends EventEmitter {
  readonly writable = true
  destroyed = false
  readonly #options: EngineStreamOptions

  constructor (options: EngineStreamOptions) {
    super()
    this.#options = options
    options.stream.on('drain', () => { this.emit('drain') })
  }

  write (chunk: Buffer | string, encoding: BufferEncoding = 'utf8'): boolean {
    if (this.destroyed || this.#options.isDead()) return true
    this.#options.writing()
    return this.#options.stream.write(chunk, encoding)
  }

  cork (): void { this.#options.stream.cork() }
  uncork (): void { this.#options.stream.uncork() }
  read (): null { return null }

  /** Nobody takes what it waits for to be taken. */
  dead (): void { this.emit('drain') }

  destroy (error?: Error): this {
    if (this.destroyed) return this
    this.destroyed = true
    this.#options.over(error)
    process.nextTick(() => { this.emit('close') })
    return this
  }
}
