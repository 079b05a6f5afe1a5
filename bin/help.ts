/** `holdfast help`, `holdfast help options`, `holdfast help mqttPort`. */
import { didYouMean } from '../config/near.ts'
import { flagOf, variableOf } from '../config/option.ts'
import { GROUPS, OPTIONS, OPTION_NAMES, type OptionName, allowedOf, kindOf } from '../config/schema.ts'
import { human } from '../config/units.ts'
import { UsageError } from './usage.ts'

const HELP = `Usage: holdfast COMMAND [--option value ...]

  start          runs the server until SIGTERM or SIGINT
  check          validates the configuration and says what it means; --json prints it as JSON
  sessions       lists the sessions of a data folder, also beside a running server; --json prints JSON,
                 --client ID one session with what was set aside for it, --payload with the payloads
  help           this text
  help options   every option with its default
  help OPTION    one option, by its name, flag or variable
  --version      the version

Options most used
  --mqtt-port NUMBER   MQTT (default 1883; 0 lets the system pick)
  --http-port NUMBER   MQTT over WebSocket and Socket.IO (default 8080; 0 lets the system pick)
  --host HOST          address to listen on (default 127.0.0.1)
  --data FOLDER        where messages and sessions are kept (default ./data)
  --config FILE        JSON file with options by name

Each option is also an environment variable: --mqtt-port is HOLDFAST_MQTT_PORT. Flags go before variables, variables
before the file, the file before the defaults.
`

/** @throws UsageError where `topic` is no option */
export function help (topic: string | undefined): string {
  if (topic === undefined) return HELP
  if (topic === 'options') return everyOption()
  const spellings = (name: OptionName): string[] => [name, flagOf(name), flagOf(name).slice(2), variableOf(name)]
  const name = OPTION_NAMES.find((name) => spellings(name).includes(topic))
  if (name === undefined) throw new UsageError(`help: there is no option ${topic}${didYouMean(topic, OPTION_NAMES)}`)
  const { says } = OPTIONS[name]
  const where = kindOf(name) === 'object'
    ? 'in the file (--config), or by a program'
    : `flag ${flagOf(name)}, variable ${variableOf(name)}`
  return `${name}\n  ${says}\n  ${where}\n` +
    `  allowed: ${allowedOf(name)}\n  default: ${fallback(name)}\n`
}

function everyOption (): string {
  return Object.entries(GROUPS).map(([group, title]) => {
    const names = OPTION_NAMES.filter((name) => OPTIONS[name].group === group && kindOf(name) !== 'object')
    return `${title}\n` + names.map((name) => `  ${flagOf(name).padEnd(FLAG_WIDTH)}  ${fallback(name)}\n`).join('')
  }).join('\n') + '\n"holdfast help OPTION" says what an option does; docs/configuration.md has them all.\n'
}

const FLAG_WIDTH = Math.max(...OPTION_NAMES.map((name) => flagOf(name).length))

function fallback (name: OptionName): string {
  const { default: value, unit } = OPTIONS[name]
  if (value === '' || kindOf(name) === 'object') return 'none'
  const readable = unit === 'bytes' || unit === 'ms' ? human(unit, value) : String(value)
  return readable.startsWith(String(value)) ? readable : `${value} (${readable})`
}
