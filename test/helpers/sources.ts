/** The project's own files, for the tests that read them. */
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs'
import { dirname, join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import ts from 'typescript'

export const ROOT = fileURLToPath(new URL('../..', import.meta.url))
export const FOLDERS = ['bin', 'server', 'protocol', 'broker', 'bridge', 'client', 'config', 'test', 'bench'] as const

/** A file of ours, by its path from the root with `/`. */
export interface Source {
  readonly path: string
  readonly text: string
}

export interface Import {
  /** Path from the root for a file of ours, else the specifier (`node:fs`, `zod`). */
  readonly target: string
  readonly ours: boolean
}

/** Every source file, tests included, in order of path. */
export function sources (): Source[] {
  const found = ['index.ts']
  for (const folder of FOLDERS.filter(name => existsSync(join(ROOT, name)))) {
    for (const name of readdirSync(join(ROOT, folder), { recursive: true }) as string[]) {
      if (/\.(ts|mts|js|mjs)$/.test(name) && statSync(join(ROOT, folder, name)).isFile()) found.push(join(folder, name))
    }
  }
  return found.sort().map(path => ({ path, text: readFileSync(join(ROOT, path), 'utf8') }))
}

/** What a file imports, types included: static and dynamic imports, and exports from elsewhere. */
export function importsOf (source: Source): Import[] {
  return ts.preProcessFile(source.text, true, true).importedFiles.map(({ fileName }) => {
    if (!fileName.startsWith('.')) return { target: fileName, ours: false }
    return { target: relative(ROOT, join(ROOT, dirname(source.path), fileName)), ours: true }
  })
}

/** Functions with a body of more lines than that, from their first word to their last brace: `name` and length. */
export function longFunctions (source: Source, linesMax: number): string[] {
  const file = ts.createSourceFile(source.path, source.text, ts.ScriptTarget.Latest)
  const lineAt = (position: number): number => file.getLineAndCharacterOfPosition(position).line
  const found: string[] = []
  function walk (node: ts.Node): void {
    if (ts.isFunctionLike(node) && 'body' in node) {
      const lines = lineAt(node.end) - lineAt(node.getStart(file)) + 1
      if (lines > linesMax) found.push(`${node.name?.getText(file) ?? 'a function without a name'}: ${lines} lines`)
    }
    ts.forEachChild(node, walk)
  }
  walk(file)
  return found
}

/** Names of properties that begin with `_`, as libraries call what is theirs alone. */
export function privateNames (source: Source): string[] {
  const file = ts.createSourceFile(source.path, source.text, ts.ScriptTarget.Latest)
  const found: string[] = []
  function nameIn (node: ts.Node): string | undefined {
    if (ts.isPropertyAccessExpression(node)) return node.name.text
    if (ts.isBindingElement(node)) return node.propertyName?.getText(file)
    if (ts.isPropertySignature(node) || ts.isMethodSignature(node)) return node.name.getText(file)
    return undefined
  }
  function walk (node: ts.Node): void {
    const name = nameIn(node)
    if (name !== undefined && /^_[a-z]/i.test(name)) found.push(name)
    ts.forEachChild(node, walk)
  }
  walk(file)
  return found
}

/** Line numbers where the type `any` is written. */
export function anyLines (source: Source): number[] {
  const file = ts.createSourceFile(source.path, source.text, ts.ScriptTarget.Latest)
  const found: number[] = []
  function walk (node: ts.Node): void {
    if (node.kind === ts.SyntaxKind.AnyKeyword) found.push(file.getLineAndCharacterOfPosition(node.pos).line + 1)
    ts.forEachChild(node, walk)
  }
  walk(file)
  return found
}
