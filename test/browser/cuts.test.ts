import t from 'tap'
import { chooseSeed } from '../helpers/random.ts'
import { runMatrix } from '../proof/matrix.ts'
import { nameOf } from '../proof/row.ts'
import { CHROMIUM_CONCURRENCY, CHROMIUM_FLAGS, chromiumLives, fewChromiumCells } from './matrix.ts'

/** On a machine that has other things to do. */

t.test('pages of every version over every transport lose nothing, whatever is cut [G2] [G3] [G4]', async t => {
  const seed = chooseSeed()
  t.comment(`seed ${seed}`)
  const rows = await runMatrix(t, fewChromiumCells(), {
    seed, concurrency: CHROMIUM_CONCURRENCY, flags: CHROMIUM_FLAGS, lives: await chromiumLives(t)
  })
  for (const row of rows) t.same(row.problems, [], nameOf(row))
  const sum = (of: 'expected' | 'duplicates' | 'deaths' | 'reconnects'): number =>
    rows.reduce((total, row) => total + row[of], 0)
  t.comment(`${rows.length} pages, ${sum('expected')} messages with a receipt, ` +
    `${sum('duplicates')} seen twice by a page, ${sum('deaths')} deaths, ${sum('reconnects')} reconnects`)
})
