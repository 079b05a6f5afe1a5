/**
 * Vocabulary of the transport suite:
 * - an edge is a broker with every transport that it has, and an Auth that the test holds in its hand
 * - a visitor is a client of one transport: it is in rooms, hears texts and says texts
 */
import type { Test } from 'tap'
import type { Auth, Identity } from '../../broker/auth/auth.ts'
import type { Rights } from '../../broker/auth/rights.ts'
import type { Core } from '../../broker/core.ts'
import type { ClientId, Principal } from '../../broker/index.ts'

export interface Edge {
  readonly broker: Core
  readonly people: People
  readonly mqttUrl: string
  readonly url: string
  /** Everything is closed in its order. */
  close (): Promise<void>
}

export interface Who {
  /** Of the client, one on its own for each. */
  readonly name: string
  readonly token: string
}

export interface Visitor {
  /** What it heard, in order. */
  readonly got: readonly string[]
  /** Resolves when its connection is gone, whoever ended it. */
  readonly closed: Promise<void>
  /** Durably, as a kept session has it. */
  join (room: string): Promise<void>
  /** To a room. Resolves when the server has answered. */
  say (room: string, text: string): Promise<void>
  /** Brings a fresh token over the same connection; undefined where the protocol has no way to. */
  renew: ((token: string) => Promise<'ok' | 'error'>) | undefined
  /** Reads nothing more; undefined where that can't be had. */
  freeze: (() => void) | undefined
  /** The link breaks. */
  break (): void
}

export interface Transport {
  readonly name: string
  /** Of a client of this name. */
  sessionOf (name: string): ClientId
  /** Rejects where the client is refused. A client never comes back by itself. */
  enter (t: Test, edge: Edge, who: Who): Promise<Visitor>
}

export const SECRET = 'secret'

/** Whoever is known by a token, and what they may do; changes count at the next question, or with broker.refresh(). */
export class People implements Auth {
  readonly anonymous = false
  readonly tokens = new Map<string, string>()
  /** Milliseconds since 1970, by principal. */
  readonly expiry = new Map<string, number>()
  /** Who may not read what is called SECRET. */
  readonly kept = new Set<string>()
  /** Who may not subscribe to, or publish in, which room. */
  readonly barred = new Map<string, string>()

  add (principal: string, token = `token of ${principal}`): string {
    this.tokens.set(token, principal)
    return token
  }

  async authenticate ({ password }: { readonly password: Buffer | undefined }): Promise<Identity | undefined> {
    const principal = this.tokens.get(password?.toString() ?? '')
    return principal === undefined ? undefined : this.#identity(principal as Principal)
  }

  /** A new object each time: everything about them may have changed. */
  refresh ({ principal }: Identity): Identity | undefined {
    return [...this.tokens.values()].includes(principal) ? this.#identity(principal) : undefined
  }

  rightsOf (principal: Principal): Rights {
    const [isKept, barred] = [this.kept.has(principal), this.barred.get(principal)]
    const may = (topic: string): boolean => barred === undefined || !topic.includes(`/room/${barred}/`)
    return {
      mayPublish: (_clientId, topic) => may(topic),
      maySubscribe: (_clientId, filter) => may(filter),
      mayRead: isKept ? (_clientId, topic) => !topic.endsWith(`/${SECRET}`) : undefined
    }
  }

  #identity (principal: Principal): Identity {
    const expiresAt = this.expiry.get(principal)
    return { principal, groups: [], info: {}, expiresAt, rights: this.rightsOf(principal), by: 'test' }
  }
}

/** As the program says it: kept for whoever is in the room. */
export async function tell ({ broker }: Edge, room: string, text: string, event = 'news'): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    const publisher = { clientId: '$test' as ClientId, principal: '$test' as Principal }
    const payload = Buffer.from(JSON.stringify(text))
    broker.publish(publisher, { topic: `io/_/room/${room}/${event}`, payload, qos: 1, retain: false, id: '' },
      (error) => { if (error === undefined) resolve(); else reject(error) })
  })
}
