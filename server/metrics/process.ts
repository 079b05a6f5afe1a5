/** What the process has and does, under the names that monitoring knows of any process. */
import { monitorEventLoopDelay } from 'node:perf_hooks'
import type { MetricsRegistry } from './registry.ts'

const RESOLUTION_MS = 20

/** Returns what ends the measuring. */
export function addProcess (registry: MetricsRegistry): () => void {
  const delay = monitorEventLoopDelay({ resolution: RESOLUTION_MS })
  delay.enable()
  registry.gauge({
    name: 'event_loop_delay_seconds',
    help: 'How late the event loop came to what was due, beyond the 20 ms of measuring, since this was read last.',
    labels: ['quantile']
  }, () => {
    const values = [['0.5', delay.percentile(50)], ['0.99', delay.percentile(99)], ['1', delay.max]] as const
    delay.reset()
    return values.map(([quantile, ns]) => [{ quantile }, Math.max(0, seconds(ns) - RESOLUTION_MS / 1_000)])
  })
  const standard = { isStandard: true }
  registry.gauge({ ...standard, name: 'process_resident_memory_bytes', help: 'Resident memory of the process.' },
    () => process.memoryUsage.rss())
  registry.gauge({ ...standard, name: 'nodejs_heap_size_used_bytes', help: 'Heap of JavaScript in use.' },
    () => process.memoryUsage().heapUsed)
  registry.gauge({ ...standard, name: 'nodejs_external_memory_bytes', help: 'Memory outside of that heap: buffers.' },
    () => process.memoryUsage().external)
  registry.counter({ ...standard, name: 'process_cpu_seconds_total', help: 'Time of processors that was used.' },
    () => {
      const { user, system } = process.cpuUsage()
      return (user + system) / 1e6
    })
  registry.gauge({ ...standard, name: 'process_start_time_seconds', help: 'When the process began, since 1970.' },
    () => Date.now() / 1_000 - process.uptime())
  return () => { delay.disable() }
}

function seconds (nanoseconds: number): number {
  return Number.isFinite(nanoseconds) ? nanoseconds / 1e9 : 0
}
