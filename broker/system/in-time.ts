import type { Clock } from './clock.ts'

/** As the answer, unless it takes longer than `ms`: then what `late` makes, and the answer is ignored. */
export function inTime<T> (clock: Clock, ms: number, answer: T | PromiseLike<T>, late: () => Error): Promise<T> {
  return new Promise((resolve, reject) => {
    const cancel = clock.after(ms, () => reject(late()))
    Promise.resolve(answer).finally(cancel).then(resolve, reject)
  })
}
