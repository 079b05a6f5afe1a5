/** Which emits of a program's own Socket.IO server go by the log, where the program wants to say so itself. */
import type { Tally } from './tally.ts'

/** An emit to a namespace or to rooms that could be kept for who is away. */
export interface ProgramEmit {
  /** As clients know it: '/', '/chat'. */
  readonly namespace: string
  readonly event: string
  /** As text; none where it goes to the whole namespace. */
  readonly rooms: readonly string[]
}

/** False: to those who are connected alone, as with Socket.IO. */
export type Durable = (emit: ProgramEmit) => boolean

/** In doubt it is kept. Nothing throws: an emit may hold what a client sent, whose exception it would be. */
export function isDurable (durable: Durable, emit: ProgramEmit, tally: Tally): boolean {
  try {
    const answer: unknown = durable(emit)
    if (typeof answer === 'boolean') return answer
    throw new TypeError(`it must return true or false, at once, and returned ${kindOf(answer)}`)
  } catch (error) {
    const { namespace, event } = emit
    tally.note('undecided', { err: error, namespace, event: event.slice(0, EVENT_CHARS_MAX) },
      'the option durable did not say whether an emit is to be kept, so it was; correct that function')
    return true
  }
}

const EVENT_CHARS_MAX = 80

function kindOf (answer: unknown): string {
  return answer instanceof Promise ? 'a promise' : answer === null ? 'null' : typeof answer
}
