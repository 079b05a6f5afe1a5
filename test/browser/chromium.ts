/** A real browser without a window: Debian's Chromium, silent but for what its pages do. */
import { spawnSync } from 'node:child_process'
import { chromium, type Browser, type BrowserContext, type Page } from 'playwright-core'
import type { Scope } from '../helpers/temp.ts'

export interface Chromium {
  /** A person's: its tabs share cookies and storage. */
  readonly profile: BrowserContext
  newProfile (): Promise<BrowserContext>
}

/** No request but those of pages leaves the browser. */
const FLAGS = [
  '--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage', '--disable-quic', '--no-first-run',
  '--disable-extensions', '--disable-background-networking',
  '--disable-component-update', '--disable-sync', '--disable-default-apps',
  '--disable-domain-reliability', '--no-pings', '--disable-field-trial-config',
  // a tab that is not looked at is as quick as one that is
  '--disable-background-timer-throttling', '--disable-backgrounding-occluded-windows',
  '--disable-renderer-backgrounding'
]

/** Ended when the test ends. */
export async function startChromium (t: Scope): Promise<Chromium> {
  const found = spawnSync('which', ['chromium'], { encoding: 'utf8' }).stdout.trim()
  if (found === '') throw new Error('chromium is not installed; on Debian: apt-get install chromium')
  const browser: Browser = await chromium.launch({ executablePath: found, args: FLAGS, headless: true })
  t.teardown(async () => { await browser.close() })
  return { profile: await browser.newContext(), newProfile: async () => await browser.newContext() }
}

/** The process behind the tab is gone, at once, with everything in it; the tab shows that it crashed. */
export async function crash (tab: Page): Promise<void> {
  const crashed = new Promise<void>(resolve => tab.once('crash', () => resolve()))
  const session = await tab.context().newCDPSession(tab)
  session.send('Page.crash').catch(() => {}) // nobody is left to answer
  await crashed
}
