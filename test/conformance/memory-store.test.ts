import { createMemoryDisk, createMemoryStore } from '../../broker/store/memory.ts'
import { suite } from './store.ts'

suite('memory', () => {
  const disk = createMemoryDisk()
  return {
    create: () => createMemoryStore(disk),
    crash: async () => {},
    fail: failing => { disk.failing = failing }
  }
})
