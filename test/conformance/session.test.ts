import { cpSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import type { Test } from 'tap'
import { createEmbeddedStore } from '../../broker/store/embedded.ts'
import { createMemoryDisk, createMemoryStore } from '../../broker/store/memory.ts'
import { tempFolder } from '../helpers/temp.ts'
import { deliverySuite } from './session.ts'
import { setAsideSuite } from './session-set-aside.ts'
import { unansweredSuite } from './session-unanswered.ts'
import { boundsSuite } from './session-bounds.ts'
import { inboxesSuite } from './session-inboxes.ts'
import { lifeSuite } from './session-life.ts'
import { recoverySuite } from './session-recovery.ts'
import { repeatsSuite } from './session-repeats.ts'
import { retainedSuite } from './session-retained.ts'
import { sharedSuite } from './session-shared.ts'
import { turnsSuite } from './session-turns.ts'
import { windowSuite } from './session-window.ts'
import type { World } from './session-words.ts'

for (const [name, factory] of [['memory', memoryWorld], ['embedded', embeddedWorld]] as const) {
  deliverySuite(name, factory)
  lifeSuite(name, factory)
  boundsSuite(name, factory)
  recoverySuite(name, factory)
  retainedSuite(name, factory)
  windowSuite(name, factory)
  repeatsSuite(name, factory)
  setAsideSuite(name, factory)
  unansweredSuite(name, factory)
  turnsSuite(name, factory)
  sharedSuite(name, factory)
  inboxesSuite(name, factory)
}

/** What a process leaves behind that was killed is all that it had written. */
function memoryWorld (): World {
  let disk = createMemoryDisk()
  return {
    create: () => createMemoryStore(disk),
    crash: () => {
      const [now, before] = disk.notes
      disk = { ...disk, entries: new Map(disk.entries), records: copied(disk.records), notes: [[...now], [...before]] }
    }
  }
}

function copied (records: ReturnType<typeof createMemoryDisk>['records']): typeof records {
  return Object.fromEntries(Object.entries(records).map(([table, map]) => [table, new Map(map)])) as typeof records
}

/** A crash leaves the files as they are at that moment: a copy of them is what the next server finds. */
function embeddedWorld (t: Test): World {
  const base = tempFolder(t)
  let folder = join(base, '0')
  let crashes = 0
  return {
    create: () => createEmbeddedStore({ folder }),
    crash: () => {
      const next = join(base, String(++crashes))
      for (const file of readdirSync(folder).filter((name) => /^(data\.mdb|notes-.)$/.test(name))) {
        cpSync(join(folder, file), join(next, file))
      }
      folder = next
    }
  }
}
