/**
 * The certificate of the server, its key, and whose client certificates count: taken at the start, and anew when the
 * files have changed. Connections that are open go on with what they had.
 */
import { stat } from 'node:fs/promises'
import type { SecureContextOptions, Server as TlsServer } from 'node:tls'
import { printable, type Clock, type Logger } from '../../broker/index.ts'
import { filesOf, readServerIdentity, type ServerIdentity, type TlsFiles } from './certificate-files.ts'

export interface CertificatesOptions {
  readonly files: TlsFiles
  /** How often the files are looked at; they count once they are the same twice in a row. */
  readonly watchMs: number
  readonly clock: Clock
  readonly log: Logger
  /** Milliseconds since 1970: a certificate counts by the wall clock. */
  readonly wallNow?: () => number
}

const DAY_MS = 86_400_000
const WARN_BEFORE_MS = 14 * DAY_MS

export class Certificates {
  readonly #options: CertificatesOptions
  readonly #servers = new Set<TlsServer>()
  #identity: ServerIdentity
  /** Of the files that were taken, or refused. */
  #judged: string
  /** Of the files at the last look. */
  #seen: string
  #warnedAt = -Infinity
  #cancel: () => void = () => {}
  #isClosed = false

  private constructor (options: CertificatesOptions, identity: ServerIdentity, print: string) {
    this.#options = options
    this.#identity = identity
    this.#judged = this.#seen = print
    this.#warn()
    this.#lookLater()
  }

  /** Rejects with ConfigError, which names option and file. */
  static async load (options: CertificatesOptions): Promise<Certificates> {
    const print = await printOf(options.files)
    return new Certificates(options, await readServerIdentity(options.files), print)
  }

  /** In seconds since 1970. */
  get endsAt (): number { return this.#identity.validity.to / 1_000 }

  get context (): SecureContextOptions { return this.#identity.context }

  /** New handshakes of this server get what is in force. */
  serve (server: TlsServer): void {
    this.#servers.add(server)
    server.setSecureContext(this.context)
  }

  /** Takes what is in the files. Rejects with ConfigError, and then the old ones stay in force. */
  async reload (): Promise<void> {
    const print = await printOf(this.#options.files)
    try {
      const identity = await readServerIdentity(this.#options.files)
      if (this.#isClosed) return
      this.#identity = identity
      for (const server of this.#servers) server.setSecureContext(this.context)
      this.#warnedAt = -Infinity
      this.#options.log.info({ validTo: iso(identity.validity.to) },
        'the certificate (tlsCert) was taken anew, for new connections; those that are open go on')
      this.#warn()
    } finally {
      this.#judged = this.#seen = print
    }
  }

  close (): void {
    this.#isClosed = true
    this.#cancel()
    this.#servers.clear()
  }

  #lookLater (): void {
    if (this.#isClosed) return
    this.#cancel = this.#options.clock.after(this.#options.watchMs, () => {
      void this.#look().finally(() => { this.#lookLater() })
    })
  }

  async #look (): Promise<void> {
    this.#warn()
    const print = await printOf(this.#options.files)
    const isQuiet = print === this.#seen
    this.#seen = print
    if (!isQuiet || print === this.#judged) return
    await this.reload().catch((error: Error) => {
      this.#options.log.error({ error: printable(error.message.replace(/\s*\n\s*/g, ' ')) }, 'the files of TLS have ' +
        'changed and are no good; the certificate that was in force stays. Mend them, they are looked at again')
    })
  }

  /** Once a day, from two weeks before it ends. */
  #warn (): void {
    const { log, clock, files: { tlsCert }, wallNow = Date.now } = this.#options
    const { from, to } = this.#identity.validity
    const now = wallNow()
    if (now >= from && now < to - WARN_BEFORE_MS) return
    if (clock.now() - this.#warnedAt < DAY_MS) return
    this.#warnedAt = clock.now()
    const fields = { file: tlsCert, validFrom: iso(from), validTo: iso(to) }
    if (now < from) {
      log.error(fields, 'the certificate (tlsCert) is not valid yet, and clients refuse it; look at the clock')
    } else if (now >= to) log.error(fields, 'the certificate (tlsCert) has expired, and clients refuse it; renew it')
    else log.warn(fields, 'the certificate (tlsCert) expires soon; renew it, the server takes it without a restart')
  }
}

/** What changes when one of the files does, as far as the system says; nothing is read. */
async function printOf (files: TlsFiles): Promise<string> {
  const prints = await Promise.all(filesOf(files).map(async ([, file]) => {
    const found = await stat(file, { bigint: true }).catch((error: NodeJS.ErrnoException) => error)
    return found instanceof Error ? found.code : `${found.dev} ${found.ino} ${found.size} ${found.mtimeNs}`
  }))
  return prints.join('|')
}

function iso (ms: number): string { return new Date(ms).toISOString() }
