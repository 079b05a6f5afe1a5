/**
 * Values below $SYS/broker/, under the names that mosquitto gave them: monitoring that knows no other way subscribes to
 * $SYS/#. They are published to whoever is subscribed, and kept nowhere.
 */
import type { Broker, BrokerStats, ByQos, Publisher } from '../../broker/index.ts'

export interface SysOptions {
  readonly broker: Pick<Broker, 'announce' | 'clock' | 'events' | 'meters'>
  readonly publisher: Publisher
  /** 0: never. */
  readonly intervalMs: number
  readonly version: string
}

const PREFIX = '$SYS/broker/'
/** Whoever has subscribed does not wait for the interval, but for those who subscribe next. */
const SOON_MS = 100

export class SysValues {
  readonly #options: SysOptions
  #stats: (() => BrokerStats) | undefined
  #startedAt = 0
  #isSoon = false
  #cancel: () => void = () => {}
  #cancelSoon: () => void = () => {}
  readonly #onSubscribed = ({ filter }: { readonly filter: string }): void => {
    if (filter.startsWith('$SYS/') || filter.startsWith('$share/')) this.#saySoon()
  }

  constructor (options: SysOptions) {
    this.#options = options
  }

  start (stats: () => BrokerStats): void {
    const { intervalMs, broker: { clock, events } } = this.#options
    if (intervalMs === 0) return
    this.#stats = stats
    this.#startedAt = clock.now()
    events.on('subscribed', this.#onSubscribed)
    this.#again()
  }

  close (): void {
    this.#stats = undefined
    this.#cancel()
    this.#cancelSoon()
    this.#options.broker.events.off('subscribed', this.#onSubscribed)
  }

  #again (): void {
    this.#cancel = this.#options.broker.clock.after(this.#options.intervalMs, () => {
      this.#say()
      this.#again()
    })
  }

  #saySoon (): void {
    if (this.#isSoon) return
    this.#isSoon = true
    this.#cancelSoon = this.#options.broker.clock.after(SOON_MS, () => {
      this.#isSoon = false
      this.#say()
    })
  }

  #say (): void {
    if (this.#stats === undefined) return
    const { broker, publisher, version } = this.#options
    const upSeconds = Math.floor((broker.clock.now() - this.#startedAt) / 1_000)
    for (const [name, value] of valuesOf(this.#stats(), broker, version, upSeconds)) {
      broker.announce(publisher, PREFIX + name, Buffer.from(String(value)))
    }
  }
}

function valuesOf (
  stats: BrokerStats, { meters }: Pick<Broker, 'meters'>, version: string, upSeconds: number
): Array<readonly [string, string | number]> {
  const { sessions, attached, filters, retained, store, droppedQos0, gapMessages } = stats
  const [received, sent] = [total(meters.received), total(meters.delivered)]
  return [
    ['version', `Holdfast version ${version}`],
    ['uptime', `${upSeconds} seconds`],
    ['clients/connected', attached],
    ['clients/active', attached],
    ['clients/disconnected', sessions - attached],
    ['clients/inactive', sessions - attached],
    ['clients/total', sessions],
    ['messages/received', received],
    ['messages/sent', sent],
    ['messages/stored', store.messages + retained],
    ['store/messages/count', store.messages + retained],
    ['store/messages/bytes', store.messageBytes],
    ['publish/messages/received', received],
    ['publish/messages/sent', sent],
    ['publish/messages/dropped', droppedQos0 + gapMessages],
    ['retained messages/count', retained],
    ['subscriptions/count', filters],
    ['heap/current', process.memoryUsage().heapUsed]
  ]
}

function total ({ shared: _, ...counts }: Readonly<Record<string, ByQos>>): number {
  return Object.values(counts).reduce((sum, byQos) => sum + byQos[0] + byQos[1] + byQos[2], 0)
}
