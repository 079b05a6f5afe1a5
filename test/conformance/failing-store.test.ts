/** A disk that fails while it writes, as strace makes it fail. */
import { spawnSync } from 'node:child_process'
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
