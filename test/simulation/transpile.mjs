/** Takes the types away from what the simulation needs, so that plain Node runs it, and runs it apart from the tree. */
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import ts from 'typescript'

export const ROOT = fileURLToPath(new URL('../..', import.meta.url))
const FOLDERS = ['broker', 'bridge/socketio', 'test/helpers', 'test/simulation']
const OPTIONS = {
  target: ts.ScriptTarget.ES2023,
  module: ts.ModuleKind.ESNext,
  verbatimModuleSyntax: true,
  rewriteRelativeImportExtensions: true,
  inlineSourceMap: true
}

/**
 * Makes a folder with the JavaScript of the broker and its simulation. The caller removes it.
 * @param {(path: string, text: string) => string} change what becomes of a file, by its path from the root
 */
export function transpile (change = (_, text) => text) {
  const target = mkdtempSync(join(tmpdir(), 'holdfast-simulation-'))
  writeFileSync(join(target, 'package.json'), '{ "type": "module" }')
  symlinkSync(join(ROOT, 'node_modules'), join(target, 'node_modules'))
  for (const folder of FOLDERS) {
    for (const name of readdirSync(join(ROOT, folder), { recursive: true })) {
      if (!name.endsWith('.ts') || /\.(test|d)\.ts$/.test(name)) continue
      const path = join(folder, name)
      const { outputText } = ts.transpileModule(change(path, readFileSync(join(ROOT, path), 'utf8')),
        { compilerOptions: OPTIONS, fileName: path })
      const place = join(target, path.replace(/\.ts$/, '.js'))
      mkdirSync(dirname(place), { recursive: true })
      writeFileSync(place, outputText)
    }
  }
  return { folder: target, remove: () => rmSync(target, { recursive: true, force: true }) }
}
