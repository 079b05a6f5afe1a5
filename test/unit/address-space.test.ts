/** What LMDB may map: it ends the process where there is no room for it, so it is asked for before. */
import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { promisify } from 'node:util'
import t from 'tap'
import { freeOf, largestFreeBytes, mapBytes } from '../../broker/store/address-space.ts'
import { Engine } from '../../broker/store/engine.ts'

const GIB = 2 ** 30
/** More than there is room for, at the size that the first of them gets. */
const ENVIRONMENTS = 150
const BUILT = new URL('../../dist/broker/store/embedded.js', import.meta.url)
const UNLIMITED = 'Max address space         unlimited            unlimited            bytes     \n'

t.test('a log gets much address space while there is much, less later, and an error in place of a crash', async t => {
  t.equal(mapBytes(2 ** 47, 0), 2 ** 40)
  t.equal(mapBytes(2 ** 39, 0), 2 ** 36, 'where addresses have 39 bits')
  t.equal(mapBytes(40 * GIB, 0), 2 ** 33)
  t.equal(mapBytes(16 * GIB, 0), 2 ** 33)
  t.equal(mapBytes(2 ** 39, 2 ** 37), 2 ** 37, 'what there is already fits')
  t.equal(mapBytes(2 ** 47, 2 ** 37), 2 ** 40)
  t.throws(() => mapBytes(15 * GIB, 0), { code: 'MEMORY_FULL', message: /needs 16 GiB.*has 15 GiB left.*ulimit -v/ })
  t.throws(() => mapBytes(2 ** 37, 2 ** 37), { code: 'MEMORY_FULL', message: /needs 256 GiB/ })
})

t.test('what is free is the longest gap between mappings, within the limit of the process', async t => {
  const maps = [
    '00400000-00600000 r--p 00000000 fe:00 1 /usr/bin/node',
    '100000000-200000000 rw-p 00000000 00:00 0',
    '7f0000000000-7f0000001000 r--p 00000000 fe:00 2 /lib/x.so',
    '7ffd6366c000-7ffd6368d000 rw-p 00000000 00:00 0 [stack]',
    'ffffffffff600000-ffffffffff601000 --xp 00000000 00:00 0 [vsyscall]', ''
  ].join('\n')
  t.equal(freeOf(maps, UNLIMITED), 0x7f0000000000 - 0x200000000)
  t.equal(freeOf(maps, UNLIMITED.replace('unlimited  ', '8589934592 ')),
    8 * GIB - (0x200000 + 0x100000000 + 0x1000 + 0x21000))
  t.ok(largestFreeBytes() >= 16 * GIB, 'here')
})

t.test('more logs than fit at full size are open in one process, and each takes what is written', async t => {
  const folder = t.testdir(Object.fromEntries(Array.from({ length: ENVIRONMENTS }, (_, i) => [String(i), {}])))
  const engines: Engine[] = []
  t.teardown(async () => { for (const engine of engines) await engine.close() })
  for (let i = 0; i < ENVIRONMENTS; i++) engines.push(await Engine.open(join(folder, String(i))))
  const key = Buffer.from('key')
  const last = engines.at(-1)!
  await last.commit([{ key, value: Buffer.from('value') }], true)
  t.same(last.get(key), Buffer.from('value'))
})

t.test('under a limit of address space a log opens if it can, and says what to do if it can\'t', async t => {
  const program = `
    import { createEmbeddedStore } from ${JSON.stringify(BUILT.href)}
    const store = createEmbeddedStore({ folder: process.argv[1] })
    await store.open().then(() => console.log('open'), error => console.log(error.code, error.message))
    await store.close().catch(() => {})`
  for (const [kibibytes, says] of [[40_000_000, /^open\n$/], [12_000_000, /^MEMORY_FULL .*ulimit -v/]] as const) {
    const { stdout } = await promisify(execFile)('sh', ['-c', 'ulimit -v "$1"; shift; exec "$@"', 'sh',
      String(kibibytes), process.execPath, '--input-type=module', '-e', program, t.testdir()])
    t.match(stdout, says)
  }
})
