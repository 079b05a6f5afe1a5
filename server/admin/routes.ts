/** Administration: what a program can do with the server, over HTTP. docs/operating.md is its reference. */
import { isAbsolute } from 'node:path'
import type { QoS } from '../../broker/index.ts'
import type { Holdfast } from '../holdfast.ts'
import { HttpError } from '../http/http-error.ts'
import type { Call, Method, Reply, Route } from '../http/router.ts'
import { FLAG, MS, NAME, QOS, TEXT, TEXTS, fieldsOf, numberOf, wrong } from './fields.ts'
import { asideJson, sessionJson } from './shown.ts'

export interface Administered {
  /** Once it has started. */
  holdfast (): Holdfast
  readonly version: string
  /** Undefined where all is well. */
  notReady (): string | undefined
}

const PREFIX = '/admin/v1'
const PAGE_DEFAULT = 100
const PAGE_MAX = 1_000
const SKIP_MAX = 1e9
/** Sessions that are looked over before others have their turn [G8]. */
const TURN_SESSIONS = 100

type Answer = (call: Call) => Reply | Promise<Reply>

/** Of the commands of this machine alone: it names a folder of it. */
export function copyRoute (copyTo: (folder: string) => Promise<void>): Route {
  return {
    method: 'POST',
    path: `${PREFIX}/copy`,
    async answer ({ body }) {
      const folder = fieldsOf(body, { folder: NAME }).get('folder')
      if (typeof folder !== 'string' || !isAbsolute(folder)) throw wrong('folder is the whole path of an empty folder')
      await copyTo(folder)
      return ok({ copied: true })
    }
  }
}

export function adminRoutes (of: Administered): Route[] {
  const route = (method: Method, path: string, answer: Answer): Route => ({ method, path: PREFIX + path, answer })
  return [
    route('GET', '/stats', () => stats(of)),
    route('POST', '/publish', (call) => publish(of.holdfast(), call)),
    route('GET', '/sessions', (call) => list(of.holdfast(), call)),
    route('POST', '/sessions', (call) => add(of.holdfast(), call)),
    route('GET', '/sessions/:clientId', (call) => one(of.holdfast(), call)),
    route('DELETE', '/sessions/:clientId', (call) => end(of.holdfast(), call)),
    route('POST', '/sessions/:clientId/disconnect', (call) => disconnect(of.holdfast(), call)),
    route('GET', '/sessions/:clientId/aside', (call) => aside(of.holdfast(), call)),
    route('DELETE', '/sessions/:clientId/aside', (call) => dropAside(of.holdfast(), call)),
    route('DELETE', '/sessions/:clientId/aside/:id', (call) => dropAside(of.holdfast(), call)),
    route('POST', '/sessions/:clientId/aside/:id/publish', (call) => publishAside(of.holdfast(), call)),
    route('POST', '/reload', () => reload(of.holdfast()))
  ]
}

function ok (json: object): Reply { return { status: 200, json } }

function stats ({ holdfast, version, notReady }: Administered): Reply {
  const reason = notReady()
  return ok({
    version, ready: reason === undefined, ...reason !== undefined && { reason },
    uptimeSeconds: Math.floor(process.uptime()), ...holdfast().stats()
  })
}

async function publish (holdfast: Holdfast, { body }: Call): Promise<Reply> {
  const fields = fieldsOf(body, {
    topic: NAME, payload: TEXT, payloadBase64: TEXT, qos: QOS, retain: FLAG, id: NAME
  })
  const [text, base64] = [fields.get('payload'), fields.get('payloadBase64')] as Array<string | undefined>
  if (!fields.has('topic')) throw wrong('topic says where to publish')
  if ((text === undefined) === (base64 === undefined)) throw wrong('give payload, a text, or payloadBase64')
  const payload = text ?? Buffer.from(base64!, 'base64')
  const { topic, qos, retain, id } = Object.fromEntries(fields) as
    { topic: string, qos?: QoS, retain?: boolean, id?: string }
  return ok(await holdfast.publish({ topic, payload, qos, retain, id }))
}

/** What is wrong with a file is for an administrator to know. */
async function reload (holdfast: Holdfast): Promise<Reply> {
  try {
    await holdfast.reload()
  } catch (error) {
    throw new HttpError(422, 'RELOAD_FAILED', `${(error as Error).message}; what was there before stays in force`)
  }
  return ok({ reloaded: true })
}

async function list (holdfast: Holdfast, { query }: Call): Promise<Reply> {
  const skip = numberOf(query, 'skip', 0, SKIP_MAX)
  const limit = numberOf(query, 'limit', PAGE_DEFAULT, PAGE_MAX)
  const state = query.get('state') ?? undefined
  if (state !== undefined && state !== 'attached' && state !== 'detached') {
    throw wrong('state must be attached or detached')
  }
  const sessions: object[] = []
  let seen = 0
  let looked = 0
  for (const session of holdfast.sessions()) {
    if (++looked % TURN_SESSIONS === 0) await new Promise((resolve) => setImmediate(resolve))
    if (state !== undefined && session.attached !== (state === 'attached')) continue
    if (seen++ < skip) continue
    if (sessions.length === limit) return ok({ sessions, next: skip + limit })
    sessions.push(sessionJson(session))
  }
  return ok({ sessions, next: null })
}

async function add (holdfast: Holdfast, { body }: Call): Promise<Reply> {
  const fields = fieldsOf(body, {
    clientId: NAME, namespace: NAME, filters: TEXTS, principal: NAME, owner: NAME, expiryMs: MS
  })
  if (!fields.has('clientId')) throw wrong('clientId names the client, as it will by itself')
  const made = await holdfast.createSession(Object.fromEntries(fields) as { clientId: string })
  return { status: made ? 201 : 200, json: { created: made } }
}

async function one (holdfast: Holdfast, call: Call): Promise<Reply> {
  const session = holdfast.session(nameOf(call))
  if (session === undefined) throw noSession(call)
  return ok(sessionJson(session))
}

async function end (holdfast: Holdfast, call: Call): Promise<Reply> {
  if (!await holdfast.endSession(nameOf(call))) throw noSession(call)
  return ok({ ended: true })
}

/** A session without a connection is as it was asked for. */
function disconnect (holdfast: Holdfast, call: Call): Reply {
  const clientId = nameOf(call)
  if (holdfast.session(clientId) === undefined) throw noSession(call)
  return ok({ disconnected: holdfast.disconnect(clientId) })
}

async function aside (holdfast: Holdfast, call: Call): Promise<Reply> {
  const clientId = nameOf(call)
  if (holdfast.session(clientId) === undefined) throw noSession(call)
  const withPayload = call.query.get('payload') === '1'
  const messages: object[] = [] // setAsideMessagesMax at most
  for await (const message of holdfast.listSetAside(clientId)) messages.push(asideJson(message, withPayload))
  return ok({ aside: messages })
}

async function dropAside (holdfast: Holdfast, call: Call): Promise<Reply> {
  const id = call.params.get('id')
  const dropped = await holdfast.dropSetAside(nameOf(call), id)
  if (dropped === 0 && id !== undefined) throw noAside(call)
  return ok({ dropped })
}

/** Durable under its topic first, dropped then: it is never in neither place. */
async function publishAside (holdfast: Holdfast, call: Call): Promise<Reply> {
  const [clientId, id] = [nameOf(call), call.params.get('id')!]
  for await (const { id: found, message: { topic, payload, qos } } of holdfast.listSetAside(clientId)) {
    if (found !== id) continue
    const published = await holdfast.publish({ topic, payload, qos: qos === 0 ? 1 : qos })
    return ok({ ...published, dropped: await holdfast.dropSetAside(clientId, id) })
  }
  throw noAside(call)
}

function nameOf ({ params }: Call): string { return params.get('clientId')! }

function noSession (call: Call): HttpError {
  return new HttpError(404, 'NOT_FOUND', `there is no session ${JSON.stringify(nameOf(call))}; for Socket.IO its ` +
    'name is io:<namespace>:<client id>')
}

function noAside (call: Call): HttpError {
  return new HttpError(404, 'NOT_FOUND',
    `nothing is set aside under ${JSON.stringify(call.params.get('id'))} for ${JSON.stringify(nameOf(call))}`)
}
