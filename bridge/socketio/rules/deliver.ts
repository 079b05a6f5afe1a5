/** The list `deliver`: what a message is to clients. */
import type { Clock, Message } from '../../../broker/index.ts'
import { type Envelope, EnvelopeError, settle } from '../../../protocol/index.ts'
import { IGNORED, isReservedEvent, repeatKeyOf, undeliverable, type SocketEvent } from '../translation/translate.ts'
import { both } from './emit.ts'
import type { Faults } from './faults.ts'
import { FillError, fillList, fillText, type Source } from './fill.ts'
import { matchText, matchTopic, NOTHING_CAPTURED, type Captured } from './match.ts'
import { readDeliverAnswer } from './outcome.ts'
import { readPayload } from './payload.ts'
import type { DeliverContext, DeliverRule, ProofLevel } from './rule.ts'

interface Candidate {
  readonly rule: DeliverRule
  readonly captured: Captured
  /** What every topic that matches begins with, so that most others are passed over at once. */
  readonly prefix: string
}

export class DeliverRules {
  readonly #candidates: readonly Candidate[]
  readonly #namespace: string
  readonly #faults: Faults
  readonly #wall: Clock['wall']

  constructor (rules: readonly DeliverRule[], namespace: string, faults: Faults, wall: Clock['wall']) {
    this.#namespace = namespace
    this.#faults = faults
    this.#wall = wall
    this.#candidates = rules.flatMap(rule => {
      const captured = rule.namespace === undefined ? NOTHING_CAPTURED : matchText(rule.namespace, namespace)
      return captured === undefined ? [] : [{ rule, captured, prefix: prefixOf(rule) }]
    })
  }

  /** What the first rule that matches says; undefined where none does. Never throws. */
  event (message: Message): SocketEvent | undefined {
    let levels: readonly string[] | undefined
    for (const { rule, captured: inNamespace, prefix } of this.#candidates) {
      if (!message.topic.startsWith(prefix)) continue
      const captured = matchTopic(rule.topic, levels ??= message.topic.split('/'))
      const event = captured && this.#carryOut(rule, message, both(inNamespace, captured))
      if (event !== undefined && event !== 'next') return event
    }
    return undefined
  }

  #carryOut ({ path, action }: DeliverRule, message: Message, captured: Captured): SocketEvent | 'next' {
    if (action.kind === 'ignore') return IGNORED
    const read = readPayload(action.payload, message.payload)
    if (read === undefined) return undeliverable(message, 'payload')
    try {
      if (action.kind === 'run') return this.#run(action.run, message, read, captured)
      const source = new DeliverSource(message, read.args, this.#namespace, captured, this.#wall(message.time))
      const args = action.args === undefined ? read.args : settle(fillList(action.args, source))
      return newEvent(message, fillText(action.event, source), args, action.proof, read)
    } catch (error) {
      if (!(error instanceof FillError) && !(error instanceof EnvelopeError)) this.#faults.report(path, error)
      return undeliverable(message, 'rule')
    }
  }

  #run (
    run: (context: DeliverContext) => unknown, message: Message, read: Envelope, captured: Captured
  ): SocketEvent | 'next' {
    const { topic, payload, publisher, principal, time, retain } = message
    const { args } = read
    const namespace = this.#namespace
    const answer = readDeliverAnswer(
      run({ topic, args, payload, namespace, publisher, principal, timeMs: this.#wall(time), retain, captured }), args)
    if (answer.kind !== 'event') return answer.kind === 'next' ? 'next' : IGNORED
    return newEvent(message, answer.event, answer.args === args ? args : settle(answer.args), answer.proof, read)
  }
}

function newEvent (
  message: Message, event: string, args: readonly unknown[], level: ProofLevel, { id }: Envelope
): SocketEvent {
  if (isReservedEvent(event)) return undeliverable(message, 'reserved-event')
  return { event, args, repeatKey: repeatKeyOf(message, id), level, ignored: false }
}

/** Up to the first wildcard. */
function prefixOf ({ topic }: DeliverRule): string {
  let prefix = ''
  for (const [index, level] of topic.entries()) {
    if (level.kind === 'rest') return prefix
    if (index > 0) prefix += '/'
    const [first] = level.pattern
    if (typeof first === 'string') prefix += first
    else if (first !== undefined) return prefix
    if (level.pattern.length > 1) return prefix
  }
  return prefix
}

class DeliverSource implements Source {
  readonly args: readonly unknown[]
  readonly #message: Message
  readonly #namespace: string
  readonly #captured: Captured
  readonly #timeMs: number

  constructor (message: Message, args: readonly unknown[], namespace: string, captured: Captured, timeMs: number) {
    this.args = args
    this.#message = message
    this.#namespace = namespace
    this.#captured = captured
    this.#timeMs = timeMs
  }

  named (name: string): unknown {
    switch (name) {
      case 'namespace': return this.#namespace
      case 'topic': return this.#message.topic
      case 'payload': return this.args[0]
      case 'publisher': return this.#message.publisher
      case 'principal': return this.#message.principal
      case 'timeMs': return this.#timeMs
      default: return this.#captured[name]
    }
  }
}
