import { cpSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Test } from 'tap'
import { createEmbeddedStore } from '../../broker/store/embedded.ts'
import type { Store } from '../../broker/store/store.ts'
import { suite } from './store.ts'
import type { StoreWorld } from './store-words.ts'

suite('embedded', t => world(t, 'this disk has room'))

/** A crash leaves the files as they are at that moment: a copy of them is what the next server finds. */
function world (t: Test, fail: StoreWorld['fail']): StoreWorld {
  const base = mkdtempSync(join(tmpdir(), 'holdfast-store-'))
  const left: Store[] = []
  let folder = join(base, 'data-0')
  let crashes = 0
  t.teardown(async () => {
    for (const store of left) await store.close()
    rmSync(base, { recursive: true, force: true })
  })
  return {
    create: () => createEmbeddedStore({ folder }),
    crash: async store => {
      left.push(store)
      const next = join(base, `data-${++crashes}`)
      cpSync(join(folder, 'data.mdb'), join(next, 'data.mdb'))
      folder = next
    },
    fail
  }
}
