/**
 * What one client asks for takes effect in the order in which it asked, though access control may take its time over
 * each of it [G3].
 */
import type { HoldfastError } from '../model/errors.ts'
import type { ClientId } from '../model/message.ts'

export class InOrder {
  /** Clients of whom something is being asked, and when the last of it is done. */
  readonly #turns = new Map<ClientId, Promise<void>>()

  /** Nothing of the client waits. */
  isFree (clientId: ClientId): boolean { return this.#turns.size === 0 || !this.#turns.has(clientId) }

  /**
   * Calls `then` or `refused`, once: at once where that is known at once and nothing of the client waits before it.
   * `then` must not throw. `refused` is told why there was no answer, if there was none.
   */
  run (clientId: ClientId, allowed: boolean | Promise<boolean>, then: () => void,
    refused: (error?: HoldfastError) => void): void {
    if (typeof allowed === 'boolean' && this.isFree(clientId)) {
      if (allowed) then()
      else refused()
      return
    }
    const turn = Promise.all([allowed, this.#turns.get(clientId)]).then(([isAllowed]) => {
      if (isAllowed) then()
      else refused()
    }, refused).finally(() => { if (this.#turns.get(clientId) === turn) this.#turns.delete(clientId) })
    this.#turns.set(clientId, turn)
  }
}
