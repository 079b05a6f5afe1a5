/** What /metrics says, for Prometheus. docs/operating.md lists it; a test keeps the two equal. */
import { CARRIERS, type ByQos, type Carrier, type Meters } from '../../broker/index.ts'
import type { HoldfastStats } from '../holdfast.ts'
import type { Counted } from './counted.ts'
import { addProcess } from './process.ts'
import { MetricsRegistry, type Labels } from './registry.ts'

export interface StoreFile {
  /** Of the data file, with what is free in it. */
  readonly fileBytes: number
  /** On the disk it is on. */
  readonly diskFreeBytes: number
}

export interface MetricsSource {
  readonly version: string
  readonly meters: Meters
  readonly counted: Counted
  stats (): HoldfastStats
  isReady (): boolean
  /** Undefined where the store is no file. */
  storeFile (): Promise<StoreFile | undefined>
  /** When the certificate of TLS ends, in seconds since 1970; undefined without TLS. */
  certificateEndsAt (): number | undefined
}

export interface Metrics {
  readonly contentType: string
  readonly names: readonly string[]
  text (): Promise<string>
  close (): void
}

/** What is asked once for all that is said at a time. */
interface Moment { readonly stats: HoldfastStats, readonly file: StoreFile | undefined }

export function createMetrics (source: MetricsSource): Metrics {
  const registry = new MetricsRegistry()
  let moment: Moment | undefined
  const now = (): Moment => moment!
  registry.gauge({ name: 'build_info', help: 'Always 1.', labels: ['version', 'node'] },
    () => [[{ version: source.version, node: process.versions.node }, 1]])
  registry.gauge({ name: 'ready', help: '1 where the server serves, as /readyz says.' }, () => Number(source.isReady()))
  addClients(registry, now, source)
  addMessages(registry, now, source)
  addLog(registry, now, source)
  addStore(registry, now, source)
  const endProcess = addProcess(registry)
  return {
    contentType: registry.contentType,
    names: registry.names,
    async text () {
      moment = { stats: source.stats(), file: await source.storeFile() }
      return await registry.text()
    },
    close: endProcess
  }
}

function addClients (registry: MetricsRegistry, now: () => Moment, source: MetricsSource): void {
  const { counted, certificateEndsAt } = source
  registry.gauge({ name: 'connections', help: 'Connections that are open.', labels: ['transport'] }, () => {
    const { mqtt, websocket, socketio } = now().stats.connections
    return [
      [{ transport: 'mqtt' }, mqtt - websocket], [{ transport: 'websocket' }, websocket],
      [{ transport: 'socketio' }, socketio]
    ]
  })
  registry.gauge({ name: 'sessions', help: 'Sessions that are kept in memory.', labels: ['state'] }, () => {
    const { sessions, attached } = now().stats
    return [[{ state: 'attached' }, attached], [{ state: 'detached' }, sessions - attached]]
  })
  registry.counter({ name: 'sessions_created_total', help: 'Sessions that were made.' }, () => counted.sessionsMade)
  registry.counter({ name: 'sessions_ended_total', help: 'Sessions that ended.', labels: ['reason'] },
    () => byLabel('reason', counted.sessionsEnded))
  registry.gauge({ name: 'subscriptions', help: 'Different topic filters that somebody subscribes to.' },
    () => now().stats.filters)
  registry.counter({ name: 'takeovers_total', help: 'Connections that took a session over from another one.' },
    () => now().stats.takeovers)
  registry.counter({ name: 'takeovers_slowed_total', help: 'Those of them that had to wait.' },
    () => now().stats.takeoversSlowed)
  registry.counter({ name: 'refusals_total', help: 'What was refused (docs/errors.md).', labels: ['kind'] }, () =>
    Object.entries(now().stats.refusals).map(([kind, value]) => [{ kind }, value]))
  registry.counter({ name: 'auth_failures_total', help: 'Questions to access control that got no answer.' },
    () => now().stats.authFailures)
  registry.gauge({ name: 'tls_certificate_end_timestamp_seconds', help: 'When the certificate ends, since 1970.' },
    () => certificateEndsAt())
}

function addMessages (registry: MetricsRegistry, now: () => Moment, { meters, counted }: MetricsSource): void {
  const labels = ['transport', 'qos']
  registry.counter({ name: 'messages_received_total', help: 'Messages that came in, with those refused.', labels },
    () => byCarrier(meters.received))
  registry.counter({ name: 'messages_delivered_total', help: 'Messages that were handed to connections.', labels },
    () => byCarrier(meters.delivered))
  registry.counter({ name: 'messages_acknowledged_total', help: 'Deliveries that clients acknowledged or proved.' },
    () => now().stats.acknowledged)
  registry.counter({ name: 'messages_stored_total', help: 'Messages at QoS 1 and 2, or retained, that were accepted.' },
    () => now().stats.published)
  registry.counter({ name: 'messages_refused_total', help: 'Messages refused for good.', labels: ['code'] },
    () => byLabel('code', counted.refusedMessages))
  registry.counter({ name: 'duplicates_total', help: 'Messages that came or went again.', labels: ['cause'] }, () => [
    [{ cause: 'connection-broke' }, meters.redelivered], [{ cause: 'publisher-repeated' }, meters.receivedAgain]
  ])
  registry.counter({ name: 'gap_messages_total', help: 'Messages that sessions lost to a bound.', labels: ['reason'] },
    () => byLabel('reason', counted.gapMessages))
  registry.counter({ name: 'qos0_dropped_total', help: 'QoS 0 messages that a slow connection did not take.' },
    () => now().stats.droppedQos0)
  registry.counter({ name: 'set_aside_total', help: 'Messages that were set aside.' }, () => counted.setAside)
  registry.gauge({ name: 'set_aside_messages', help: 'Messages that are set aside now.' }, () => now().stats.setAside)
  registry.counter({ name: 'set_aside_dropped_total', help: 'Of those set aside, what went to make room.' },
    () => now().stats.setAsideDropped)
  registry.counter({ name: 'socketio_tallies_total', help: 'What stats().socketio counts.', labels: ['kind'] }, () =>
    Object.entries(now().stats.socketio).map(([kind, value]) => [{ kind }, value]))
  registry.histogram({ name: 'receipt_duration_seconds', help: 'From taking a message in to its receipt.' },
    () => meters.receipts)
}

function addLog (registry: MetricsRegistry, now: () => Moment, _source: MetricsSource): void {
  registry.gauge({ name: 'log_messages', help: 'Messages in the log: somebody waits for each.' },
    () => now().stats.store.messages)
  registry.gauge({ name: 'log_bytes', help: 'Bytes of those messages.' }, () => now().stats.store.messageBytes)
  registry.gauge({ name: 'log_oldest_message_age_seconds', help: 'For how long the oldest of them has waited.' },
    () => now().stats.oldestMessageAgeMs / 1_000)
  registry.gauge({ name: 'retained_messages', help: 'Retained messages.' }, () => now().stats.retained)
}

function addStore (registry: MetricsRegistry, now: () => Moment, { meters, counted }: MetricsSource): void {
  registry.histogram({ name: 'store_sync_duration_seconds', help: 'How long a write took until it was synced.' },
    () => meters.syncs)
  registry.gauge({ name: 'store_failing', help: '1 while the log can not be written: no receipts are given.' },
    () => Number(now().stats.storeFailing))
  registry.counter({ name: 'store_failures_total', help: 'How often that began.' }, () => counted.storeFailures)
  registry.gauge({ name: 'store_used_bytes', help: 'Bytes of the data file in use.' },
    () => now().stats.store.storedBytes)
  registry.gauge({ name: 'store_file_bytes', help: 'Size of the data file; what is free in it is used again.' },
    () => now().file?.fileBytes)
  registry.gauge({ name: 'store_disk_free_bytes', help: 'Free on the disk of the data file.' },
    () => now().file?.diskFreeBytes)
  registry.gauge({ name: 'memory_full', help: '1 while the heap holds as much as it may (heapPercentMax).' },
    () => Number(now().stats.heap.isFull))
}

function byCarrier (counts: Readonly<Record<Carrier, ByQos>>): Array<[Labels, number]> {
  return CARRIERS.flatMap((transport) => counts[transport].map((value, qos): [Labels, number] =>
    [{ transport, qos: String(qos) }, value]))
}

function byLabel (label: string, counts: ReadonlyMap<string, number>): Array<[Labels, number]> {
  return [...counts].map(([name, value]) => [{ [label]: name }, value])
}
