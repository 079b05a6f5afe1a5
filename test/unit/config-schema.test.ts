/** The schema is the one place for defaults and bounds; broker and documentation say the same. */
import { readFileSync } from 'node:fs'
import t from 'tap'
import { DEFAULT_LIMITS } from '../../broker/model/limits.ts'
import { KEY_BYTES_MAX } from '../../broker/store/keys.ts'
import { configurationDocs } from '../../config/docs.ts'
import { LIMIT_OPTIONS } from '../../config/limit-options.ts'
import { flagOf, variableOf } from '../../config/option.ts'
import { SESSION_KEY_BYTES_MAX } from '../../config/rules.ts'
import { OPTIONS, OPTION_NAMES, accept, defaults, kindOf } from '../../config/schema.ts'
import { bytes, count, duration, human } from '../../config/units.ts'

t.test('[G6] every limit of the broker is an option with the same default, and the other way round', async (t) => {
  const options = Object.fromEntries(Object.entries(LIMIT_OPTIONS).map(([name, option]) => [name, option.default]))
  t.strictSame(options, { ...DEFAULT_LIMITS })
})

t.test('client identifier and filter together fit a key of the store', async (t) => {
  t.equal(SESSION_KEY_BYTES_MAX, KEY_BYTES_MAX - 1)
})

t.test('every default is a value that the option allows', async (t) => {
  for (const name of OPTION_NAMES) t.strictSame(accept(name, defaults()[name])?.value, OPTIONS[name].default, name)
})

t.test('every option has a sentence, and a number that is no port has its unit in its name', async (t) => {
  const ending = { bytes: /Bytes(Max)?$/, ms: /Ms(Max)?$/, count: /Max$/, percent: /PercentMax$/, none: /Port$/ }
  for (const name of OPTION_NAMES) {
    t.match(OPTIONS[name].says, /^[A-Z].+\.$/, name)
    if (kindOf(name) === 'number') t.match(name, ending[OPTIONS[name].unit], name)
  }
})

t.test('flags and variables are spelled from the name', async (t) => {
  t.equal(flagOf('mqttPort'), '--mqtt-port')
  t.equal(variableOf('mqttPort'), 'HOLDFAST_MQTT_PORT')
  t.equal(flagOf('backlogAgeMsMax'), '--backlog-age-ms-max')
})

t.test('docs/configuration.md is what the schema says; "npm run docs" writes it', async (t) => {
  const file = new URL('../../docs/configuration.md', import.meta.url)
  t.equal(readFileSync(file, 'utf8'), configurationDocs())
})

t.test('numbers are shown as people read them', async (t) => {
  t.equal(bytes(1), '1 byte')
  t.equal(bytes(900), '900 bytes')
  t.equal(bytes(65_536), '64 KiB')
  t.equal(bytes(1_500_000), '1.4 MiB')
  t.equal(bytes(68_719_476_736), '64 GiB')
  t.equal(duration(0), '0 ms')
  t.equal(duration(250), '250 ms')
  t.equal(duration(1_000), '1 second')
  t.equal(duration(10_000), '10 seconds')
  t.equal(duration(90_000), '90 seconds')
  t.equal(duration(300_000), '5 minutes')
  t.equal(duration(86_400_000), '1 day')
  t.equal(duration(604_800_000), '7 days')
  t.equal(count(1_000_000), '1,000,000')
  t.equal(human('none', 1883), '1883')
})
