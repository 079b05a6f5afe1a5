import { createMemoryDisk, createMemoryStore } from '../../broker/store/memory.ts'
import { sessionSuites } from './session-suites.ts'
import type { World } from './session-words.ts'

sessionSuites('memory', memoryWorld)

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
