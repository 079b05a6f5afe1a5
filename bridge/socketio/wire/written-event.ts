import type { SocketEvent } from '../translation/translate.ts'

/**
 * An event that was encoded once. Decoded arguments can take thirty times the memory of their bytes, and nobody counts
 * them: so they are not kept beside them, but are taken from what was written [G6].
 */
export class WrittenEvent implements SocketEvent {
  readonly event: string
  readonly repeatKey: string | undefined
  readonly level: SocketEvent['level']
  readonly ignored: boolean
  readonly #args: Buffer | (() => readonly unknown[])

  constructor ({ event, repeatKey, level, ignored }: SocketEvent, args: Buffer | (() => readonly unknown[])) {
    this.event = event
    this.repeatKey = repeatKey
    this.level = level
    this.ignored = ignored
    this.#args = args
  }

  get json (): Buffer | undefined { return Buffer.isBuffer(this.#args) ? this.#args : undefined }

  get args (): readonly unknown[] {
    const args = this.#args
    return Buffer.isBuffer(args) ? JSON.parse(`[${args.toString('utf8', 1, args.length - 1)}]`) as unknown[] : args()
  }
}

const QUOTE = 0x22
const BACKSLASH = 0x5c

/** Of a list in JSON, as JSON.stringify writes it: its last element if that is a text, null if not; none if empty. */
export function endOf (json: Buffer): readonly unknown[] {
  const end = json.length - 2
  if (end < 1) return []
  if (json[end] !== QUOTE) return [null]
  let start = json.lastIndexOf(QUOTE, end - 1)
  while (isEscaped(json, start)) start = json.lastIndexOf(QUOTE, start - 1)
  return [JSON.parse(json.toString('utf8', start, end + 1))]
}

function isEscaped (json: Buffer, at: number): boolean {
  let first = at
  while (json[first - 1] === BACKSLASH) first--
  return (at - first) % 2 === 1
}
