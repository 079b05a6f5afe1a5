/** Waits for a count to be reached, and gives up on a server that has stopped making progress. */

const STALL_MS_MAX = 15_000
const LOOK_MS = 500

export class Progress {
  count = 0
  #marks = []

  add (n) {
    this.count += n
    while (this.#marks.length > 0 && this.count >= this.#marks[0].count) this.#marks.shift().resolve(performance.now())
  }

  /** Resolves to the time at which the count was reached, nothing had moved for long, or `msMax` had passed. */
  async reaches (count, msMax = Infinity) {
    if (this.count >= count) return performance.now()
    return await new Promise((resolve) => {
      let last = this.count
      let lastAt = performance.now()
      const giveUpAt = lastAt + msMax
      const timer = setInterval(() => {
        const now = performance.now()
        if (now > giveUpAt) finish(now)
        else if (this.count !== last) {
          last = this.count
          lastAt = now
        } else if (now - lastAt > STALL_MS_MAX) finish(lastAt)
      }, LOOK_MS)
      const mark = { count, resolve: finish }
      this.#marks.push(mark)
      this.#marks.sort((a, b) => a.count - b.count)
      function finish (time) {
        clearInterval(timer)
        resolve(time)
      }
    })
  }
}

/** Runs `work` for 0 to count - 1, at most `atOnce` at a time. */
export async function inParallel (count, atOnce, work) {
  let next = 0
  async function worker () {
    while (next < count) await work(next++)
  }
  await Promise.all(Array.from({ length: Math.min(atOnce, count) }, worker))
}
