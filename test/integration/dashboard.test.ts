/** The dashboard and the page of operation name metrics that there are, and the page names all of them. */
import { readFileSync } from 'node:fs'
import { get } from 'node:http'
import { once } from 'node:events'
import { text } from 'node:stream/consumers'
import t from 'tap'
import { silent } from '../../broker/index.ts'
import { createMemoryStore } from '../../broker/store/memory.ts'
import { createHoldfast } from '../../index.ts'
import { ROOT } from '../helpers/sources.ts'
import { within } from '../helpers/wait.ts'

interface Panel {
  readonly id: number
  readonly title: string
  readonly targets?: ReadonlyArray<{ readonly expr: string }>
}

const NAME = /\b((?:holdfast|process|nodejs)_[a-z0-9_]+)/g

t.test('the dashboard asks for metrics that there are; docs/operating.md says what each of them is', async t => {
  const holdfast = await createHoldfast({
    store: createMemoryStore(), logger: silent, httpPort: 0, mqttPort: 0, metricsPort: 0
  })
  t.teardown(() => holdfast.close())
  const asked = get({ host: '127.0.0.1', port: holdfast.addresses.metrics!.port, path: '/metrics' })
  const [response] = await within(once(asked, 'response'), 'metrics')
  const said = await text(response)
  const types = new Map([...said.matchAll(/^# TYPE (\S+) (\S+)$/gm)].map(([, name, type]) => [name, type]))
  t.ok(types.size > 30)

  const dashboard = JSON.parse(readFileSync(`${ROOT}/docs/grafana/holdfast.json`, 'utf8')) as { panels: Panel[] }
  t.equal(new Set(dashboard.panels.map(({ id }) => id)).size, dashboard.panels.length, 'each panel has its own id')
  for (const { title, targets = [] } of dashboard.panels) {
    for (const { expr } of targets) {
      for (const [, name] of expr.matchAll(NAME)) {
        const metric = name.replace(/_bucket$/, '')
        t.ok(types.has(metric), `${title}: ${metric}`)
        const isRate = new RegExp(`(rate|increase)\\(${name}`).test(expr)
        t.equal(isRate, types.get(metric) !== 'gauge', `${title}: a rate is asked of what counts alone`)
      }
    }
  }

  const page = readFileSync(`${ROOT}/docs/operating.md`, 'utf8')
  for (const name of types.keys()) t.ok(page.includes(`\`${name}\``), name)
  for (const [, name] of page.matchAll(/^\| `((?:holdfast|process|nodejs)_[a-z0-9_]+)`/gm)) {
    t.ok(types.has(name), `${name} is there`)
  }
  for (const name of types.keys()) t.match(name, /^(holdfast|process|nodejs)_[a-z0-9_]+$/)
  for (const [name, type] of types) if (type === 'counter') t.match(name, /_total$/)
})
