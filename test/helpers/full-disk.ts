import { execFileSync } from 'node:child_process'
import { appendFileSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Test } from 'tap'

export interface SmallDisk {
  readonly folder: string
  /** Takes all room that is left, or gives it back. */
  fill (full: boolean): void
}

/** A real file system of a few MB, mounted for the length of a test; a sentence where that is not allowed. */
export function smallDisk (t: Test, megabytes: number): SmallDisk | string {
  const folder = mkdtempSync(join(tmpdir(), 'holdfast-disk-'))
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${megabytes}m`, 'holdfast-test', folder], { stdio: 'pipe' })
  } catch {
    rmSync(folder, { recursive: true })
    return 'a small file system can not be mounted here (only root may)'
  }
  t.teardown(() => {
    execFileSync('umount', ['--lazy', folder])
    rmSync(folder, { recursive: true, force: true })
  })
  const ballast = join(folder, 'ballast')
  return {
    folder,
    fill: full => {
      if (!full) return rmSync(ballast)
      for (const block of [Buffer.alloc(65_536), Buffer.alloc(1_024)]) {
        try { for (;;) appendFileSync(ballast, block) } catch {}
      }
    }
  }
}
