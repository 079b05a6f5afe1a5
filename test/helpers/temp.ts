import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Test } from 'tap'

/** A new empty folder, removed with all it holds when the test ends. */
export function tempFolder (t: Test, name = 'data'): string {
  const folder = mkdtempSync(join(tmpdir(), `holdfast-${name}-`))
  t.teardown(() => rmSync(folder, { recursive: true, force: true }))
  return folder
}
