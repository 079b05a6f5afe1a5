/**
 * TypeScript as it stands in the checkout, for plain Node: `node --import ./test/typescript.mjs FILE.ts`. Takes the
 * types away when a file is loaded first, and keeps what is left in node_modules/.cache, one file for each of the
 * checkout: every test file is a process of its own, and without it each would compile the server again.
 */
import { createHash } from 'node:crypto'
import { mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { createRequire, register } from 'node:module'
import { dirname, join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import { isMainThread } from 'node:worker_threads'

const ROOT = fileURLToPath(new URL('..', import.meta.url))
const CACHE = join(ROOT, 'node_modules/.cache/holdfast/typescript')
const require = createRequire(import.meta.url)
const { version } = require('typescript/package.json')

// imported by a program, it makes itself the hook of Node's module loader, in the thread where hooks are
if (isMainThread) register(import.meta.url)

export async function load (url, context, next) {
  if (!url.startsWith('file:') || !url.endsWith('.ts')) return await next(url, context)
  const fileName = fileURLToPath(url)
  return { format: 'module', source: withoutTypes(fileName), shortCircuit: true }
}

function withoutTypes (fileName) {
  const text = readFileSync(fileName, 'utf8')
  const first = `// ${createHash('sha256').update(version).update(text).digest('hex')}\n`
  const place = join(CACHE, `${relative(ROOT, fileName).replaceAll('/', '~')}.js`)
  const kept = contentOf(place)
  if (kept?.startsWith(first)) return kept.slice(first.length)
  const source = compile(fileName, text)
  mkdirSync(dirname(place), { recursive: true })
  const own = `${place}.${process.pid}` // others may be writing it as well
  writeFileSync(own, first + source)
  renameSync(own, place)
  return source
}

function contentOf (place) {
  try {
    return readFileSync(place, 'utf8')
  } catch (error) {
    if (error.code !== 'ENOENT') throw error
    return undefined
  }
}

function compile (fileName, text) {
  const ts = require('typescript') // takes half a second, which is for nothing where all is kept
  const compilerOptions = {
    target: ts.ScriptTarget.ES2023,
    module: ts.ModuleKind.ESNext,
    verbatimModuleSyntax: true,
    inlineSourceMap: true
  }
  return ts.transpileModule(text, { fileName, compilerOptions }).outputText
}
