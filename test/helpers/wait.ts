/**
 * Waiting with a bound: a test that would hang says what it was waiting for. The bound is far above what a slow machine
 * takes, pauses of seconds included; nothing is proven by it.
 */

export const WAIT_MS_MAX = 60_000

/** Resolves as `promise` does; rejects naming `what` after `ms`. */
export async function within<T> (promise: Promise<T>, what: string, ms = WAIT_MS_MAX): Promise<T> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => reject(new Error(`waited ${ms} ms for ${what}`)), ms)
  })
  try {
    return await Promise.race([promise, late])
  } finally {
    clearTimeout(timer)
  }
}

/** Asks again until the answer is true; for what can only be asked, such as another process. */
export async function until (
  ask: () => boolean | Promise<boolean>, what: string, ms = WAIT_MS_MAX, everyMs = 20
): Promise<void> {
  const end = Date.now() + ms
  while (!await ask()) {
    if (Date.now() > end) throw new Error(`waited ${ms} ms for ${what}`)
    await new Promise(resolve => setTimeout(resolve, everyMs))
  }
}

/** Lets time pass where time itself is what the test is about (a load that runs for a while, a cut at a moment). */
export function pause (ms: number): Promise<void> {
  return new Promise(resolve => setTimeout(resolve, ms))
}
