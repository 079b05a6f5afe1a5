/** A program's own functions as an Auth. What they answer is looked at closely: types don't hold for every program. */
import type { JsonObject } from '../model/json.ts'
import type { ClientId, Principal } from '../model/message.ts'
import type { Auth, Credentials } from './auth.ts'
import type { Rights } from './rights.ts'

/** More than a name: what is left out is empty. */
export interface Person {
  readonly principal: string
  /** For rules. */
  readonly groups?: readonly string[] | undefined
  /** Claims, for the application. */
  readonly info?: JsonObject | undefined
  /** Milliseconds since 1970: the connection renews before, or is closed; its session is kept. */
  readonly expiresAt?: number | undefined
}

export interface ProgramAuth {
  /** True where everybody is let in; the server then refuses to listen beyond loopback unless told so explicitly. */
  readonly anonymous: boolean
  /**
   * Who this is: a name, or a person; undefined to refuse. The session is bound to the principal [G7]. null, false and
   * '' refuse too; anything else is a fault of the program: nobody comes in, and the log says so.
   */
  authenticate (credentials: Credentials): Promise<Principal | Person | undefined>
  mayPublish (principal: Principal, clientId: ClientId, topic: string): boolean | Promise<boolean>
  maySubscribe (principal: Principal, clientId: ClientId, filter: string): boolean | Promise<boolean>
  /**
   * Asked for each message before it is delivered, so it must be quick: true lets it through, anything else passes it
   * over. Left out: what may be subscribed to may be read.
   */
  mayRead? (principal: Principal, clientId: ClientId, topic: string): boolean
}

const NO_GROUPS: readonly string[] = []
const NO_INFO: JsonObject = {}

export function authOf (program: ProgramAuth): Auth {
  const rightsOf = (principal: Principal): Rights => new ProgramRights(program, principal)
  return {
    anonymous: program.anonymous,
    async authenticate (credentials) {
      const person = personOf(await program.authenticate(credentials))
      if (person === undefined) return undefined
      const { groups = NO_GROUPS, info = NO_INFO, expiresAt } = person
      const principal = person.principal as Principal
      return { principal, groups, info, expiresAt, rights: rightsOf(principal), by: 'program' }
    },
    rightsOf
  }
}

class ProgramRights implements Rights {
  readonly #program: ProgramAuth
  readonly #principal: Principal
  readonly mayRead: Rights['mayRead']

  constructor (program: ProgramAuth, principal: Principal) {
    this.#program = program
    this.#principal = principal
    if (program.mayRead !== undefined) {
      this.mayRead = (clientId, topic) => program.mayRead!(principal, clientId, topic)
    }
  }

  mayPublish (clientId: ClientId, topic: string): boolean | Promise<boolean> {
    return this.#program.mayPublish(this.#principal, clientId, topic)
  }

  maySubscribe (clientId: ClientId, filter: string): boolean | Promise<boolean> {
    return this.#program.maySubscribe(this.#principal, clientId, filter)
  }
}

/** What programs in JavaScript mean by a no is one; what can't be written down and compared later is a fault [G7]. */
function personOf (answer: unknown): Person | undefined {
  if (answer === undefined || answer === null || answer === false || answer === '') return undefined
  if (typeof answer === 'string') return { principal: textOf(answer) }
  if (typeof answer !== 'object') throw notMeant(`a value of type ${typeof answer}`)
  const { principal, groups, info, expiresAt } = answer as { readonly [key in keyof Person]: unknown }
  if (typeof principal !== 'string' || principal === '') throw notMeant('an object without a principal')
  if (groups !== undefined && !(Array.isArray(groups) && groups.every((group) => typeof group === 'string'))) {
    throw notMeant('an object whose groups are no list of texts')
  }
  if (info !== undefined && (typeof info !== 'object' || info === null || Array.isArray(info))) {
    throw notMeant('an object whose info is no object')
  }
  if (expiresAt !== undefined && !(typeof expiresAt === 'number' && Number.isFinite(expiresAt))) {
    throw notMeant('an object whose expiresAt is no number of milliseconds since 1970')
  }
  return { principal: textOf(principal), groups, info: info as JsonObject | undefined, expiresAt }
}

function textOf (text: string): string {
  if (Buffer.from(text).toString() !== text) throw notMeant('a text that is not Unicode')
  return text
}

function notMeant (answer: string): TypeError {
  return new TypeError('authenticate must resolve to a text that names the principal, to { principal, groups, info, ' +
    `expiresAt }, or to undefined to refuse; it resolved to ${answer}`)
}
