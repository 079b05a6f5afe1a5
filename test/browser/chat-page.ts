/** A person at the chat of Socket.IO's own "get started", in a browser: one more in the conversation of the proof. */
import type { Page } from 'playwright-core'
import type { Proxy } from '../helpers/proxy.ts'
import type { Scope } from '../helpers/temp.ts'
import { until, within } from '../helpers/wait.ts'
import type { Participant } from '../proof/conversation.ts'
import type { Chromium } from './chromium.ts'
import { startFront } from './front.ts'

export type ChatVersion = 'v2' | 'v4'

const COME_MS_MAX = 90_000
/** The page has no acks: who does not see what he said says it again. */
const PATIENCE_MS = 3_000

/** Runs in the page, which knows nothing of it: tells what is shown, and each connection. */
const WATCH = `{
  const list = document.getElementById('messages')
  new MutationObserver(changes => {
    for (const { addedNodes } of changes) for (const { textContent } of addedNodes) shown(textContent)
  }).observe(list, { childList: true })
  for (const { textContent } of list.children) shown(textContent)
  const tell = () => connected(socket.recovered === true)
  socket.on('connect', tell)
  if (socket.connected) tell()
}`

export class ChatPage implements Participant {
  readonly source: string
  readonly kind: string
  readonly isExact = false
  readonly receipts = new Set<number>()
  readonly resent = new Map<number, number>()
  readonly seen: string[] = []
  readonly joined: Promise<void>
  readonly #page: Page
  #join = (): void => {}
  #connects = 0
  #recovered = 0
  #said = 0
  #saidAtMs = 0

  /** `name` is what it calls itself in what it says; the server is told nothing. */
  static async open (t: Scope, browser: Chromium, version: ChatVersion, name: string, proxy: Proxy): Promise<ChatPage> {
    const origin = await startFront(t, proxy)
    const profile = await browser.newProfile()
    const one = new ChatPage(version, name, await profile.newPage())
    await one.#open(`${origin}/${version}`)
    return one
  }

  private constructor (version: ChatVersion, name: string, page: Page) {
    this.source = name
    this.kind = `the chat page in Chromium, ${version}`
    this.#page = page
    const isJoined = new Promise<void>(resolve => { this.#join = resolve })
    this.joined = within(isJoined, `${name} to come`, COME_MS_MAX)
    this.joined.catch(() => {})
  }

  get reconnects (): number { return this.#connects - 1 }
  get recovered (): number { return this.#recovered }

  say (): void {
    const isOpen = this.receipts.size < this.#said
    if (!isOpen) this.#said++
    else if (Date.now() - this.#saidAtMs < PATIENCE_MS) return
    else this.resent.set(this.#said - 1, (this.resent.get(this.#said - 1) ?? 0) + 1)
    this.#saidAtMs = Date.now()
    this.#type(`${this.source} ${this.#said - 1}`).catch(() => {})
  }

  async finish (ms: number): Promise<void> {
    await until(() => {
      if (this.receipts.size < this.#said) this.say()
      return this.receipts.size === this.#said
    }, `${this.source} to see what it said`, ms, 100)
  }

  async end (): Promise<void> {
    await this.#page.context().close()
  }

  async #open (url: string): Promise<void> {
    const page = this.#page
    await page.exposeFunction('shown', (text: string) => {
      this.seen.push(text)
      const [name, number] = text.split(' ')
      if (name === this.source) this.receipts.add(Number(number))
    })
    await page.exposeFunction('connected', (recovered: boolean) => {
      if (this.#connects++ > 0 && recovered) this.#recovered++
      this.#join()
    })
    await page.goto(url)
    await page.evaluate(WATCH)
  }

  /** As a person does. */
  async #type (text: string): Promise<void> {
    await this.#page.fill('#input', text)
    await this.#page.press('#input', 'Enter')
  }
}

/** Both pages, for converse(). */
export function chatPages (t: Scope, browser: Chromium): Array<(name: string, proxy: Proxy) => Promise<ChatPage>> {
  return (['v2', 'v4'] as const).map(version =>
    async (name, proxy) => await ChatPage.open(t, browser, version, name, proxy))
}
