/** Somebody as the rules see them. */
import { clientNameOf } from '../../../protocol/index.ts'
import type { Known } from '../identity.ts'
import type { Hole } from './rule.ts'
import { type HoleValue, NO_VALUE, holeValue } from './template.ts'

/** Name of the authenticator that lets in who shows nothing (Known.by). */
export const BY_ANONYMOUS = 'anonymous'

export class Subject {
  readonly principal: string
  readonly groups: readonly string[]
  readonly isAnonymous: boolean
  readonly #principal: HoleValue
  #clientId: string | undefined
  #client = NO_VALUE

  constructor ({ principal, groups, by }: Pick<Known, 'principal' | 'groups' | 'by'>) {
    this.principal = principal
    this.groups = groups
    this.isAnonymous = by === BY_ANONYMOUS
    // nobody's name: it would be the inbox of all who have none
    this.#principal = this.isAnonymous ? NO_VALUE : holeValue(principal)
  }

  /** From now on it is asked for this session. */
  with (clientId: string): this {
    if (clientId !== this.#clientId) {
      this.#clientId = clientId
      const name = clientNameOf(clientId)
      this.#client = name === undefined ? NO_VALUE : holeValue(name)
    }
    return this
  }

  /** What stands for a hole. */
  readonly value = ({ name }: Hole): HoleValue =>
    name === 'principal' ? this.#principal : name === 'clientId' ? this.#client : NO_VALUE
}
