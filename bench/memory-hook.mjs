/** Preloaded into a server: answers 'memory' on its channel, after garbage collection, as memoryOf() describes. */
import { readFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'

/** Collections until the heap no longer shrinks: finalizers and weak references need more than one. */
const COLLECTIONS_MAX = 8
const PAUSE_MS = 100

process.on('message', async () => {
  let before = Infinity
  for (let i = 0; i < COLLECTIONS_MAX; i++) {
    globalThis.gc()
    const { heapUsed } = process.memoryUsage()
    if (heapUsed > before * 0.999) break
    before = heapUsed
    await sleep(PAUSE_MS)
  }
  const { heapUsed, external } = process.memoryUsage()
  process.send({ heapBytes: heapUsed + external, rssBytes: resident('VmRSS'), rssAnonBytes: resident('RssAnon') })
})
process.channel?.unref()

function resident (name) {
  const status = readFileSync('/proc/self/status', 'utf8')
  return Number(new RegExp(`^${name}:\\s+(\\d+) kB`, 'm').exec(status)[1]) * 1024
}
