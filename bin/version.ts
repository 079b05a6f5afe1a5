import { readFileSync } from 'node:fs'

/** The version in package.json, which lies one folder up from the sources and two up from what is built. */
export function version (): string {
  for (const place of ['../package.json', '../../package.json']) {
    try {
      const file = readFileSync(new URL(place, import.meta.url), 'utf8')
      const { name, version } = JSON.parse(file) as { name: string, version: string }
      if (name === 'holdfast') return version
    } catch {
      // not there: the other place has it
    }
  }
  return 'unknown'
}
