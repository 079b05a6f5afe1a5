/** The code samples of the documentation, as they stand in the pages. */
import { readdirSync, readFileSync } from 'node:fs'
import { ROOT } from './sources.ts'

export interface Sample {
  readonly page: string
  /** Of the fence. */
  readonly line: number
  readonly language: string
  readonly code: string
  /** `README.md:37` */
  readonly at: string
}

/** README.md and every page right under docs/. */
export function samples (): Sample[] {
  const docs = readdirSync(`${ROOT}/docs`).filter(name => name.endsWith('.md')).map(name => `docs/${name}`)
  return ['README.md', ...docs].flatMap(page => samplesOf(page, readFileSync(`${ROOT}/${page}`, 'utf8')))
}

export function samplesOf (page: string, text: string): Sample[] {
  const found: Sample[] = []
  let open: { line: number, language: string, indent: number, lines: string[] } | undefined
  for (const [index, line] of text.split('\n').entries()) {
    const fence = /^( *)```(.*)$/.exec(line)
    if (fence === null) {
      open?.lines.push(line.slice(open.indent))
    } else if (open === undefined) {
      open = { line: index + 1, language: fence[2].trim(), indent: fence[1].length, lines: [] }
    } else {
      const { line: from, language, lines } = open
      found.push({ page, line: from, language, code: `${lines.join('\n')}\n`, at: `${page}:${from}` })
      open = undefined
    }
  }
  if (open !== undefined) throw new Error(`${page}:${open.line}: the fence is not closed`)
  return found
}
