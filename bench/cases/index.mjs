/** All cases, in the order of the tables. */
import { bystanderLoads } from './bystander-loads.mjs'
import { bystanders } from './bystanders.mjs'
import { detached } from './detached.mjs'
import { memory } from './memory.mjs'
import { repeats } from './repeats.mjs'
import { SOCKETIO_CASES, socketioMemory } from './socketio.mjs'
import { start } from './start.mjs'
import { THROUGHPUT_CASES } from './throughput.mjs'

export const CASES = [
  ...THROUGHPUT_CASES, ...SOCKETIO_CASES, bystanders, bystanderLoads, repeats, detached, memory, socketioMemory, start
]
