/** docs/configuration.md, from the schema. `write-docs.ts` writes it; a test fails when the file is stale. */
import { flagOf, variableOf } from './option.ts'
import { GROUPS, OPTIONS, OPTION_NAMES, type OptionName, allowedOf, kindOf } from './schema.ts'
import { human } from './units.ts'

const HEAD = `# Configuration

<!-- Generated from config/ by \`npm run docs\`. Change the schema, not this file. -->

Every option can be set in four places. The first of them that sets it counts:

1. a flag of the command: \`holdfast start --mqtt-port 1884\`
2. an environment variable: \`HOLDFAST_MQTT_PORT=1884\` (an empty one counts as not set)
3. a JSON file named by \`--config\` or \`HOLDFAST_CONFIG\`: \`{ "mqttPort": 1884 }\`, with no nesting but
   inside \`rules\` and \`access\`
4. the default

A program that calls \`createHoldfast()\` sets the same names in its options; environment and files are then left to the
program.

Numbers are whole numbers in the unit that the name ends with: \`Ms\` for milliseconds, \`Bytes\` for bytes,
\`Percent\` for hundredths (a last word \`Max\` marks a bound). A list is separated by commas in a flag and
a variable, and is an array elsewhere.

Anything that is not understood is an error: an unknown flag, a variable that begins with \`HOLDFAST_\` and is no
option, an unknown key in the file, a value out of range, two values that contradict each other. All of them are
reported at once, one line each, and nothing is started. \`holdfast check\` does only that, and prints what a valid
configuration means, with \`--json\` as JSON.

Some options must hold together:

- \`mqttPort\` and \`httpPort\` differ, unless they are 0.
- \`host\` is a loopback address, unless there is authentication or \`allowAnonymous\` is set.
- \`jwtKeyFile\` and \`jwksUrl\` are not both set; beside \`jwksUrl\` there is \`jwtIssuer\` or \`jwtAudience\`.
- What is said of tokens, of \`authUrl\` and of passwords counts only where they are set.
- \`certificatePrincipal\` has \`tlsClientCa\` beside it.
- \`authUrlTimeoutMs\`, \`jwksTimeoutMs\` and \`authDelayMsMax\` are shorter than \`connectTimeoutMs\`.
- \`connectPacketBytesMax\` is at most \`packetBytesMax\`.
- \`rules\` and \`rulesModule\` are not both set.
- \`clientIdBytesMax\` and \`topicBytesMax\` together are at most 1,899.

\`packetBytesMax\` also bounds a Socket.IO message (its \`maxHttpBufferSize\`).
`

/** The whole file, with a line break at its end. */
export function configurationDocs (): string {
  const sections = Object.entries(GROUPS).map(([group, title]) => {
    const names = OPTION_NAMES.filter((name) => OPTIONS[name].group === group)
    return `## ${title}\n\n${names.map(section).join('\n')}`
  })
  return [HEAD, ...sections].join('\n')
}

function section (name: OptionName): string {
  const { says } = OPTIONS[name]
  if (kindOf(name) === 'object') {
    return `### ${name}

${says} In the file, or in the options of a program; there is no flag and no variable.
`
  }
  const flag = kindOf(name) === 'boolean' ? flagOf(name) : `${flagOf(name)} ${kindOf(name).toUpperCase()}`
  return `### ${name}

${says}

| flag | variable | allowed | default |
|---|---|---|---|
| \`${flag}\` | \`${variableOf(name)}\` | ${allowedOf(name)} | ${defaultOf(name)} |
`
}

/** As it would be written, and in the units people use where those say more. */
function defaultOf (name: OptionName): string {
  const { default: value, unit } = OPTIONS[name]
  if (value === '') return 'none'
  const readable = unit === 'ms' || unit === 'bytes' ? human(unit, value) : ''
  return `\`${value}\`${readable === '' ? '' : ` (${readable})`}`
}
