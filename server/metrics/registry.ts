/** prom-client, fed with plain numbers at the moment of asking: what is counted costs what a number costs. */
import { Counter, Gauge, Registry, type Metric } from 'prom-client'
import type { HistogramCounts } from '../../broker/index.ts'

export type Labels = Readonly<Record<string, string>>
/** A number, or one for each of a bounded set of labels; undefined where it is not known now. */
export type Sample = number | undefined | ReadonlyArray<readonly [Labels, number]>

export interface Definition {
  /** Without `holdfast_` where `isStandard` is not set. */
  readonly name: string
  readonly help: string
  readonly labels?: readonly string[]
  /** The name is one that monitoring knows of any process. */
  readonly isStandard?: boolean
}

const PREFIX = 'holdfast_'

export class MetricsRegistry {
  readonly #registry = new Registry()

  get contentType (): string { return this.#registry.contentType }
  get names (): string[] { return this.#registry.getMetricsAsArray().map(({ name }: { name: string }) => name) }

  async text (): Promise<string> { return await this.#registry.metrics() }

  gauge (definition: Definition, read: () => Sample): void {
    const options = this.#options(definition)
    this.#registry.registerMetric(new Gauge({
      ...options,
      collect () {
        this.reset()
        for (const [labels, value] of samples(read)) this.set(labels, value)
      }
    }))
  }

  counter (definition: Definition, read: () => Sample): void {
    const options = this.#options(definition)
    this.#registry.registerMetric(new Counter({
      ...options,
      collect () {
        this.reset()
        for (const [labels, value] of samples(read)) this.inc(labels, value)
      }
    }))
  }

  /** prom-client's own histogram would count a second time what is counted already. */
  histogram (definition: Definition, read: () => HistogramCounts | undefined): void {
    const { name, help } = this.#options(definition)
    const metric = {
      name,
      help,
      type: 'histogram',
      aggregator: 'sum',
      get: () => ({ name, help, type: 'histogram', aggregator: 'sum', values: valuesOf(name, read()) }),
      reset () {}
    }
    this.#registry.registerMetric(metric as unknown as Metric)
  }

  #options ({ name, help, labels = [], isStandard = false }: Definition): {
    name: string, help: string, labelNames: string[], registers: Registry[]
  } {
    return { name: isStandard ? name : PREFIX + name, help, labelNames: [...labels], registers: [] }
  }
}

function samples (read: () => Sample): ReadonlyArray<readonly [Labels, number]> {
  const sample = read()
  if (sample === undefined) return []
  return typeof sample === 'number' ? [[{}, sample]] : sample
}

interface Value { readonly metricName: string, readonly labels: Labels, readonly value: number }

function valuesOf (name: string, histogram: HistogramCounts | undefined): Value[] {
  if (histogram === undefined) return []
  const { bounds, counts, sumSeconds } = histogram
  let sum = 0
  const buckets = counts.map((count, i) => {
    sum += count
    const le = i < bounds.length ? String(bounds[i]) : '+Inf'
    return { metricName: `${name}_bucket`, labels: { le }, value: sum }
  })
  return [
    ...buckets,
    { metricName: `${name}_sum`, labels: {}, value: sumSeconds },
    { metricName: `${name}_count`, labels: {}, value: sum }
  ]
}
