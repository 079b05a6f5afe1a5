/** A link of the documentation leads to a file that is there, and to a heading in it. */
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { dirname, join, normalize } from 'node:path'
import t from 'tap'
import { ROOT } from '../helpers/sources.ts'

const FOLDERS = ['.', 'docs', 'docs/decisions', ...readdirSync(`${ROOT}/examples`).map((name) => `examples/${name}`)]
const pages = FOLDERS.flatMap((folder) => readdirSync(`${ROOT}/${folder}`)
  .filter((name) => name.endsWith('.md')).map((name) => normalize(`${folder}/${name}`)))

/** As GitHub makes anchors of headings. */
function anchorsOf (page: string): Set<string> {
  const found = new Set<string>()
  for (const [, heading] of withoutFences(readFileSync(`${ROOT}/${page}`, 'utf8')).matchAll(/^#+ (.*)$/gm)) {
    const name = heading.replace(/\[([^\]]*)\]\([^)]*\)/g, '$1').toLowerCase()
      .replace(/[^\p{L}\p{N}\p{M}_\- ]/gu, '').replaceAll(' ', '-')
    let anchor = name
    for (let count = 1; found.has(anchor); count++) anchor = `${name}-${count}`
    found.add(anchor)
  }
  return found
}

function withoutFences (text: string): string {
  return text.replace(/^ *```[\s\S]*?^ *```$/gm, '')
}

t.test('every link of the documentation leads somewhere', async (t) => {
  t.ok(pages.includes('docs/guarantees.md'))
  for (const page of pages) {
    const text = withoutFences(readFileSync(`${ROOT}/${page}`, 'utf8')).replace(/`[^`\n]*`/g, '')
    for (const [, link] of text.matchAll(/\]\(([^)\s]+)\)/g)) {
      if (/^[a-z]+:/.test(link)) continue
      const [path, anchor] = link.split('#', 2)
      const target = path === '' ? page : normalize(join(dirname(page), path))
      t.ok(existsSync(`${ROOT}/${target}`), `${page}: ${link}: there is no ${target}`)
      if (anchor !== undefined && target.endsWith('.md') && existsSync(`${ROOT}/${target}`)) {
        t.ok(anchorsOf(target).has(anchor), `${page}: ${link}: there is no such heading`)
      }
    }
  }
})

t.test('every page of docs/ stands in its index', async (t) => {
  const index = readFileSync(`${ROOT}/docs/README.md`, 'utf8')
  for (const page of pages.filter((page) => /^docs\/[^/]*$/.test(page) && page !== 'docs/README.md')) {
    t.ok(index.includes(`](${page.slice('docs/'.length)})`), page)
  }
})
