/**
 * The one router of what is answered over HTTP: a method and a path pattern, a bounded body, JSON in and out. What it
 * answers is kept by no cache. It knows nothing of what it serves: health, metrics, administration.
 */
import type { IncomingMessage, ServerResponse } from 'node:http'
import { HoldfastError } from '../../broker/index.ts'
import { answer, answerJson } from './answers.ts'
import { readJson } from './body.ts'
import { asHttpError, HttpError } from './http-error.ts'

export type Method = 'GET' | 'POST' | 'PUT' | 'DELETE'

export interface Call {
  /** What stands for the names in the pattern, decoded. */
  readonly params: ReadonlyMap<string, string>
  readonly query: URLSearchParams
  /** What the body says, as JSON; undefined where there is none. */
  readonly body: unknown
  readonly request: IncomingMessage
  /** For a route that answers by itself, and then returns nothing. */
  readonly response: ServerResponse
}

export type Reply =
  | { readonly status: number, readonly json: object, readonly headers?: Readonly<Record<string, string>> }
  | { readonly status: number, readonly text: string, readonly headers?: Readonly<Record<string, string>> }

export interface Route {
  readonly method: Method
  /** `/admin/v1/sessions/:clientId`: a name stands for one part, decoded by itself, so that %2F may be in it. */
  readonly path: string
  /** Asked before anything of the request is read; throws HttpError where whoever asks may not. */
  readonly admit?: ((request: IncomingMessage) => void) | undefined
  /** Throws HttpError, or HoldfastError, where it can't do what was asked. */
  answer (call: Call): Reply | undefined | Promise<Reply | undefined>
}

export interface RouterOptions {
  readonly routes: readonly Route[]
  /** A longer body is refused before it is read. */
  readonly bodyBytesMax: number
  /** Told of what is refused. */
  readonly refused?: ((request: IncomingMessage, error: HttpError) => void) | undefined
  /** Told of what has failed in a way that nobody foresaw. */
  readonly failed?: ((request: IncomingMessage, error: unknown) => void) | undefined
}

const UNFORESEEN = {
  status: 500,
  json: { error: { code: 'INTERNAL', message: 'this failed; the log of the server says more' } },
  headers: {}
}

interface Matched { readonly route: Route, readonly params: ReadonlyMap<string, string> }

export class Router {
  readonly #options: RouterOptions
  readonly #patterns: ReadonlyArray<{ readonly parts: readonly string[], readonly route: Route }>

  constructor (options: RouterOptions) {
    this.#options = options
    this.#patterns = options.routes.map((route) => ({ parts: route.path.split('/'), route }))
  }

  /** Whether a path is one of its own, by whatever method. */
  has (path: string): boolean { return this.#matching(path).length > 0 }

  /** Answers; the path must be one of its own, or what is answered is that there is nothing. */
  async handle (request: IncomingMessage, response: ServerResponse): Promise<void> {
    try {
      await this.#answer(request, response)
    } catch (cause) {
      const error = cause instanceof HoldfastError ? asHttpError(cause) : cause
      if (error instanceof HttpError) this.#options.refused?.(request, error)
      else this.#options.failed?.(request, error)
      const { status, json, headers } = error instanceof HttpError ? error.reply : UNFORESEEN
      // what was not read of a body would be taken for the next request
      send(response, { status, json, headers: { ...headers, ...!request.complete && { Connection: 'close' } } })
    }
  }

  async #answer (request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { path, query } = splitUrl(request)
    const found = this.#matching(path)
    if (found.length === 0) throw new HttpError(404, 'NOT_FOUND', `there is nothing at ${path.slice(0, 200)}`)
    found[0].route.admit?.(request)
    const method = request.method === 'HEAD' ? 'GET' : request.method
    const matched = found.find(({ route }) => route.method === method)
    if (matched === undefined) throw wrongMethod(path, found)
    const params = decoded(matched.params)
    const body = method === 'GET' ? undefined : await readJson(request, this.#options.bodyBytesMax)
    const reply = await matched.route.answer({ params, query, body, request, response })
    if (reply !== undefined) send(response, reply)
  }

  #matching (path: string): Matched[] {
    const given = path.split('/')
    return this.#patterns.flatMap(({ parts, route }) => {
      const params = match(parts, given)
      return params === undefined ? [] : [{ route, params }]
    })
  }
}

/** The path, and what is behind the question mark. */
export function splitUrl ({ url = '/' }: IncomingMessage): { readonly path: string, readonly query: URLSearchParams } {
  const at = url.indexOf('?')
  if (at < 0) return { path: url, query: new URLSearchParams() }
  return { path: url.slice(0, at), query: new URLSearchParams(url.slice(at)) }
}

function match (parts: readonly string[], given: readonly string[]): Map<string, string> | undefined {
  if (parts.length !== given.length) return undefined
  const params = new Map<string, string>()
  for (const [i, part] of parts.entries()) {
    if (part.startsWith(':') && given[i] !== '') params.set(part.slice(1), given[i])
    else if (part !== given[i]) return undefined
  }
  return params
}

function decoded (params: ReadonlyMap<string, string>): Map<string, string> {
  try {
    return new Map([...params].map(([name, value]) => [name, decodeURIComponent(value)]))
  } catch {
    throw new HttpError(400, 'PATH_INVALID', 'a part of the path is not percent-encoded UTF-8')
  }
}

function wrongMethod (path: string, found: readonly Matched[]): HttpError {
  const methods = [...new Set(found.flatMap(({ route }) => route.method === 'GET' ? ['GET', 'HEAD'] : [route.method]))]
  const says = methods.join() === 'GET,HEAD' ? `${path} can only be read` : `${path} takes ${methods.join(', ')}`
  return new HttpError(405, 'METHOD_NOT_ALLOWED', says, { Allow: methods.join(', ') })
}

function send (response: ServerResponse, reply: Reply): void {
  if (response.headersSent) { // it had begun to answer by itself: what is missing must show
    response.destroy()
  } else if ('json' in reply) answerJson(response, reply.status, reply.json, reply.headers)
  else answer(response, reply.status, reply.text, reply.headers)
}
