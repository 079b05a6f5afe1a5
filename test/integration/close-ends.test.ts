/** What close() leaves behind must not keep a program's process. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import { tempFolder } from '../helpers/temp.ts'
import { within } from '../helpers/wait.ts'

const BUILT = new URL('../../dist/index.js', import.meta.url)

/** A client of long polling is between two polls when it closes. The timer keeps nothing: it speaks if others do. */
const PROGRAM = `
  const { createHoldfast } = await import(process.argv[1])
  const holdfast = await createHoldfast({ data: process.argv[2], mqttPort: 0, httpPort: 0, logLevel: 'silent' })
  const url = 'http://127.0.0.1:' + holdfast.addresses.http.port + '/socket.io/?EIO=4&transport=polling'
  const { sid } = JSON.parse((await (await fetch(url + '&t=1')).text()).slice(1))
  await (await fetch(url + '&t=2&sid=' + sid, { method: 'POST', body: '40' })).text()
  console.log(holdfast.stats().connections.socketio + ' connection')
  await holdfast.close()
  console.log('closed')
  setTimeout(() => console.log('and still there'), 2_000).unref()
`

t.test('a process ends when it has closed, also with a client between two polls', async t => {
  const { NODE_OPTIONS, ...env } = process.env // what tap gives to its children
  const child = spawn(process.execPath, ['--input-type=module', '-e', PROGRAM, BUILT.href, tempFolder(t)],
    { cwd: fileURLToPath(new URL('../..', import.meta.url)), env, stdio: ['ignore', 'pipe', 'inherit'] })
  t.teardown(() => child.kill('SIGKILL'))
  let said = ''
  child.stdout.on('data', (data: Buffer) => { said += data.toString() })
  await within(once(child, 'close'), 'its end')
  t.equal(said, '1 connection\nclosed\n')
})
