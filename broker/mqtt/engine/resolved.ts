/** A promise that has already been kept, without the detour through the microtask queue: for the hot path. */
export class Kept<T> implements PromiseLike<T> {
  readonly #value: T

  constructor (value: T) { this.#value = value }

  then<A = T, B = never> (onKept?: ((value: T) => A | PromiseLike<A>) | null,
    _onBroken?: ((reason: unknown) => B | PromiseLike<B>) | null): PromiseLike<A | B> {
    if (onKept == null) return this as unknown as PromiseLike<A>
    return new Kept(onKept(this.#value)) as unknown as PromiseLike<A>
  }
}
