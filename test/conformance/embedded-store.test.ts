import { cpSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Test } from 'tap'
import { createEmbeddedStore } from '../../broker/store/embedded.ts'
import type { Store } from '../../broker/store/store.ts'
import { smallDisk } from '../helpers/full-disk.ts'
import { suite } from './store.ts'
import type { StoreWorld } from './store-words.ts'

suite('embedded', t => {
  const disk = smallDisk(t, 48)
  return typeof disk === 'string' ? { ...embedded(t), fail: disk } : { ...embedded(t, disk.folder), fail: disk.fill }
})

/** A crash leaves the files as they are at that moment: a copy of them is what the next server finds. */
function embedded (t: Test, disk?: string): StoreWorld {
  const base = mkdtempSync(join(tmpdir(), 'holdfast-store-'))
  const stores: Store[] = []
  let folder = join(disk ?? base, 'data-0')
  let crashes = 0
  t.teardown(async () => {
    for (const store of stores) await store.close()
    rmSync(base, { recursive: true, force: true })
  })
  return {
    create: () => {
      const store = createEmbeddedStore({ folder })
      stores.push(store)
      return store
    },
    crash: async () => {
      const next = join(base, `data-${++crashes}`)
      cpSync(join(folder, 'data.mdb'), join(next, 'data.mdb'))
      folder = next
    },
    fail: 'this disk has room'
  }
}
