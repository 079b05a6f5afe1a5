/** `node dist/config/write-docs.js docs/configuration.md`: writes the page that documents the schema. */
import { writeFileSync } from 'node:fs'
import { configurationDocs } from './docs.ts'

const file = process.argv[2]
if (file === undefined) {
  process.stderr.write('write-docs: name the file to write, as docs/configuration.md\n')
  process.exitCode = 64
} else {
  writeFileSync(file, configurationDocs())
}
