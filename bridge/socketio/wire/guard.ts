/**
 * Browsers and proxies silently send a long-polling request again when its connection broke before the first byte of
 * the response. Engine.IO would answer a repeated GET with the NEXT packets, so that a message is lost and yet counted
 * as received, and would run a repeated POST twice.
 *
 * A repeated request has the `t` of the one before it; a new one never has. Where the first copy was answered, the
 * repeated one gets the same answer again, and Engine.IO never sees it: nothing is taken, nothing runs, and nothing is
 * proven by it. Anything doubtful (the first copy waits for its answer or is being read, its answer was too large to
 * keep, both copies came over one connection) is refused and the Engine.IO connection closed: the client connects again
 * and gets what was not proven [G2].
 *
 * `t` is not in the protocol, and many clients in other languages send none. A poll without it waits until the answer
 * to the one before is proven otherwise (lock-step.ts, pong-step.ts). A POST without it is taken for a new one, but
 * where the client can't have had the answer to the one before.
 */
import type { ServerResponse } from 'node:http'
import type { Logger, Refusals } from '../../../broker/index.ts'
import { queryOf, type EngineRequest, type EngineServer, type EngineSocket } from './engine.ts'
import type { Inlets } from './inlets.ts'
import type { PollStep } from './poll-step.ts'
import { whoOf } from './refused-requests.ts'

/** A browser tries again twice at most; one `t` for ever would be the same events for ever. */
export const REPEATS_MAX = 2
/** Requests of one method whose late copies are still recognised. */
export const OLDER_REQUESTS_MAX = 16
export const T_CHARS_MAX = 64

const LONG_T = `long polling: the query parameter t is longer than ${T_CHARS_MAX} characters`
/** No client goes on before it has its answer; each of those would hold as much as may be written [G6]. */
const EARLY = 'a request came before the answer to the one before it was taken'
const OVERLAP = 'a second poll came while one without t waited'
const STALE = 'an older copy of a request that was answered long ago'

export interface GuardOptions {
  readonly engine: EngineServer
  readonly inlets: Inlets
  readonly log: Logger
  readonly refusals: Refusals
  /** What is kept of a connection, until its next request; 0 keeps nothing. */
  readonly answerBytesMax: number
  stepOf (connection: EngineSocket): PollStep | undefined
}

export function guardPolling ({ engine, inlets, log, refusals, answerBytesMax, stepOf }: GuardOptions): void {
  const seen = new WeakMap<EngineSocket, Record<'GET' | 'POST', Requests>>()

  engine.use((request, response, next) => {
    const { method } = request
    const { t } = queryOf(request)
    const connection = pollingConnection(engine, request)
    if (connection === undefined || (method !== 'GET' && method !== 'POST')) return next()
    let requests = seen.get(connection)
    if (requests === undefined) {
      seen.set(connection, requests = { GET: new Requests(), POST: new Requests() })
      connection.on('upgrade', () => seen.delete(connection)) // an idle WebSocket keeps no answer
    }
    const step = method === 'GET' ? stepOf(connection) : undefined
    const verdict = wrong(t) ?? (step?.isHolding === true ? OVERLAP : requests[method].judge(t, request))
    const whenTaken = (then: () => void): void => {
      const inlet = method === 'POST' ? inlets.of(connection) : undefined
      if (inlet === undefined) then()
      else inlet.whenTaken(then)
    }
    if (verdict === 'new') {
      const { end } = response
      if (method === 'POST') { // no client sends more before it has its answer
        response.end = ((...args: unknown[]) => {
          whenTaken(() => Reflect.apply(end, response, args))
          return response
        }) as typeof end
      }
      requests[method].answer = new Answer(response, answerBytesMax)
      if (step === undefined) return next()
      return step.polled({
        isUntimed: t === undefined, pass: next, answer: packet => answer(response, packet, connection.protocol)
      }, connection.upgrading)
    }
    const fields = { connection: connection.id, method }
    if (verdict === 'again') {
      log.debug(fields, 'long polling: a request was sent again by a browser or proxy; it gets the same answer')
      return whenTaken(() => requests[method].answer?.giveAgain(response))
    }
    refuse(response, verdict)
    if (verdict === STALE) return log.debug(fields, `long polling: ${verdict}; it is refused`)
    refusals.note({
      kind: 'requests',
      who: whoOf(request),
      about: { ...fields, reason: verdict },
      sameAs: verdict,
      what: 'a request of long polling was refused, and its connection closed',
      toDo: 'the client connects anew by itself; if it goes on so, update it, or look at what stands between'
    })
    connection.close(true)
  })
}

/** The requests of one method on one connection: the last one, its answer, and those before it. */
class Requests {
  answer: Answer | undefined
  #t: string | undefined
  #bytes: string | undefined
  #port: number | undefined
  #repeats = 0
  readonly #older: string[] = []

  /** 'new', 'again' (answer as before), or why it is refused. */
  judge (t: string | undefined, request: EngineRequest): string {
    const isRepeated = t === undefined ? this.answer?.isLost === true : true
    if (t === this.#t && isRepeated) return this.#judgeRepeated(request)
    if (t !== undefined && this.#older.includes(t)) return STALE // it may not take what belongs to the next request
    if (this.answer?.isStuck === true) return EARLY
    if (this.#t !== undefined && this.#older.push(this.#t) > OLDER_REQUESTS_MAX) this.#older.shift()
    this.#t = t
    this.#bytes = request.headers['content-length']
    this.#port = request.socket.remotePort
    this.#repeats = 0
    return 'new'
  }

  #judgeRepeated (request: EngineRequest): string {
    this.#repeats++
    const doubt = this.#doubt(request)
    return doubt === undefined ? 'again' : `this request was already received, ${doubt}`
  }

  #doubt (request: EngineRequest): string | undefined {
    // Its connection broke: that is why a request is repeated. Otherwise it is a client whose `t` is no use.
    if (request.socket.remotePort === this.#port) return 'over the same connection'
    if (request.headers['content-length'] !== this.#bytes) return 'with another length'
    if (this.#repeats > REPEATS_MAX) return `${REPEATS_MAX} times before`
    if (this.answer?.whole !== true) return 'and its answer is not at hand'
    return undefined
  }
}

/** What a request is answered with, noted while it is written. */
class Answer {
  #head: readonly unknown[] = []
  #body: Array<string | Uint8Array> = []
  #bytes = 0
  #ended = false
  #response: ServerResponse
  readonly #bytesMax: number

  constructor (response: ServerResponse, bytesMax: number) {
    this.#bytesMax = bytesMax
    this.#response = response
    const { writeHead, write, end } = response
    response.writeHead = ((...args: unknown[]) => {
      this.#head = args
      return Reflect.apply(writeHead, response, args)
    }) as typeof writeHead
    response.write = ((...args: unknown[]) => {
      this.#take(args[0])
      return Reflect.apply(write, response, args)
    }) as typeof write
    response.end = ((...args: unknown[]) => {
      this.#take(args[0])
      this.#ended = true
      return Reflect.apply(end, response, args)
    }) as typeof end
  }

  /** The system has not yet taken all of it from this process. */
  get isStuck (): boolean {
    const { writableFinished, destroyed } = this.#response
    return this.#ended && !writableFinished && !destroyed
  }

  /** Its connection broke before the system had taken all of it: the client can't have it. */
  get isLost (): boolean {
    const { writableFinished, destroyed } = this.#response
    return destroyed && !writableFinished
  }

  /** It was handed to its connection, all of it, and was kept. */
  get whole (): boolean {
    return this.#ended && this.#bytes <= this.#bytesMax
  }

  /** Status, headers and body as before; content that was compressed stays as it was. */
  giveAgain (response: ServerResponse): void {
    this.#response = response
    Reflect.apply(response.writeHead, response, this.#head)
    for (const chunk of this.#body) response.write(chunk)
    response.end()
  }

  #take (chunk: unknown): void {
    if (typeof chunk !== 'string' && !(chunk instanceof Uint8Array)) return
    this.#bytes += typeof chunk === 'string' ? Buffer.byteLength(chunk) : chunk.length
    if (this.#bytes > this.#bytesMax) this.#body = []
    else this.#body.push(chunk)
  }
}

function pollingConnection (engine: EngineServer, request: EngineRequest): EngineSocket | undefined {
  const query = queryOf(request)
  if (query.transport !== 'polling' || query.sid === undefined) return undefined
  return Object.hasOwn(engine.clients, query.sid) ? engine.clients[query.sid] : undefined
}

/** What is wrong whatever came before. */
function wrong (t: string | undefined): string | undefined {
  return t !== undefined && t.length > T_CHARS_MAX ? LONG_T : undefined
}

/** As Engine.IO does. */
function answer (response: ServerResponse, packet: string, protocol: 3 | 4): void {
  response.writeHead(200, { 'content-type': 'text/plain; charset=UTF-8', 'cache-control': 'no-store' })
  response.end(protocol === 4 ? packet : `${packet.length}:${packet}`)
}

function refuse (response: ServerResponse, message: string): void {
  response.writeHead(400, { 'content-type': 'application/json' })
  response.end(JSON.stringify({ code: 3, message }))
}
