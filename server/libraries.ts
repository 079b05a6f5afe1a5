/**
 * Socket.IO is the project's own, and the libraries below it come with it: whether they have the private names that
 * Holdfast leans on shows here, before anything is started, and not in the middle of a connection.
 */
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { Server } from 'socket.io'
import {
  missingOfEngine, missingOfSocketio, missingOfWs, type EngineModule, type WsModule
} from '../bridge/socketio/index.ts'
import { ConfigError } from '../config/problem.ts'
import { peerRange } from './version.ts'

type Name = 'socket.io' | 'engine.io' | 'ws'

/**
 * @param io the program's own server, on its HTTP server already; may be of another copy of Socket.IO
 * @throws ConfigError with the version and the names, one problem for each library
 */
export function checkLibraries (io?: Server): void {
  const paths = libraryPaths()
  const engine = createRequire(paths['socket.io'])('engine.io') as EngineModule & { Server: new () => object }
  const { missing: ofWs, ws } = missingOfWs(createRequire(paths['engine.io'])('ws') as WsModule)
  const missing: Readonly<Record<Name, readonly string[]>> = {
    'socket.io': missingOfSocketio(io ?? new Server()),
    'engine.io': missingOfEngine(engine, io?.engine ?? new engine.Server(), ws),
    ws: ofWs
  }
  const problems = (['socket.io', 'engine.io', 'ws'] as const).filter(name => missing[name].length > 0).map(name => ({
    option: undefined,
    where: `${name} ${versionOf(name, paths[name])}`,
    says: `it lacks ${missing[name].join(', ')}, which Holdfast leans on; install socket.io ${peerRange()}, ` +
      'which was checked, and one copy of it (npm ls socket.io)'
  }))
  if (problems.length > 0) throw new ConfigError(problems)
}

/** The files that each is entered by, as Socket.IO itself finds them. */
function libraryPaths (): Readonly<Record<Name, string>> {
  const socketio = createRequire(import.meta.url).resolve('socket.io')
  const engine = createRequire(socketio).resolve('engine.io')
  return { 'socket.io': socketio, 'engine.io': engine, ws: createRequire(engine).resolve('ws') }
}

function versionOf (name: Name, path: string): string {
  for (let folder = dirname(path); folder !== dirname(folder); folder = dirname(folder)) {
    try {
      const manifest = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8')) as
        { name?: string, version?: string }
      if (manifest.name === name && manifest.version !== undefined) return manifest.version
    } catch {} // not the folder of the package
  }
  return 'of an unknown version'
}
