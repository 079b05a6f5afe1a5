/** The list `emit`: what an event of a client asks for. */
import { refuse, type Command } from '../translation/commands.ts'
import { encodeName, EnvelopeError, MESSAGE_ID_LENGTH_MAX, roomFilterAround } from '../../../protocol/index.ts'
import { encodeOwnEnvelope, type EncodedEnvelope } from '../translation/own-envelope.ts'
import { CLIENT_ID_MARK, NO_ECHO_MARK } from '../translation/translate.ts'
import type { Faults } from './faults.ts'
import { FillError, fillList, fillTopic, fillValue, nameOf, valueOf, type Source } from './fill.ts'
import { matchText, NOTHING_CAPTURED, type Captured } from './match.ts'
import { readEmitAnswer } from './outcome.ts'
import { writeValue } from './payload.ts'
import type { EmitAction, EmitContext, EmitRule, PayloadForm, PublishAction } from './rule.ts'

/** An event that a client emitted, as rules see it. */
export interface EmitEvent {
  readonly event: string
  readonly args: readonly unknown[]
  readonly namespace: string
  readonly clientId: string | undefined
  readonly principal: string
}

export interface EmitTools {
  readonly makeId: () => string
  readonly faults: Faults
}

/** Longer names of events match no rule. */
export const EVENT_LENGTH_MAX = 2_048

interface Candidate {
  readonly rule: EmitRule
  /** Its place in the list. */
  readonly order: number
  /** What the namespace gave. */
  readonly captured: Captured
}

/** The rules that hold in a namespace, so that few of them are looked at for an event. */
export class EmitRules {
  readonly #byName = new Map<string, Candidate[]>()
  readonly #patterns: Candidate[] = []
  readonly #tools: EmitTools

  constructor (rules: readonly EmitRule[], namespace: string, tools: EmitTools) {
    this.#tools = tools
    for (const [order, rule] of rules.entries()) {
      const captured = rule.namespace === undefined ? NOTHING_CAPTURED : matchText(rule.namespace, namespace)
      if (captured === undefined) continue
      const [only] = rule.event
      const candidate = { rule, order, captured }
      if (rule.event.length > 1 || typeof only !== 'string') this.#patterns.push(candidate)
      else this.#byName.set(only, [...this.#byName.get(only) ?? [], candidate])
    }
  }

  /** What the first rule that matches says; undefined where none does. Never throws. */
  command (emit: EmitEvent): Command | undefined {
    if (emit.event.length > EVENT_LENGTH_MAX) {
      return refuse('EVENT_INVALID', `the name of an event is longer than ${EVENT_LENGTH_MAX} characters`)
    }
    for (let after = -1; ;) {
      const found = this.#find(emit.event, after)
      if (found === undefined) return undefined
      const command = this.#carryOut(found.candidate.rule, new EmitSource(emit, found.captured))
      const { rule, order } = found.candidate
      if (command !== 'next') return rule.answer === 'error-first' ? { ...command, isErrorFirst: true } : command
      after = order
    }
  }

  #find (event: string, after: number): { readonly candidate: Candidate, readonly captured: Captured } | undefined {
    const named = this.#byName.get(event)?.find(({ order }) => order > after)
    for (const candidate of this.#patterns) {
      if (candidate.order <= after) continue
      if (named !== undefined && named.order < candidate.order) break
      const captured = matchText(candidate.rule.event, event)
      if (captured !== undefined) return { candidate, captured: both(candidate.captured, captured) }
    }
    return named && { candidate: named, captured: named.captured }
  }

  #carryOut ({ path, action }: EmitRule, source: EmitSource): Command | 'next' {
    try {
      return action.kind === 'run' ? this.#run(action.run, source) : this.#perform(action, source)
    } catch (error) {
      if (error instanceof FillError || error instanceof EnvelopeError) {
        return refuse('ARGUMENTS_INVALID', `${error.message} (rules.${path})`)
      }
      this.#tools.faults.report(path, error)
      return refuse('RULE_FAILED', `the rule for this event failed; the log of the server says why (rules.${path})`)
    }
  }

  #perform (action: Exclude<EmitAction, { kind: 'run' }>, source: EmitSource): Command {
    switch (action.kind) {
      case 'publish': return this.#publish(action, source)
      case 'subscribe':
      case 'unsubscribe':
        return { kind: action.kind, filters: action.filters.map(filter => fillTopic(filter, source)) }
      case 'list': {
        if (action.around === undefined) return { kind: 'list', ...roomFilterAround(source.emit.namespace) }
        const { before, after } = action.around
        return {
          kind: 'list',
          before: before.length === 0 ? '' : `${fillTopic(before, source)}/`,
          after: after.length === 0 ? '' : `/${fillTopic(after, source)}`
        }
      }
      case 'ignore': return { kind: 'ignored' }
      case 'refuse': return refuse('REFUSED', action.reason)
    }
  }

  #publish (action: PublishAction, source: EmitSource): Command {
    const { payload, args, qos, retain, echo } = action
    const topic = fillTopic(action.topic, source)
    const given = action.id && idOf(valueOf(action.id, source), nameOf(action.id))
    return this.#message({
      topic,
      payload,
      args: args === undefined ? source.args : fillList(args, source),
      value: payload === 'envelope' ? undefined : fillValue(action.value, source),
      qos,
      retain,
      echo,
      given
    })
  }

  #run (run: (context: EmitContext) => unknown, source: EmitSource): Command | 'next' {
    const { emit, captured } = source
    const answer = readEmitAnswer(run({ ...emit, captured, level: encodeName }))
    switch (answer.kind) {
      case 'publish': return this.#message({
        ...answer,
        args: answer.args ?? emit.args,
        value: answer.value === undefined ? emit.args[0] : answer.value,
        given: idOf(answer.id, 'id')
      })
      case 'subscribe':
      case 'unsubscribe': return answer
      case 'list': return { kind: 'list', ...roomFilterAround(emit.namespace) }
      case 'ignore': return { kind: 'ignored' }
      case 'refuse': return refuse('REFUSED', answer.reason)
      case 'next': return 'next'
    }
  }

  #message (message: {
    topic: string, payload: PayloadForm, args: readonly unknown[], value: unknown, qos: 0 | 1, retain: boolean,
    echo: boolean, given: string | undefined
  }): Command {
    const { topic, payload: form, args, value, qos, retain, echo, given } = message
    const id = given ?? this.#tools.makeId()
    const encoded: EncodedEnvelope = form === 'envelope'
      ? encodeOwnEnvelope({ id, args })
      : { payload: writeValue(form, value), encodings: undefined }
    return {
      kind: 'publish',
      topic,
      ...encoded,
      id: (echo ? '' : NO_ECHO_MARK) + (given === undefined ? id : CLIENT_ID_MARK + given),
      retryId: given,
      qos,
      retain
    }
  }
}

/** Where the client gave none, the message can't be recognised when it is sent again. */
function idOf (value: unknown, where: string): string | undefined {
  if (value === undefined || value === null || value === '') return undefined
  const id = typeof value === 'number' ? String(value) : value
  if (typeof id !== 'string') throw new FillError(`${where} must be a text or a number, as the id of the message`)
  if (id.length > MESSAGE_ID_LENGTH_MAX) {
    throw new FillError(`${where} is longer than ${MESSAGE_ID_LENGTH_MAX} characters, as the id of the message`)
  }
  return id
}

class EmitSource implements Source {
  readonly emit: EmitEvent
  readonly captured: Captured

  constructor (emit: EmitEvent, captured: Captured) {
    this.emit = emit
    this.captured = captured
  }

  get args (): readonly unknown[] {
    return this.emit.args
  }

  named (name: string): unknown {
    switch (name) {
      case 'namespace': return this.emit.namespace
      case 'clientId': return this.emit.clientId
      case 'principal': return this.emit.principal
      case 'event': return this.emit.event
      default: return this.captured[name]
    }
  }
}

export function both (first: Captured, second: Captured): Captured {
  if (first === NOTHING_CAPTURED) return second
  return second === NOTHING_CAPTURED ? first : Object.assign(Object.create(null) as Captured, first, second)
}
