/** A disk that fails while it writes, as strace makes it fail. */
import { spawnSync } from 'node:child_process'
import { once } from 'node:events'
import t from 'tap'
import { createEmbeddedStore } from '../../broker/store/embedded.ts'
import { startStore } from '../helpers/store-process.ts'
import { headers } from './store-words.ts'

const SKIP = spawnSync('strace', ['-V']).status === 0 ? {} : { skip: 'needs strace' }

// Pages are written where room was taken before, so that this fails only here (broker/store/reserve.ts).
const FAULTS = [
  'fdatasync:error=EIO:when=4..6', // the sync before the head is written
  'fdatasync:error=ENOSPC:when=2+3', // what a network file system may say as late as that
  'pwrite64:error=EIO:when=3', // the head: after that LMDB refuses all writes until it is opened anew
  'pwrite64:error=EIO:when=3..4'
]

for (const fault of FAULTS) {
  t.test(`a write that fails costs its batch alone: ${fault} [G1]`, SKIP, async t => {
    const folder = t.testdir()
    const server = startStore(folder, 'try', fault)
    t.teardown(() => server.kill())
    t.equal(await server.line(), 'open')
    const said: string[] = []
    for (let i = 0; i < 12; i++) said.push(await server.line() ?? 'it ended')

    const tails = said.filter(word => word !== 'STORE_UNAVAILABLE')
    t.ok(tails.length < 12, `${12 - tails.length} appends failed`)
    t.not(said.at(-1), 'STORE_UNAVAILABLE', 'it has recovered by itself')
    const offsets = Array.from({ length: tails.length }, (_, i) => i + 1)
    t.same(tails, offsets.map(String), 'offsets of failed appends are given again')
    t.equal(await server.line(), `seen ${offsets.join(' ')}`)
    t.equal(await server.line(), `read ${offsets.join(' ')}`)
    t.equal(await server.line(), `record ${said.findLastIndex(word => word !== 'STORE_UNAVAILABLE')}`)
    t.equal(await server.line(), undefined)

    const store = createEmbeddedStore({ folder })
    t.match(await store.open(), { tail: tails.length, damaged: [] })
    t.same((await headers(store)).map(h => h.offset), offsets)
    await store.close()
  })
}

/** Where LMDB can't write pages it prints into a buffer that is too short. What that does is not certain. */
t.test('a write of pages that fails may end the process, and loses nothing [G1] [G2]', SKIP, async t => {
  const folder = t.testdir()
  const server = startStore(folder, 'large', 'writev:error=EIO:when=4')
  const ended = once(server.child, 'exit')
  t.equal(await server.line(), 'open')
  const said: string[] = []
  for (let line = await server.line(); line !== undefined; line = await server.line()) said.push(line)
  const [code, signal] = await ended
  const receipts = said.filter(line => /^\d+$/.test(line)).map(Number)
  const rest = said.slice(receipts.length)
  t.ok(receipts.length >= 2, `${receipts.length} batches had a receipt`)
  if (rest.length === 0) t.ok(signal === 'SIGABRT' || code === 134, `it aborted: ${signal} ${code}`)
  else t.same([...new Set(rest)], ['broken', 'STORE_UNAVAILABLE'], 'nothing more is written')

  const store = createEmbeddedStore({ folder })
  const { tail, damaged } = await store.open()
  t.ok(tail >= receipts.at(-1)!, `${tail} of ${receipts.at(-1)}`)
  t.same(damaged, [])
  t.same((await headers(store)).map(h => h.offset), Array.from({ length: tail }, (_, i) => i + 1))
  await store.close()
})
