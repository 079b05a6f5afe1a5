/** `holdfast help`, `holdfast help start`, `holdfast help options`, `holdfast help mqttPort`. */
import { didYouMean } from '../config/suggest.ts'
import { flagOf, variableOf } from '../config/option.ts'
import { GROUPS, OPTIONS, OPTION_NAMES, type OptionName, allowedOf, kindOf } from '../config/schema.ts'
import { human } from '../config/units.ts'
import { OPERATE_COMMANDS, OPERATE_HELP, OPERATE_LIST } from './operate-help.ts'
import { UsageError } from './usage.ts'

const HELP = `Usage: holdfast COMMAND [--option value ...]

  start          runs the server until SIGTERM or SIGINT
  check          validates the configuration and says what it means
  sessions       lists the sessions of a data folder, also beside a running server; sessions add makes one
  user           adds, removes, lists and checks users of a users file
${OPERATE_LIST}  help           this text
  help COMMAND   one command with what it takes besides options
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

export const COMMANDS = ['start', 'check', 'sessions', 'user', ...OPERATE_COMMANDS, 'help'] as const
export type Command = typeof COMMANDS[number]

const COMMAND_HELP: { readonly [Name in Command]: string } = {
  start: `Usage: holdfast start [--quiet] [--option value ...]

Runs the server. When it accepts connections it says where, and last, in a line of its own:
  holdfast ready mqtt=HOST:PORT http=HOST:PORT
SIGTERM or SIGINT stops it: what was accepted is synced, clients are closed, the exit code is 0. A second signal, or
shutdownGraceMs, forces it. The log goes to standard error (logLevel, logFormat).

  --quiet   prints the ready line alone
`,
  check: `Usage: holdfast check [--json] [--option value ...]

Says what a configuration means, with an example of each rule. Starts nothing, opens no port and writes nothing. The
exit code is 64 where the server would refuse the configuration.

  --json   prints every option, and where it comes from, as JSON

Usage: holdfast check --as NAME [--groups A,B] [--client-id ID] --publish|--subscribe|--read TOPIC [--option value ...]

Says whether somebody may do something, and by which rule of access, aclFile or the defaults; the exit code is 0 for
yes and 1 for no. anonymous is who shows nothing. --read: does a message on TOPIC reach them?
`,
  sessions: `Usage: holdfast sessions [--json] [--client ID [--payload]] [--option value ...]

Lists the sessions of a data folder (--data): who is away, what waits, what was set aside. It can run beside a server:
it takes no lock and writes nothing.

  --json        prints JSON
  --client ID   shows one session (io:_:U1 is the Socket.IO client U1), with what was set aside for it
  --payload     prints the payloads of those messages too

Usage: holdfast sessions end --client ID
       holdfast sessions disconnect --client ID

Ends a session for good, with what waits for it; or closes its connection, and the session goes on. A server runs on the
folder.

Usage: holdfast sessions add --client ID [--namespace NAME] [--filter FILTER ...] [--option value ...]

Makes a session for a client that has not come yet, so that messages wait for it; also beside a running server.

  --client ID        as the client will give it (U1, not io:_:U1)
  --namespace NAME   for a client of Socket.IO: the namespace that it will open, / is the first; what it gets by name
                     and by the rules waits
  --filter FILTER    what is to wait, at QoS 1; may be given again. A client of MQTT needs one
  --principal NAME   who will come, as authentication finds; nobody else gets the session. Default: anonymous
`,
  user: `Usage: holdfast user add|remove|check NAME [--option value ...]
       holdfast user list [--option value ...]

Changes or reads the users file (--users-file, or usersFile in the file of --config). add makes a user, or gives one
another password; check says by its exit code too whether a password is right. The file is replaced as a whole, with
mode 0600 if it is new; lines that are no users, and users made by mosquitto_passwd, stay as they are.

  --password-stdin   reads the password from standard input; else it is asked for, and not shown
  --groups A,B       with add: the groups of the user, for the rules; without it an older one keeps theirs
`,
  ...OPERATE_HELP,
  help: HELP
}

function isCommand (name: string): name is Command {
  return (COMMANDS as readonly string[]).includes(name)
}

/** @throws UsageError where `topic` is neither a command nor an option */
export function help (topic: string | undefined): string {
  if (topic === undefined) return HELP
  if (isCommand(topic)) return COMMAND_HELP[topic]
  if (topic === 'options') return everyOption()
  const spellings = (name: OptionName): string[] => [name, flagOf(name), flagOf(name).slice(2), variableOf(name)]
  const name = OPTION_NAMES.find((name) => spellings(name).includes(topic))
  if (name === undefined) {
    const hint = didYouMean(topic, [...COMMANDS, ...OPTION_NAMES])
    throw new UsageError(`help: there is no command or option ${topic}${hint}`)
  }
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
