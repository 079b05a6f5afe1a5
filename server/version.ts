import { readFileSync } from 'node:fs'

interface Manifest {
  readonly name: string
  readonly version: string
  readonly peerDependencies: Readonly<Record<string, string>>
}

export function version (): string {
  return manifest()?.version ?? 'unknown'
}

/** Of Socket.IO: the versions that Holdfast was checked with. */
export function peerRange (): string {
  return manifest()?.peerDependencies['socket.io'] ?? '4'
}

/** package.json lies one folder up from the sources and two up from what is built. */
function manifest (): Manifest | undefined {
  for (const place of ['../package.json', '../../package.json']) {
    try {
      const found = JSON.parse(readFileSync(new URL(place, import.meta.url), 'utf8')) as Manifest
      if (found.name === 'holdfast') return found
    } catch {
      // not there: the other place has it
    }
  }
  return undefined
}
