/** Rules in the documentation are rules: each JSON block of these pages is read as the server would read it. */
import { readFileSync } from 'node:fs'
import t from 'tap'
import { readRules } from '../../config/bridge-rules.ts'
import { ROOT } from '../helpers/sources.ts'

const BLOCK = /^```json\n(.*?)^```$/gms

for (const page of ['docs/migrating.md', 'docs/rules.md']) {
  t.test(`the rules in ${page} are accepted`, async t => {
    const text = readFileSync(`${ROOT}/${page}`, 'utf8')
    const blocks = [...text.matchAll(BLOCK)].map(([, json]) => JSON.parse(json) as Record<string, unknown>)
    t.ok(blocks.length > 0)
    for (const block of blocks) {
      const rules = 'rules' in block ? block['rules'] : listed(block)
      t.same(readRules(rules).problems, [], JSON.stringify(rules).slice(0, 100))
    }
  })
}

/** A block may also hold the lists, or one rule alone. */
function listed (block: Record<string, unknown>): unknown {
  if ('emit' in block || 'deliver' in block || 'namespaces' in block) return block
  if ('match' in block) return { namespaces: [block] }
  return typeof block['topic'] === 'string' && 'event' in block && /[{+#]/.test(block['topic']) && 'proof' in block
    ? { deliver: [block] }
    : { emit: [block] }
}
