/** One server for a data folder, whatever happens to the others. */
import { execFileSync } from 'node:child_process'
import { chmodSync, mkdirSync, readdirSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import type { Test } from 'tap'
import { createEmbeddedStore } from '../../broker/store/embedded.ts'
import { smallDisk } from '../helpers/full-disk.ts'
import { startStore } from '../helpers/store-process.ts'
import type { StoreProcess } from '../helpers/store-process.ts'

t.test('a folder in use is refused, naming it and the process', async t => {
  const folder = t.testdir()
  const store = createEmbeddedStore({ folder })
  await store.open()
  const message = new RegExp(`${folder} belongs to process ${process.pid}\\.`)
  await t.rejects(createEmbeddedStore({ folder }).open(), { code: 'DATA_LOCKED', message })
  await store.close()
  const next = createEmbeddedStore({ folder })
  t.match(await next.open(), { clean: true }, 'free after close')
  await next.close()
  t.same(readdirSync(folder).filter(file => !file.endsWith('.mdb')), [], 'nothing is left of the locks')
})

t.test('the folder is free at once after the server was killed, and only then', async t => {
  const folder = t.testdir()
  const other = start(t, folder)
  t.equal(await other.line(), 'open')
  const message = new RegExp(`process ${other.child.pid}`)
  await t.rejects(createEmbeddedStore({ folder }).open(), { code: 'DATA_LOCKED', message })
  other.child.kill('SIGSTOP')
  await t.rejects(createEmbeddedStore({ folder }).open(), { code: 'DATA_LOCKED' }, 'a frozen server keeps it')
  await other.kill()
  const store = createEmbeddedStore({ folder })
  t.match(await store.open(), { clean: false })
  await store.close()
})

t.test('of many servers that start at once over a dead one exactly one gets the folder', async t => {
  const folder = t.testdir()
  for (let round = 0; round < 3; round++) {
    const servers = Array.from({ length: 4 }, () => start(t, folder))
    const said = await Promise.all(servers.map(server => server.line()))
    t.same(said.toSorted(), ['DATA_LOCKED', 'DATA_LOCKED', 'DATA_LOCKED', 'open'], `round ${round}`)
    await Promise.all(servers.map(server => server.kill()))
  }
})

t.test('within one process, too, of many attempts exactly one succeeds', async t => {
  const folder = t.testdir()
  const won: number[] = []
  for (let round = 0; round < 20; round++) {
    const stores = Array.from({ length: 8 }, () => createEmbeddedStore({ folder }))
    const results = await Promise.allSettled(stores.map(store => store.open()))
    const winners = stores.filter((_, i) => results[i].status === 'fulfilled')
    won.push(winners.length)
    await Promise.all(winners.map(store => store.close()))
  }
  t.same(won, Array(20).fill(1))
})

t.test('the path of the folder may be longer than the address of a socket', async t => {
  const folder = join(t.testdir(), 'deep'.repeat(30), 'deeper'.repeat(30))
  const store = createEmbeddedStore({ folder })
  await store.open()
  await t.rejects(createEmbeddedStore({ folder }).open(), { code: 'DATA_LOCKED' })
  await store.close()
})

t.test('a folder that is made is for its owner alone, and one that is there keeps its mode', async t => {
  const base = t.testdir()
  const mode = (folder: string): number => statSync(folder).mode & 0o777
  const made = createEmbeddedStore({ folder: join(base, 'deep', 'data') })
  await made.open()
  await made.close()
  t.equal(mode(join(base, 'deep', 'data')), 0o700)
  t.equal(mode(join(base, 'deep')), 0o777 & ~process.umask(), 'folders above it are the user\'s affair')
  const given = join(base, 'given')
  mkdirSync(given)
  chmodSync(given, 0o750)
  const store = createEmbeddedStore({ folder: given })
  await store.open()
  await store.close()
  t.equal(mode(given), 0o750)
})

t.test('a folder that can not be made or written is refused with the reason', async t => {
  const base = t.testdir({ file: 'not a folder' })
  for (const folder of [join(base, 'file'), join(base, 'file', 'data')]) {
    await t.rejects(createEmbeddedStore({ folder }).open(), { code: 'DATA_NOT_WRITABLE', message: /E(EXIST|NOTDIR)/ })
  }
  mkdirSync(join(base, 'odd', 'data.mdb'), { recursive: true })
  const odd = createEmbeddedStore({ folder: join(base, 'odd') })
  await t.rejects(odd.open(), { code: 'DATA_NOT_WRITABLE', message: /odd/ })
})

t.test('a folder on a file system that is read-only or full is refused with the reason', async t => {
  const disk = smallDisk(t, 1)
  if (typeof disk === 'string') return t.pass('needs a file system of its own', { skip: disk })
  writeFileSync(join(disk.folder, 'x'), '')
  execFileSync('mount', ['-o', 'remount,ro', disk.folder])
  const open = (folder: string): Promise<unknown> => createEmbeddedStore({ folder }).open()
  const deep = join(disk.folder, 'deep', 'data')
  for (const folder of [disk.folder, deep]) {
    await t.rejects(open(folder), { code: 'DATA_NOT_WRITABLE', message: /EROFS: read-only/ })
  }
  execFileSync('mount', ['-o', 'remount,rw', disk.folder])
  mkdirSync(deep, { recursive: true })
  disk.fill(true)
  await t.rejects(open(deep), { code: 'DATA_NOT_WRITABLE', message: /ENOSPC/ })
})

function start (t: Test, folder: string): StoreProcess {
  const server = startStore(folder, 'hold')
  t.teardown(() => server.kill())
  return server
}
