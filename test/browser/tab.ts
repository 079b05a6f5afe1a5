/** A tab with the page of the tests, and what its documents tell: each reload makes the next one. */
import type { BrowserContext, Page } from 'playwright-core'
import { crash } from './chromium.ts'
import { pathOf, type PageOptions } from './pages.ts'

/** What the page calls; see page.html. */
export type Told =
  | readonly [what: 'connect', recovered: boolean]
  | readonly [what: 'disconnect', reason: string]
  | readonly [what: 'seen', source: string, number: number]
  | readonly [what: 'blocked', untilMs: number]
  /** All that a document has seen, as `source number` in lines; told by the one after it. */
  | readonly [what: 'journal', seen: string]
  /** Handled, when the link broke before the event came that brings their offset. */
  | readonly [what: 'unmarked', keys: readonly string[]]
  | readonly [what: 'dying']
  | readonly [what: 'fault']
  | readonly [what: 'answer', id: number, answer: { readonly status: string }]

export type Listener = (told: Told) => void

/** Names of the page, for the functions that run there. */
declare function emit (id: number, args: readonly unknown[]): void
declare const socket: { readonly io: { readonly engine: { close (): void } }, connect (): void }
/* eslint-disable @typescript-eslint/no-unused-vars -- set for the page to read */
declare let handlersLeft: number
declare let blockMs: number
/* eslint-enable @typescript-eslint/no-unused-vars */

const bindings = new WeakMap<BrowserContext, Promise<unknown>>()
const tabs = new WeakMap<Page, Tab>()

export class Tab {
  readonly #page: Page
  /** By document, counted from 0. */
  readonly #listeners: Listener[] = []
  /** How many messages a document has told of; Infinity once its journal was read. */
  readonly #seen: number[] = []
  #hang = (): void => {}
  /** A handler has begun that does not return. */
  readonly #hangs = new Promise<void>(resolve => { this.#hang = resolve })

  private constructor (page: Page) {
    this.#page = page
    tabs.set(page, this)
  }

  static async open (profile: BrowserContext): Promise<Tab> {
    let binding = bindings.get(profile)
    if (binding === undefined) {
      binding = profile.exposeBinding('tell', ({ page }, life: number, ...told: unknown[]) => {
        tabs.get(page)?.heard(life, told as unknown as Told)
      })
      bindings.set(profile, binding)
    }
    await binding
    return new Tab(await profile.newPage())
  }

  heard (life: number, told: Told): void {
    if (told[0] === 'dying') this.#hang()
    const seen = this.#seen[life] ?? 0
    if (told[0] === 'journal') {
      for (const line of told[1].trimEnd().split('\n').slice(seen)) {
        const [source, number] = line.split(' ')
        if (number !== undefined) this.#listeners[life]?.(['seen', source, Number(number)])
      }
      this.#seen[life] = Infinity
      return
    }
    if (told[0] === 'seen') {
      if (seen === Infinity) return
      this.#seen[life] = seen + 1
    }
    this.#listeners[life]?.(told)
  }

  /** The first document, from `origin`; `listener` is told what it says. */
  async show (origin: string, options: PageOptions, listener: Listener): Promise<void> {
    this.#listeners.push(listener)
    await this.#page.goto(`${origin}${pathOf(options)}`, { waitUntil: 'commit' })
  }

  /** The next document takes the place of this one. */
  async reload (listener: Listener): Promise<void> {
    this.#listeners.push(listener)
    await this.#page.reload({ waitUntil: 'commit' })
  }

  /**
   * No handler returns any more: while a tab is closed its page goes on for a moment, and what it tells is not heard.
   * A page that hangs is closed with its process.
   */
  async close (): Promise<void> {
    await Promise.race([this.hangAfter(0), this.#hangs])
    await this.#page.close()
  }

  /** Its process is gone at once, as when the system runs out of memory. */
  async crash (): Promise<void> {
    await Promise.race([crash(this.#page), this.#hangs])
    await this.#page.close()
  }

  emit (id: number, args: readonly unknown[]): void {
    void this.#run(([id, args]) => { emit(id, args) }, [id, args.map(packed)] as const)
  }

  connect (): void {
    void this.#run(() => { socket.connect() }, undefined)
  }

  closeEngine (): void {
    void this.#run(() => { socket.io.engine.close() }, undefined)
  }

  /** After so many more, the next handler never returns. Resolves when the page knows. */
  async hangAfter (handlers: number): Promise<void> {
    await this.#run(count => { handlersLeft = count }, handlers)
  }

  /** The next handler takes so long, and nothing else of the page runs meanwhile. Resolves when the page knows. */
  async block (ms: number): Promise<void> {
    await this.#run(ms => { blockMs = ms }, ms)
  }

  /** What becomes of it is told by the page; nothing does where the document is gone or hangs. */
  async #run<A> (work: (argument: A) => void, argument: A): Promise<void> {
    await this.#page.evaluate(work as (argument: unknown) => void, argument).catch(() => {})
  }
}

function packed (value: unknown): unknown {
  return Buffer.isBuffer(value) ? { bytes: value.toString('base64') } : value
}
