/** A process with a store, to be killed. Runs the built code, which starts in a tenth of the time. */
import { spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'

const BUILT = new URL('../../dist/broker/store/embedded.js', import.meta.url)

/**
 * `hold` says `open` or the code of the error, and stays. `append` also appends fives, and says each new tail. `try`
 * appends a dozen single messages, with a record that holds its number, and says each tail or code, then what the
 * followers saw, what can be read, and the record. `large` appends batches of 5 MB until one is refused, and says each
 * new tail, `broken` where the store says so, and the code of each of three more.
 */
export type Task = 'hold' | 'append' | 'try' | 'large'

const PROGRAM = `
  import { createEmbeddedStore } from ${JSON.stringify(BUILT.href)}
  const [folder, task] = process.argv.slice(1)
  const payload = Buffer.from('payload')
  const message = { topic: 'a', payload, qos: 1, retain: false, publisher: 'p', principal: 'a', time: 1, id: '' }
  const store = createEmbeddedStore({ folder, broken: () => console.log('broken') })
  try {
    await store.open()
    console.log('open')
    if (task === 'hold') setInterval(() => {}, 60_000)
    if (task === 'try') await tryAll()
    if (task === 'large') await fill()
    const batch = { messages: Array(5).fill(message), changes: [], trim: [] }
    if (task === 'append') for (;;) console.log(await store.append(batch))
  } catch (error) {
    console.log(error.code ?? error)
  }

  async function fill () {
    const messages = Array(40).fill({ ...message, payload: Buffer.alloc(120_000, 7) })
    for (let refused = 0; refused < 3;) {
      const said = await store.append({ messages, changes: [], trim: [] }).catch(error => error.code)
      if (said === 'STORE_UNAVAILABLE') refused++
      console.log(said)
    }
  }

  async function tryAll () {
    const seen = []
    store.follow(entries => seen.push(...entries.map(entry => entry.offset)))
    for (let i = 0; i < 12; i++) {
      const changes = [{ table: 'meta', key: 'k', value: Buffer.from(String(i)), after: 1 }]
      console.log(await store.append({ messages: [message], changes, trim: [] }).catch(error => error.code))
    }
    console.log('seen', seen.join(' '))
    console.log('read', (await store.read(Array.from({ length: 20 }, (_, i) => i))).map(e => e.offset).join(' '))
    console.log('record', (await store.get('meta', 'k')).value.toString())
    await store.close()
  }
`

export interface StoreProcess {
  readonly child: ChildProcess
  /** The next line it says; undefined when it has ended. */
  line (): Promise<string | undefined>
  /** Resolves when it is gone. */
  kill (): Promise<void>
}

/** @param fault what strace shall inject, as in its option `inject=`; there is one thread then, so counts are exact */
export function startStore (folder: string, task: Task, fault?: string): StoreProcess {
  if (!existsSync(BUILT)) throw new Error(`${fileURLToPath(BUILT)} is missing: run \`npm run build\` first`)
  // What tap gives to its children would compile TypeScript first.
  const { NODE_OPTIONS, ...env } = process.env
  const program = [process.execPath, '--input-type=module', '--eval', PROGRAM, folder, task]
  if (fault !== undefined) {
    program.unshift('strace', '-f', '--quiet=all', '-o', '/dev/null', '-e', `inject=${fault}`)
    env.UV_THREADPOOL_SIZE = '1'
  }
  const child = spawn(program[0], program.slice(1), {
    env, stdio: ['ignore', 'pipe', fault === undefined ? 'inherit' : 'ignore'] // the engine tells of faults there
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
