/** A hook for Node's module loader: TypeScript as it stands in the checkout. */
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import ts from 'typescript'

const compilerOptions = {
  target: ts.ScriptTarget.ES2023,
  module: ts.ModuleKind.ESNext,
  verbatimModuleSyntax: true,
  inlineSourceMap: true
}

export async function load (url, context, next) {
  if (!url.startsWith('file:') || !url.endsWith('.ts')) return await next(url, context)
  const fileName = fileURLToPath(url)
  const { outputText: source } = ts.transpileModule(readFileSync(fileName, 'utf8'), { fileName, compilerOptions })
  return { format: 'module', source, shortCircuit: true }
}
