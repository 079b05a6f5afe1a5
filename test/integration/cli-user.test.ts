/** `holdfast user`: the users file as a person at the terminal sees it. */
import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import { tempFolder } from '../helpers/temp.ts'

const ROOT = fileURLToPath(new URL('../..', import.meta.url))
const COMMAND = `${process.env['HOLDFAST_TEST_DIST'] ?? `${ROOT}dist`}/bin/holdfast.js`

function run (args: readonly string[], stdin = ''): { code: number | null, out: string, err: string } {
  const { status, stdout, stderr } = spawnSync(process.execPath, [COMMAND, 'user', ...args],
    { input: stdin, encoding: 'utf8', env: { PATH: process.env['PATH'] } })
  return { code: status, out: stdout, err: stderr }
}

/** On a terminal: what it showed. */
function onTerminal (lines: readonly string[], args: readonly string[]): { code: number | null, shown: string } {
  const { status, stdout } = spawnSync('python3',
    [join(ROOT, 'test/helpers/terminal.py'), lines.join(','), process.execPath, COMMAND, 'user', ...args],
    { encoding: 'utf8', env: { PATH: process.env['PATH'] } })
  return { code: status, shown: stdout }
}

t.test('at a terminal the password is asked for twice, and not shown', async t => {
  const file = join(tempFolder(t), 'users')
  const added = onTerminal(['tops3cret', 'tops3cret'], ['add', 'u1', '--users-file', file])
  t.match(added, { code: 0, shown: /Password of u1: [^]*The same again: / })
  t.notMatch(added.shown, /tops3cret/)
  t.match(run(['check', 'u1', '--password-stdin', '--users-file', file], 'tops3cret'), { code: 0 })
  const before = readFileSync(file, 'utf8')
  t.match(onTerminal(['one', 'two'], ['add', 'u1', '--users-file', file]),
    { code: 64, shown: /the two passwords differ/ })
  t.equal(readFileSync(file, 'utf8'), before)
})
