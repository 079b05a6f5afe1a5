/** A promise that is resolved already, without the detour through the microtask queue: for the hot path. */
export class Resolved<T> implements PromiseLike<T> {
  readonly #value: T

  constructor (value: T) { this.#value = value }

  then<A = T, B = never> (onResolved?: ((value: T) => A | PromiseLike<A>) | null,
    _onBroken?: ((reason: unknown) => B | PromiseLike<B>) | null): PromiseLike<A | B> {
    if (onResolved == null) return this as unknown as PromiseLike<A>
    return new Resolved(onResolved(this.#value)) as unknown as PromiseLike<A>
  }
}
