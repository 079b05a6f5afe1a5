/** `holdfast sessions`: what a data folder says of its sessions, whether a server runs on it or not. Writes nothing. */
import { resolve } from 'node:path'
import { topicEvent } from '../protocol/index.ts'
import {
  type InspectedSessions, inspectSessions, isShared, type SessionInfo, type SetAsideMessage
} from '../broker/index.ts'
import { StoreInspector } from '../broker/store/inspect.ts'
import { type CommandLine, loadConfig } from '../config/load.ts'
import { didYouMean } from '../config/suggest.ts'
import { bytes, count, duration } from '../config/units.ts'
import { FailedError, UsageError } from './usage.ts'

interface Asked {
  /** Flags and switches that are options of the configuration. */
  readonly args: readonly string[]
  readonly client: string | undefined
  readonly isJson: boolean
  readonly withPayload: boolean
}

interface Inspected {
  readonly store: StoreInspector
  readonly all: InspectedSessions
  readonly nowMs: number
}

/**
 * What to print on standard output.
 * @throws ConfigError, UsageError, FailedError, HoldfastError DATA_MISSING, DATA_NEWER or DATA_DAMAGED
 */
export async function sessions (line: CommandLine, nowMs: number): Promise<string> {
  const asked = readAsked(line.args)
  const { config } = loadConfig({ ...line, args: asked.args })
  const store = await StoreInspector.open(resolve(config.data))
  try {
    const inspected = { store, all: await inspectSessions(store), nowMs }
    const { sessions } = inspected.all
    if (asked.client === undefined) return asked.isJson ? json(header(inspected), sessions) : list(inspected)
    const session = find(sessions, asked.client)
    const setAside: SetAsideMessage[] = []
    for await (const one of inspected.all.listSetAside(session.clientId)) setAside.push(one)
    return asked.isJson
      ? json(header(inspected), [session], setAside.map((one) => plain(one, asked.withPayload)))
      : details(inspected, session, setAside, asked.withPayload)
  } finally {
    store.close()
  }
}

function readAsked (args: readonly string[]): Asked {
  const rest: string[] = []
  let client: string | undefined
  let isJson = false
  let withPayload = false
  for (let i = 0; i < args.length; i++) {
    if (args[i] === '--json') isJson = true
    else if (args[i] === '--payload') withPayload = true
    else if (args[i] === '--client' || args[i].startsWith('--client=')) {
      const value = args[i] === '--client' ? args[++i] : args[i].slice('--client='.length)
      if (value === undefined || value === '') throw new UsageError('sessions: --client needs the name of a session')
      client = value
    } else rest.push(args[i])
  }
  if (withPayload && client === undefined) throw new UsageError('sessions: --payload needs --client')
  return { args: rest, client, isJson, withPayload }
}

function find (all: readonly SessionInfo[], clientId: string): SessionInfo {
  const session = all.find((one) => one.clientId === clientId)
  if (session !== undefined) return session
  const inside = all.map((one) => one.clientId as string).filter((one) => one.endsWith(`:${clientId}`)).slice(0, 3)
  const hint = inside.length > 0
    ? `; for Socket.IO the namespace belongs to it: ${inside.map(shown).join(', ')}`
    : didYouMean(clientId, all.map((one) => one.clientId))
  throw new FailedError(`there is no session ${shown(clientId)}${hint}`)
}

// --- for people

function list (inspected: Inspected): string {
  const { all: { sessions } } = inspected
  if (sessions.length === 0) return [...heading(inspected), 'No session is kept.', ''].join('\n')
  const rows = sessions.map((session) => [
    shown(session.clientId), shown(session.principal), state(session, inspected), count(session.filters.length),
    count(session.backlogMessages), bytes(session.backlogBytes), count(session.inflightMessages),
    count(session.setAsideMessages)
  ])
  const head = ['CLIENT ID', 'PRINCIPAL', 'STATE', 'FILTERS', 'BACKLOG', 'BYTES', 'IN FLIGHT', 'SET ASIDE']
  return [...heading(inspected), ...table([head, ...rows], 3), ''].join('\n')
}

function details (
  inspected: Inspected, session: SessionInfo, setAside: readonly SetAsideMessage[], withPayload: boolean
): string {
  const { backlogMessages, backlogBytes, inflightMessages, expiryMs } = session
  return [
    ...heading(inspected),
    `${shown(session.clientId)}, made by ${shown(session.principal)}`,
    `  ${state(session, inspected)}; it ends ` +
      (isShared(session.clientId) ? 'with its last member' : `when it was detached for ${duration(expiryMs)}`),
    `  waiting: ${messages(backlogMessages)} (${bytes(backlogBytes)}); in flight: ${messages(inflightMessages)}`,
    '',
    session.filters.length === 0 ? 'No filters' : 'Filters',
    ...table(session.filters.map(({ filter, qos }) => ['  ' + shown(filter), `QoS ${qos}`]), 2),
    '',
    setAside.length === 0 ? 'Nothing is set aside.' : 'Set aside, the oldest first',
    ...setAside.flatMap((one) => setAsideLines(one, withPayload)),
    ''
  ].join('\n')
}

function setAsideLines (one: SetAsideMessage, withPayload: boolean): string[] {
  const { message: { topic, payload, time, publisher } } = one
  const event = eventOf(topic)
  return [
    `  ${one.id}  ${shown(topic)}${event === undefined ? '' : ` (event ${shown(event)})`}`,
    `    ${bytes(payload.length)}, published ${moment(time)} by ${shown(publisher)}, ` +
      `set aside ${moment(one.setAsideAt)} after ${count(one.attempts)} attempts`,
    ...withPayload ? [`    ${asText(payload) ?? `base64 ${payload.toString('base64')}`}`] : []
  ]
}

function heading ({ store, all: { sessions, aliveAt } }: Inspected): string[] {
  const attached = sessions.filter((one) => one.attached).length
  const server = store.pid !== undefined
    ? `process ${store.pid} runs on it`
    : `no server runs on it${aliveAt === undefined ? '' : `; the last one did on ${moment(aliveAt)}`}`
  return [
    `${store.folder}: ${server}.`,
    `${count(sessions.length)} ${sessions.length === 1 ? 'session' : 'sessions'}, ${count(attached)} attached` +
      `${store.pid === undefined && attached > 0 ? ' when their server was killed' : ''}.`,
    ''
  ]
}

/** What the records can tell: a session whose server was killed had no time to say that it is detached. */
function state ({ attached, detachedAt }: SessionInfo, { store, nowMs }: Inspected): string {
  if (attached) return store.pid === undefined ? 'was attached' : 'attached'
  if (detachedAt === undefined) return 'detached'
  return `detached for ${duration(Math.max(0, secondsOnly(nowMs - detachedAt)))}`
}

function secondsOnly (ms: number): number { return ms < 1_000 ? ms : ms - ms % 1_000 }

function messages (number: number): string { return `${count(number)} ${number === 1 ? 'message' : 'messages'}` }

function moment (ms: number): string { return new Date(ms).toISOString().replace(/\.\d+Z$/, 'Z') }

/** @param texts so many columns at the left are texts, the others numbers */
function table (rows: ReadonlyArray<readonly string[]>, texts: number): string[] {
  const widths = rows[0]?.map((_, column) => Math.max(...rows.map((row) => row[column].length))) ?? []
  return rows.map((row) => row.map((cell, column) =>
    column < texts ? cell.padEnd(widths[column]) : cell.padStart(widths[column])).join('  ').trimEnd())
}

/** As it is, or quoted where it would do something to a terminal or hide in it. */
function shown (text: string): string {
  return /^[\p{L}\p{N}\p{P}\p{S}]+$/u.test(text) ? text : JSON.stringify(text).replace(/[\u007f-\u{10ffff}]/gu, escaped)
}

function escaped (char: string): string {
  return /[\p{L}\p{N}\p{P}\p{S} ]/u.test(char) ? char : `\\u{${char.codePointAt(0)!.toString(16)}}`
}

// --- for programs

function header ({ store, all, nowMs }: Inspected): object {
  return { folder: store.folder, pid: store.pid ?? null, at: iso(nowMs), aliveAt: iso(all.aliveAt), epoch: store.epoch }
}

function json (header: object, sessions: readonly SessionInfo[], setAside?: readonly object[]): string {
  const all = sessions.map(({ clean: _, ...one }) => ({ ...one, detachedAt: iso(one.detachedAt) }))
  return JSON.stringify({ ...header, sessions: all, ...setAside && { setAside } }, null, 2) + '\n'
}

function plain (one: SetAsideMessage, withPayload: boolean): object {
  const { id, offset, attempts, setAsideAt, message: { topic, payload, time, publisher, principal, retain } } = one
  const text = asText(payload)
  return {
    id, offset, attempts, setAsideAt: iso(setAsideAt), topic, event: eventOf(topic) ?? null, bytes: payload.length,
    time: iso(time), publisher, principal, retain,
    ...withPayload && (text === undefined ? { payloadBase64: payload.toString('base64') } : { payload: text })
  }
}

function iso (ms: number | undefined): string | null { return ms === undefined ? null : new Date(ms).toISOString() }

/** The Socket.IO event of a topic in the bridge's own form; undefined for any other. */
function eventOf (topic: string): string | undefined {
  return topic.startsWith('io/') ? topicEvent(topic) : undefined
}

/** Printable UTF-8; undefined for what is none. */
function asText (payload: Buffer): string | undefined {
  try {
    const text = new TextDecoder('utf-8', { fatal: true }).decode(payload)
    return /[\p{Cc}\p{Cf}]/u.test(text.replaceAll(/[\t\n\r]/g, '')) ? undefined : text
  } catch {
    return undefined
  }
}
