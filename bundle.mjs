/**
 * Run by npm after each installation of this checkout, and before each pack.
 *
 * websocket-stream travels inside the package (bundleDependencies), since its manifest asks for ws 3, which has known
 * advisories and which nothing here runs: the wrapper gets sockets of our own ws. Overrides would not help, as they
 * count only in the root of an installation. So the copy that is packed asks for the ws that stands beside it.
 */
import { readFileSync, renameSync, writeFileSync } from 'node:fs'

const manifest = (path) => JSON.parse(readFileSync(new URL(path, import.meta.url), 'utf8'))

const { dependencies: { ws } } = manifest('package.json')
const file = new URL('node_modules/websocket-stream/package.json', import.meta.url)
const bundled = manifest(file)
delete bundled.dependencies.ws
bundled.peerDependencies = { ws }
// not in place: package managers share files between folders
const fresh = new URL('package.json.new', file)
writeFileSync(fresh, `${JSON.stringify(bundled, null, 2)}\n`)
renameSync(fresh, file)
