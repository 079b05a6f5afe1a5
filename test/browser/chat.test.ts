import t from 'tap'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { chooseSeed } from '../helpers/random.ts'
import { tempFolder } from '../helpers/temp.ts'
import { within } from '../helpers/wait.ts'
import type { Counted } from '../proof/tell.ts'
import { startChromium } from './chromium.ts'

const PROOF = fileURLToPath(new URL('../proof/run.mjs', import.meta.url))
const SECONDS = 5

t.test('the chat of "get started", as it is for version 2 and for version 4, goes through Holdfast', async t => {
  const script = fileURLToPath(new URL('../../examples/chat/chat.mjs', import.meta.url))
  const child = spawn(process.execPath, [script, '0', tempFolder(t)], { stdio: ['ignore', 'pipe', 'inherit'] })
  t.teardown(() => child.kill('SIGKILL'))
  const [line] = await within(once(createInterface({ input: child.stdout }), 'line') as Promise<[string]>, 'the chat')
  const url = /^chat ready (\S+) /.exec(line)![1]
  const { profile } = await startChromium(t)
  const pages = await Promise.all(['v2', 'v4'].map(async version => {
    const page = await profile.newPage()
    await page.goto(`${url}/${version}`)
    await page.waitForFunction('socket.connected')
    return page
  }))
  for (const [index, page] of pages.entries()) {
    await page.fill('#input', `from page ${index}`)
    await page.press('#input', 'Enter')
    for (const each of pages) await each.getByText(`from page ${index}`).waitFor()
  }
  t.pass('both pages show what both said')
})

t.test('chat pages, Node clients of each version and mosquitto share one conversation, and nothing is lost ' +
  'while links are cut and the server is killed [G2] [G3]', async t => {
  const file = join(tempFolder(t, 'conversation'), 'counted.json')
  const seed = chooseSeed()
  t.comment(`seed ${seed}`)
  // in a process of its own: a client can end one by a fault of its own
  const child = spawn(process.execPath,
    [PROOF, '--only', 'conversation', '--seconds', String(SECONDS), '--seed', String(seed), '--json', file],
    { stdio: ['ignore', 'ignore', 'inherit'] })
  t.teardown(() => child.kill('SIGKILL'))
  await once(child, 'close')
  const { rows, cuts, kills, problems } = (JSON.parse(readFileSync(file, 'utf8')) as Counted).conversation!
  t.same(problems, [])
  for (const row of rows) t.same(row.problems, [], row.kind)
  const sum = (of: 'said' | 'lost'): number => rows.reduce((total, row) => total + row[of], 0)
  t.ok(sum('said') > rows.length, `${sum('said')} messages`)
  t.ok(cuts > rows.length && kills > 0, `${cuts} cuts, ${kills} kills`)
  t.equal(rows.filter(({ kind }) => kind.includes('Chromium')).length, 2)
  t.comment(`${rows.length} participants, ${sum('said')} messages, ${sum('lost')} lost, ${cuts} cuts, ${kills} kills`)
})
