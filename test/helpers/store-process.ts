/** A process with a store, to be killed. Runs the built code, which starts in a tenth of the time. */
import { spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'

const BUILT = new URL('../../dist/broker/store/embedded.js', import.meta.url)

/** `hold` says `open` or the code of the error, and stays. `append` also appends fives, and says each new tail. */
export type Task = 'hold' | 'append'

const PROGRAM = `
  import { createEmbeddedStore } from ${JSON.stringify(BUILT.href)}
  const [folder, task] = process.argv.slice(1)
  const payload = Buffer.from('payload')
  const message = { topic: 'a', payload, qos: 1, retain: false, publisher: 'p', principal: 'a', time: 1, id: '' }
  const store = createEmbeddedStore({ folder })
  try {
    await store.open()
    console.log('open')
    if (task === 'hold') setInterval(() => {}, 60_000)
    else for (;;) console.log(await store.append({ messages: Array(5).fill(message), changes: [], trim: [] }))
  } catch (error) {
    console.log(error.code ?? error)
  }
`

export interface StoreProcess {
  readonly child: ChildProcess
  /** The next line it says; undefined when it has ended. */
  line (): Promise<string | undefined>
  /** Resolves when it is gone. */
  kill (): Promise<void>
}

export function startStore (folder: string, task: Task): StoreProcess {
  if (!existsSync(BUILT)) throw new Error(`${fileURLToPath(BUILT)} is missing: run \`npm run build\` first`)
  // What tap gives to its children would compile TypeScript first.
  const { NODE_OPTIONS, ...env } = process.env
  const child = spawn(process.execPath, ['--input-type=module', '--eval', PROGRAM, folder, task], {
    env, stdio: ['ignore', 'pipe', 'inherit']
  })
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]()
  const gone = once(child, 'exit')
  return {
    child,
    line: async () => {
      const { value, done } = await lines.next()
      return done === true ? undefined : value
    },
    kill: async () => {
      child.kill('SIGKILL')
      await gone
    }
  }
}
