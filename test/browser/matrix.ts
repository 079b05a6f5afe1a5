/** The cells of the proof whose client is the published bundle in a browser. */
import { TRANSPORTS, VERSIONS, type Transport } from '../helpers/socketio-clients.ts'
import type { Scope } from '../helpers/temp.ts'
import type { Lives } from '../proof/cell.ts'
import type { Cell } from '../proof/row.ts'
import { startChromium } from './chromium.ts'
import { BROWSER_CUTS } from './cuts.ts'
import { PageLife } from './page-life.ts'
import { startPages } from './pages.ts'

/** Tabs at a time; each is a process. */
export const CHROMIUM_CONCURRENCY = 10

/** The pages are not of the server's origin. */
export const CHROMIUM_FLAGS: readonly string[] = ['--allowed-origins', '*']

const COMBINATIONS = VERSIONS.flatMap(version =>
  (Object.keys(TRANSPORTS) as Transport[]).map(transport => ({ client: 'chromium', version, transport } as const)))

export function chromiumCells (): Cell[] {
  return BROWSER_CUTS.flatMap(({ name: cut }) =>
    COMBINATIONS.map(combination => ({ ...combination, cut, meanwhile: 'steady' } as const)))
}

const FEW_CUTS = [
  'rst', 'fin', 'rst-down', 'fin-up', 'no-answer', 'hole-up', 'hole-down', 'hole-both', 'half-open', 'delay',
  'throttle',
  'stall', 'refuse', 'flapping', 'opening', 'takeover', 'reload', 'tab-closed', 'tab-killed', 'blocked'
]

/** Every version over every transport, and every kind of cut, at least once each. */
export function fewChromiumCells (): Cell[] {
  return FEW_CUTS.map((cut, index) => ({
    // 18 combinations in an order that brings another version and another transport each time
    ...COMBINATIONS[index * 7 % COMBINATIONS.length], cut, meanwhile: 'steady'
  }))
}

/** One browser for all; each client has a site of its own, and so a process of its own that can die alone. */
export async function chromiumLives (scope: Scope): Promise<Lives> {
  const [browser, pages] = await Promise.all([startChromium(scope), startPages(scope)])
  const last = new Map<string, PageLife>()
  return {
    newLife (options) {
      const origin = pages.replace('127.0.0.1', `${options.clientId}.localhost`)
      const life = new PageLife({ ...options, browser, origin, before: last.get(options.clientId) })
      last.set(options.clientId, life)
      return life
    },
    cuts: BROWSER_CUTS
  }
}
