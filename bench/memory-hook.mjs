/** Preloaded into a server: answers 'memory' on its channel, once it has settled, as memoryOf() describes. */
import { readFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'

/** After a collection V8 gives pages back to the system bit by bit, over seconds. */
const LOOK_MS = 500
const LOOKS_MAX = 40
/** It has settled when so many looks in a row found it no smaller. */
const STEADY_LOOKS = 4

process.on('message', async () => {
  let least = Infinity
  for (let looks = 0, steady = 0; looks < LOOKS_MAX && steady < STEADY_LOOKS; looks++) {
    globalThis.gc()
    await sleep(LOOK_MS)
    const now = resident('RssAnon')
    steady = now < least * 0.995 ? 0 : steady + 1
    least = Math.min(least, now)
  }
  const { heapUsed, external } = process.memoryUsage()
  process.send({ heapBytes: heapUsed + external, rssBytes: resident('VmRSS'), rssAnonBytes: resident('RssAnon') })
})
process.channel?.unref()

function resident (name) {
  const status = readFileSync('/proc/self/status', 'utf8')
  return Number(new RegExp(`^${name}:\\s+(\\d+) kB`, 'm').exec(status)[1]) * 1024
}
