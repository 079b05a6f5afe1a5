import t from 'tap'
import { createEmbeddedStore } from '../../broker/store/embedded.ts'
import { startStore } from '../helpers/store-process.ts'
import { headers } from './store-words.ts'

t.test('a killed process leaves all that was resolved, and of the next batch all or nothing [G1]', async t => {
  const folder = t.testdir()
  let tail = 0
  for (const appends of [1, 2, 7, 40]) {
    const server = startStore(folder, 'append')
    t.teardown(() => server.kill())
    t.equal(await server.line(), 'open')
    let resolved = tail
    for (let i = 0; i < appends; i++) resolved = Number(await server.line())
    await server.kill()

    const store = createEmbeddedStore({ folder })
    const recovery = await store.open()
    t.match(recovery, { clean: false, damaged: [] })
    t.ok(recovery.tail >= resolved, `${resolved} resolved, ${recovery.tail} there`)
    t.equal(recovery.tail % 5, 0, 'all or nothing')
    t.same((await headers(store)).map(h => h.offset), Array.from({ length: recovery.tail }, (_, i) => i + 1))
    tail = recovery.tail
    await store.close()
  }
})
