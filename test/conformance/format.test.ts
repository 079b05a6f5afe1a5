import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { gunzipSync } from 'node:zlib'
import t from 'tap'
import { createEmbeddedStore } from '../../broker/store/embedded.ts'
import { FORMAT } from '../../broker/store/state.ts'
import { contentsOf } from '../fixtures/contents.ts'
import { tempFolder } from '../helpers/temp.ts'

const FIXTURES = join(import.meta.dirname, '..', 'fixtures')
const formats = readdirSync(FIXTURES).filter((name) => /^data-\d+$/.test(name))

t.test('the format of this version has a folder that is kept', async t => {
  t.ok(formats.includes(`data-${FORMAT}`))
})

for (const name of formats) {
  t.test(`${name}: everything in the folder of a version before is read as it was written [G2]`, async t => {
    const folder = join(tempFolder(t), 'data')
    mkdirSync(folder)
    writeFileSync(join(folder, 'data.mdb'), gunzipSync(readFileSync(join(FIXTURES, name, 'data.mdb.gz'))))
    const store = createEmbeddedStore({ folder })
    t.match(await store.open(), { clean: true, damaged: [], damagedRecords: [], notes: [], epoch: 'fixture' })
    const contents = await contentsOf(store)
    await store.close()
    t.same(contents, JSON.parse(readFileSync(join(FIXTURES, name, 'contents.json'), 'utf8')))
  })
}
