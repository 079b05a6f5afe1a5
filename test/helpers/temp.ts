import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/** What a helper needs of a test: to be told when it ends. A program that is no test has its own. */
export interface Scope {
  teardown (handler: () => unknown): unknown
}

/** A new empty folder, removed with all it holds when the test ends. */
export function tempFolder (t: Scope, name = 'data'): string {
  const folder = mkdtempSync(join(tmpdir(), `holdfast-${name}-`))
  t.teardown(() => rmSync(folder, { recursive: true, force: true }))
  return folder
}
