/**
 * Room for the log that is taken from the disk before LMDB needs it. A full disk then shows here, where it costs one
 * batch: LMDB's own handling of a failed write overruns a buffer (lmdb 3.5.6, mdb_page_flush: sprintf of up to 125
 * characters into malloc(100)) and may take the process down. And writing where the file has blocks already makes a
 * sync cheaper, as the file system has nothing to note down.
 */
import { open } from 'node:fs/promises'
import type { FileHandle } from 'node:fs/promises'

const ZEROS = Buffer.alloc(524_288)
const STEP_BYTES_MIN = ZEROS.length
const STEP_BYTES_MAX = 4_194_304

export class Reserve {
  readonly #file: FileHandle
  #bytes: number
  #growing: Promise<void> | undefined

  private constructor (file: FileHandle, bytes: number) {
    this.#file = file
    this.#bytes = bytes
  }

  static async open (path: string): Promise<Reserve> {
    // What is appended can never lie over a page that LMDB wrote, whatever LMDB does meanwhile.
    const file = await open(path, 'a+')
    return new Reserve(file, (await file.stat()).size)
  }

  /** The open file, for those who look at it. */
  get fd (): number { return this.#file.fd }

  /** Bytes of the file that LMDB may fill. */
  get bytes (): number {
    return this.#bytes
  }

  /** Resolves when the file has so many bytes. Rejects with what the system says where it can't. */
  async ensure (bytes: number): Promise<void> {
    while (this.#bytes < bytes) {
      this.#growing ??= this.#grow(bytes)
      await this.#growing
    }
  }

  /** Begins to grow if less than that is there, and doesn't wait. */
  prepare (bytes: number): void {
    if (this.#bytes >= bytes || this.#growing !== undefined) return
    this.#growing = this.#grow(bytes)
    this.#growing.catch(() => {}) // ensure() will say so, when it matters
  }

  async #grow (bytes: number): Promise<void> {
    try {
      const step = Math.min(Math.max(Math.floor(this.#bytes / 16), STEP_BYTES_MIN), STEP_BYTES_MAX)
      for (let left = Math.max(bytes - this.#bytes, step); left > 0;) {
        const { bytesWritten } = await this.#file.write(ZEROS, 0, Math.min(left, ZEROS.length))
        left -= bytesWritten
      }
    } finally {
      this.#growing = undefined
      this.#bytes = (await this.#file.stat()).size
    }
  }

  async close (): Promise<void> {
    await this.#growing?.catch(() => {})
    await this.#file.close()
  }
}
