import { cpSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import type { Test } from 'tap'
import { createEmbeddedStore } from '../../broker/store/embedded.ts'
import { tempFolder } from '../helpers/temp.ts'
import { sessionSuites } from './session-suites.ts'
import type { World } from './session-words.ts'

sessionSuites('embedded', embeddedWorld)

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
