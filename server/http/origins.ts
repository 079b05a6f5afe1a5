/**
 * Which pages may connect. A browser lets every page open a WebSocket to every address, this machine's too, and tells
 * the origin of the page; whoever serves must look at it (RFC 6455, 10.2). Other programs can claim any origin or none:
 * they are kept out by the address that is listened on and by authentication, not here.
 */
import { type IncomingHttpHeaders, type IncomingMessage, ServerResponse } from 'node:http'
import { isIP } from 'node:net'
import type { OriginGate } from '../../bridge/socketio/index.ts'
import type { Refusals } from '../../broker/index.ts'
import { isLoopback } from '../../config/loopback.ts'
import { shown } from '../../config/shown.ts'
import { answer, refuseUpgrade } from './answers.ts'

export interface OriginRules {
  /** Origins as browsers send them, `loopback`, `same-host`, `null` or `*`. */
  readonly allowed: readonly string[]
  /** True where nobody has to say who he is. */
  readonly anonymous: boolean
}

/** Answers a page that may not connect with 403 and one sentence, and says so in the log. */
export function createOriginGate (rules: OriginRules, refusals: Refusals): OriginGate {
  function tell ({ headers: { origin = 'none', host }, socket: { remoteAddress } }: IncomingMessage): void {
    refusals.note({
      kind: 'origins',
      who: { remoteAddress },
      about: { origin, host },
      sameAs: origin,
      what: 'a page was refused, as its origin is not one of allowedOrigins',
      toDo: 'add the origin to allowedOrigins if it is yours'
    })
  }

  return {
    allows: ({ headers }, isOpenedByGet) => mayConnect(headers, rules, isOpenedByGet),
    refuse (request, to) {
      tell(request)
      const says = sentence(request.headers)
      if (to instanceof ServerResponse) answer(to, 403, says)
      else refuseUpgrade(to, '403 Forbidden', says)
    }
  }
}

/** `isOpenedByGet`: a GET is all it takes to open a connection and to read from it (long polling of version 2). */
export function mayConnect (
  headers: IncomingHttpHeaders, { allowed, anonymous }: OriginRules, isOpenedByGet = false
): boolean {
  const { origin, host } = headers
  if (allowed.includes('*')) return true
  if (origin === undefined) {
    // it is no page, or an element as <script> whose site a browser tells in this header at least, or the GET of a page
    // to the host that it came from
    if (headers['sec-fetch-site'] === 'cross-site') return false
    return !isOpenedByGet || !anonymous || isKnownHost(host, allowed)
  }
  if (allowed.includes(origin)) return true
  const from = hostOf(origin)
  if (from === undefined) return false
  if (allowed.includes('loopback') && isLoopback(from)) return true
  // a name can be pointed at this machine by whoever owns it (DNS rebinding): such a page has the host it asks for,
  // so that the host proves nothing unless it is an address, or unless the page must say who it is besides
  if (!allowed.includes('same-host') || (anonymous && isIP(from) === 0)) return false
  return host !== undefined && from === hostOf(`http://${host}`)
}

/** A host that no page of somebody else can have: not just a name, which its owner can point at this machine. */
function isKnownHost (host: string | undefined, allowed: readonly string[]): boolean {
  const name = host === undefined ? undefined : hostOf(`http://${host}`)
  if (name === undefined) return host === undefined
  return isLoopback(name) || isIP(name) !== 0 || allowed.some(origin => hostOf(origin) === name)
}

/** In lower case, without brackets or port; undefined where there is none. */
function hostOf (url: string): string | undefined {
  if (!URL.canParse(url)) return undefined
  const { hostname } = new URL(url)
  return hostname === '' ? undefined : hostname.replace(/^\[|\]$/g, '')
}

function sentence ({ origin, host, 'sec-fetch-site': site }: IncomingHttpHeaders): string {
  if (origin === undefined && site !== 'cross-site') {
    return `A client of version 2 may not begin with polling under the host ${shown(host)} while access is ` +
      'anonymous: a page of anybody who points that name here would look the same. If it should, add the origin of ' +
      'that host, like http://app.example.com, to allowedOrigins (--allowed-origins).\n'
  }
  return origin === undefined
    ? 'A page of another site, which does not tell its origin, may not connect; allowedOrigins (--allowed-origins) ' +
      'lets it with * alone.\n'
    : `A page of the origin ${shown(origin)} may not connect; if it should, add that origin to allowedOrigins ` +
      '(--allowed-origins).\n'
}
