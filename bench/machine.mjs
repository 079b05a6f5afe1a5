/** Facts of the machine that belong beside every figure. */
import { closeSync, fdatasyncSync, openSync, readFileSync, rmSync, writeSync } from 'node:fs'
import { arch, availableParallelism, cpus, platform, release, totalmem } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { isPinned } from './processes.mjs'
import { quantile } from './statistics.mjs'

const SYNCS = 300
const BLOCK_BYTES = 4_096
/** USER_HZ, the unit of times in /proc. */
const TICKS_A_SECOND = 100
/** Longer than the server puts off writing where its sessions have got to. */
const QUIET_MS = 1_200
const QUIET_MS_MAX = 15_000

/** @param folder where the data of the runs will be */
export function machineFacts (folder) {
  const syncs = syncTimes(folder).sort((a, b) => a - b)
  return {
    processor: cpus()[0]?.model.trim() ?? arch(),
    cores: availableParallelism(),
    memoryBytes: totalmem(),
    system: `${platform()} ${release()}`,
    node: process.version,
    isPinned,
    syncP50Ms: quantile(syncs, 0.5),
    syncP99Ms: quantile(syncs, 0.99)
  }
}

/** Milliseconds of fdatasync after appending one block, which is what a receipt waits for at least. */
function syncTimes (folder) {
  const file = join(folder, 'sync')
  const fd = openSync(file, 'a')
  const block = Buffer.alloc(BLOCK_BYTES, 'x')
  try {
    return Array.from({ length: SYNCS }, () => {
      writeSync(fd, block)
      const start = performance.now()
      fdatasyncSync(fd)
      return performance.now() - start
    })
  } finally {
    closeSync(fd)
    rmSync(file)
  }
}

/**
 * Bytes a process has handed to write calls since it started, to files and sockets (Linux). What reaches the disk can't
 * be told from write_bytes: where the page cache has large folios, it counts a whole one for each page that is written.
 */
export function writtenBytes (pid) {
  return Number(/^wchar: (\d+)$/m.exec(readFileSync(`/proc/${pid}/io`, 'utf8'))[1])
}

/** Processor time of a process and its threads since it started, in seconds (Linux). */
export function cpuSeconds (pid) {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
  const [user, system] = stat.slice(stat.lastIndexOf(')') + 2).split(' ').slice(11, 13)
  return (Number(user) + Number(system)) / TICKS_A_SECOND
}

/** Resolves when the process has written nothing for a while: what it writes behind is on disk. */
export async function writingEnds (pid) {
  const giveUpAt = performance.now() + QUIET_MS_MAX
  for (let before = -1; performance.now() < giveUpAt;) {
    const now = writtenBytes(pid)
    if (now === before) return
    before = now
    await sleep(QUIET_MS)
  }
}
