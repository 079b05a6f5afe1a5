/** A client as the scenes of the proof use it, in a document of a browser. */
import type { LegacySocket } from '../helpers/socketio-clients.ts'
import { within } from '../helpers/wait.ts'
import type { Life, LifeOptions } from '../proof/life.ts'
import type { Chromium } from './chromium.ts'
import { Tab, type Told } from './tab.ts'

/** How a document comes to its end when it is killed. */
export type End = 'reload' | 'close' | 'crash'

export interface PageLifeOptions extends LifeOptions {
  readonly browser: Chromium
  /** Of the page, which is not where the client connects to. */
  readonly origin: string
  /** The document that this one takes the place of, in its tab. */
  readonly before: PageLife | undefined
}

const JOIN_MS_MAX = 90_000

export class PageLife implements Life {
  /** Listens and emits in the page, as far as the publishers of the proof need it. */
  readonly socket: LegacySocket
  readonly leftovers = new Map<string, number>()
  end: End = 'close'
  #tab: Tab | undefined
  readonly #options: PageLifeOptions
  readonly #answers = new Map<number, (answer: unknown) => void>()
  readonly #connectListeners = new Set<() => void>()
  readonly #disconnectListeners = new Set<() => void>()
  #connected = false
  #hangs = false
  #dead = false
  #replaced = false
  #connects = 0
  #recovered = 0
  #thrownOut = 0
  #emits = 0
  #died = (): void => {}
  readonly over = new Promise<void>(resolve => { this.#died = resolve })

  constructor (options: PageLifeOptions) {
    this.#options = options
    const life = this
    this.socket = {
      get connected () { return life.#connected },
      on: (event: string, listener: () => void) => {
        if (event === 'connect') life.#connectListeners.add(listener)
        return life.socket
      },
      emit: (event: string, ...args: unknown[]) => {
        life.#emit(event, args)
        return life.socket
      }
    } as LegacySocket
  }

  get dead (): boolean { return this.#dead }
  get reconnects (): number { return Math.max(0, this.#connects - 1) }
  get recovered (): number { return this.#recovered }
  get thrownOut (): number { return this.#thrownOut }

  async joined (room: string): Promise<void> {
    const { browser, origin, before, ...page } = this.#options
    const isJoined = new Promise<void>(resolve => {
      const join = (): void => { this.#emit('join', [room, () => { this.#connectListeners.delete(join); resolve() }]) }
      this.#connectListeners.add(join)
    })
    const listener = (told: Told): void => this.#hear(told)
    this.#tab = before?.passOn()
    if (this.#tab !== undefined) await this.#tab.reload(listener)
    else {
      this.#tab = await Tab.open(browser.profile)
      await this.#tab.show(origin, page, listener)
    }
    await within(Promise.race([isJoined, this.over]), `${page.clientId} to join its room`, JOIN_MS_MAX)
  }

  /** The tab, if the next document is to be shown there. */
  passOn (): Tab | undefined {
    const tab = this.#dead && this.end === 'reload' && !this.#hangs ? this.#tab : undefined
    if (tab !== undefined) this.#tab = undefined
    return tab
  }

  async noticed (ms: number): Promise<void> {
    if (!this.#connected) return
    await within(new Promise<void>(resolve => this.#disconnectListeners.add(resolve)), '', ms).catch(() => {})
  }

  dropConnections (): void {
    this.#tab?.closeEngine()
  }

  async dieAfter (handlers: number): Promise<void> {
    void this.#tab?.hangAfter(handlers)
    await this.over
  }

  /** The next handler takes so long; the page does nothing else. */
  block (ms: number): void {
    void this.#tab?.block(ms)
  }

  replaced (): void {
    this.#replaced = true
  }

  async kill (): Promise<void> {
    if (this.#dead) return
    this.#dead = true
    this.#connected = false
    this.#died()
    if (this.end === 'reload' && !this.#hangs) return // the next document ends this one
    const tab = this.#tab
    this.#tab = undefined
    if (this.end === 'crash' && !this.#hangs) await tab?.crash()
    else await tab?.close()
  }

  #hear (told: Told): void {
    switch (told[0]) {
      case 'seen': return this.#options.onSeen(told[1], told[2])
      case 'unmarked':
        for (const key of told[1]) this.leftovers.set(key, (this.leftovers.get(key) ?? 0) + 1)
        return
      case 'dying':
        this.#hangs = true
        return this.#died()
      case 'fault':
        // Nothing comes any more, until somebody reloads the page.
        if (this.#dead) return
        this.end = 'reload'
        this.kill().then(() => this.#options.onCrash(), () => {})
        return
      case 'answer': {
        const answered = this.#answers.get(told[1])
        this.#answers.delete(told[1])
        return answered?.(told[2])
      }
      case 'connect':
        if (this.#dead) return
        this.#connected = true
        if (this.#connects++ > 0 && told[1]) this.#recovered++
        for (const listener of this.#connectListeners) listener()
        return
      case 'disconnect':
        this.#connected = false
        for (const listener of this.#disconnectListeners) listener()
        this.#disconnectListeners.clear()
        if (told[1] !== 'io server disconnect' || this.#replaced || this.#dead) return
        this.#thrownOut++
        this.#tab?.connect()
    }
  }

  #emit (event: string, args: readonly unknown[]): void {
    const id = ++this.#emits
    const last = args.at(-1)
    if (typeof last === 'function') this.#answers.set(id, last as (answer: unknown) => void)
    this.#tab?.emit(id, [event, ...typeof last === 'function' ? args.slice(0, -1) : args])
  }
}
