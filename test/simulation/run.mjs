/** `npm run simulate -- --seed N`: see simulate.ts. */
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { transpile } from './transpile.mjs'

const { folder, remove } = transpile()
process.on('exit', remove)
process.setSourceMapsEnabled(true)
await import(pathToFileURL(join(folder, 'test/simulation/simulate.js')).href)
