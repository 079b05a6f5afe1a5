/** Where options come from, and what is said about those that can't be used. */
import t from 'tap'
import { loadConfig, programConfig } from '../../config/load.ts'
import { ConfigError, lineOf } from '../../config/problem.ts'

interface Given { args?: string[], env?: Record<string, string>, files?: Record<string, string>, switches?: string[] }

function load ({ args = [], env = {}, files = {}, switches }: Given = {}) {
  return loadConfig({
    args,
    env,
    switches,
    read: (file) => {
      if (!Object.hasOwn(files, file)) throw Object.assign(new Error('no such file'), { code: 'ENOENT' })
      return files[file]
    }
  })
}

/** The lines of what was wrong. */
function lines (attempt: () => unknown): string[] {
  try {
    attempt()
  } catch (error) {
    if (error instanceof ConfigError) return error.problems.map(lineOf)
    throw error
  }
  return []
}

t.test('without any source every value is the default and says so', async (t) => {
  const { config, from } = load()
  t.equal(config.host, '127.0.0.1')
  t.equal(config.mqttPort, 1883)
  t.equal(config.httpPort, 8080)
  t.equal(config.data, './data')
  t.equal(config.allowAnonymous, false)
  t.ok(Object.values(from).every(({ kind }) => kind === 'default'))
})

t.test('a flag goes before a variable, a variable before the file, the file before the default', async (t) => {
  const files = { 'holdfast.json': '{"mqttPort": 3, "httpPort": 3, "sessionsMax": 3}' }
  const { config, from } = load({
    args: ['--mqtt-port', '1', '--config', 'holdfast.json'],
    env: { HOLDFAST_MQTT_PORT: '2', HOLDFAST_HTTP_PORT: '2' },
    files
  })
  t.match(config, { mqttPort: 1, httpPort: 2, sessionsMax: 3, host: '127.0.0.1' })
  t.same(from.mqttPort, { kind: 'flag', name: '--mqtt-port' })
  t.same(from.httpPort, { kind: 'variable', name: 'HOLDFAST_HTTP_PORT' })
  t.same(from.sessionsMax, { kind: 'file', file: 'holdfast.json', key: 'sessionsMax' })
})

t.test('the configuration file may be named by a variable', async (t) => {
  const { config } = load({ env: { HOLDFAST_CONFIG: 'a.json' }, files: { 'a.json': '{"logLevel": "debug"}' } })
  t.equal(config.logLevel, 'debug')
})

t.test('the result is frozen', async (t) => {
  const resolved = load()
  t.ok(Object.isFrozen(resolved.config))
  t.ok(Object.isFrozen(resolved.from))
})

t.test('a switch can be turned on and off', async (t) => {
  t.equal(load({ args: ['--allow-anonymous'] }).config.allowAnonymous, true)
  const env = { HOLDFAST_ALLOW_ANONYMOUS: 'true' }
  t.equal(load({ args: ['--no-allow-anonymous'], env }).config.allowAnonymous, false)
  t.equal(load({ args: ['--allow-anonymous=false'] }).config.allowAnonymous, false)
  t.equal(load({ env: { HOLDFAST_ALLOW_ANONYMOUS: '1' } }).config.allowAnonymous, true)
})

t.test('a switch of the command is no option and is handed back', async (t) => {
  t.ok(load({ args: ['--json'], switches: ['json'] }).switches.has('json'))
  t.match(lines(() => load({ args: ['--json'] })), [/^--json: there is no such option/])
})

t.test('an empty variable counts as not set', async (t) => {
  t.equal(load({ env: { HOLDFAST_DATA: '' } }).config.data, './data')
})

t.test('variables of others are left alone', async (t) => {
  t.same(lines(() => load({ env: { PATH: '/bin', HOLDFASTER: 'x' } })), [])
})

t.test('what Kubernetes sets for a service of that name is left alone, an option is not', async (t) => {
  const service = (name: string): Record<string, string> => ({
    [`${name}_SERVICE_HOST`]: '10.0.0.1',
    [`${name}_SERVICE_PORT`]: '1883',
    [`${name}_SERVICE_PORT_MQTT`]: '1883',
    [`${name}_PORT`]: 'tcp://10.0.0.1:1883',
    [`${name}_PORT_1883_TCP`]: 'tcp://10.0.0.1:1883',
    [`${name}_PORT_1883_TCP_PROTO`]: 'tcp',
    [`${name}_PORT_1883_TCP_PORT`]: '1883',
    [`${name}_PORT_1883_TCP_ADDR`]: '10.0.0.1'
  })
  t.equal(load({ env: service('HOLDFAST') }).config.mqttPort, 1883)
  t.equal(load({ env: service('HOLDFAST_MQTT') }).config.mqttPort, 1883, 'the address of the service is no port')
  const own = { ...service('HOLDFAST_MQTT'), HOLDFAST_MQTT_PORT: '1884' }
  t.equal(load({ env: own }).config.mqttPort, 1884)
  t.match(lines(() => load({ env: { HOLDFAST_PORT: '1884' } })),
    [/^HOLDFAST_PORT: there is no such variable; did you mean/], 'without a service it is a mistake')
  t.match(lines(() => load({ env: { ...service('HOLDFAST_MQTT'), HOLDFAST_MQTT_PROT: '1' } })), [/^HOLDFAST_MQTT_PROT/])
})

t.test('an unknown name is reported where it stands, with the name that was probably meant', async (t) => {
  t.same(lines(() => load({ args: ['--mqtt-prot', '1884'] })),
    ['--mqtt-prot: there is no such option; did you mean --mqtt-port?'])
  t.same(lines(() => load({ args: ['--port=1884'] })),
    ['--port: there is no such option; did you mean --mqtt-port or --http-port or --mqtts-port?'])
  t.same(lines(() => load({ env: { HOLDFAST_MQTTPORT: '1884' } })),
    ['HOLDFAST_MQTTPORT: there is no such variable; did you mean HOLDFAST_MQTT_PORT?'])
  t.same(lines(() => load({ args: ['--config', 'a.json'], files: { 'a.json': '{"mqtt-port": 1884}' } })),
    ['a.json: mqtt-port: there is no such option; did you mean mqttPort?'])
  t.same(lines(() => load({ args: ['--xyzzy'] })),
    ['--xyzzy: there is no such option; "holdfast help options" lists them'])
})

t.test('names of the JavaScript prototype are no options', async (t) => {
  for (const key of ['__proto__', 'constructor', 'toString']) {
    t.match(lines(() => load({ args: ['--config', 'a.json'], files: { 'a.json': `{"${key}": 1}` } })),
      [new RegExp(`^a.json: ${key}: there is no such option`)])
    t.match(lines(() => load({ args: [`--${key}`] })), [/there is no such option/])
  }
})

t.test('a nested key is told to go to the top', async (t) => {
  t.same(lines(() => load({ args: ['--config', 'a.json'], files: { 'a.json': '{"limits": {"sessionsMax": 1}}' } })),
    ['a.json: limits: there is no such option; put sessionsMax at the top, not inside it'])
})

t.test('a bad value is shown with what is allowed', async (t) => {
  t.same(lines(() => load({ args: ['--mqtt-port', '70000'] })),
    ['--mqtt-port: 70000 must be a whole number from 0 to 65,535'])
  t.same(lines(() => load({ args: ['--mqtt-port', '-1'] })),
    ['--mqtt-port: -1 must be a whole number from 0 to 65,535'])
  for (const value of ['abc', '1e3', '0x10', '1.5', ' 1']) {
    t.same(lines(() => load({ env: { HOLDFAST_MQTT_PORT: value } })),
      [`HOLDFAST_MQTT_PORT: "${value}" must be a whole number from 0 to 65,535`])
  }
  t.same(lines(() => load({ env: { HOLDFAST_ALLOW_ANONYMOUS: 'yes' } })),
    ['HOLDFAST_ALLOW_ANONYMOUS: "yes" must be true or false'])
  t.same(lines(() => load({ args: ['--log-level', 'loud'] })),
    ['--log-level: "loud" must be one of debug, info, warn, error, silent'])
  t.same(lines(() => load({ args: ['--host', '[::1]'] })),
    ['--host: "[::1]" must be a host name or an IP address, without brackets or port'])
  t.match(lines(() => load({ args: ['--mqtt-path', '/socket.io/'] })), [/^--mqtt-path: .* belongs to Socket.IO/])
  t.match(lines(() => load({ args: ['--mqtt-path', '/c/io', '--socketio-path', '/c/io'] })), [/belongs to Socket.IO/])
  t.same(lines(() => load({ args: ['--config', 'a.json'], files: { 'a.json': '{"mqttPort": "1883"}' } })),
    ['a.json: mqttPort: "1883" must be a whole number from 0 to 65,535'])
})

t.test('a value that is overridden must still be valid', async (t) => {
  t.match(lines(() => load({ args: ['--mqtt-port', '1'], env: { HOLDFAST_MQTT_PORT: 'x' } })),
    [/^HOLDFAST_MQTT_PORT: "x"/])
})

t.test('a flag without a value says what it needs', async (t) => {
  t.match(lines(() => load({ args: ['--mqtt-port'] })), [/^--mqtt-port: needs a value, a whole number/])
  t.match(lines(() => load({ args: ['--data', '--mqtt-port=3'] })), [/^--data: needs a value, the path of a folder/])
})

t.test('a flag that is given twice with different values is a contradiction', async (t) => {
  t.same(lines(() => load({ args: ['--mqtt-port', '1', '--mqtt-port', '2'] })),
    ['--mqtt-port: is given twice, as 1 and as 2'])
  t.equal(load({ args: ['--mqtt-port', '1', '--mqtt-port', '1'] }).config.mqttPort, 1)
})

t.test('a word that belongs to no flag is refused', async (t) => {
  t.same(lines(() => load({ args: ['1884'] })), ['"1884": options are written --name value'])
})

t.test('a configuration file that is missing, no JSON or no object is named', async (t) => {
  const args = ['--config', 'a.json']
  t.same(lines(() => load({ args })), ['--config: the file a.json can\'t be read (there is none)'])
  t.match(lines(() => load({ args, files: { 'a.json': '{"a":' } })), [/^a.json: is not JSON/])
  t.match(lines(() => load({ args, files: { 'a.json': '[]' } })), [/^a.json: must hold one JSON object/])
  t.match(lines(() => load({ args, files: { 'a.json': '{"config": "b.json"}' } })),
    [/^a.json: config: a file can't name another file/])
})

t.test('values that contradict each other name both sources', async (t) => {
  t.same(lines(() => load({ args: ['--mqtt-port', '9000'], env: { HOLDFAST_HTTP_PORT: '9000' } })),
    ['--mqtt-port and HOLDFAST_HTTP_PORT: MQTT and HTTP can\'t share port 9000; choose two'])
  t.same(lines(() => load({ args: ['--mqtt-port', '0', '--http-port', '0'] })), [], 'but the system may pick both')
  t.match(lines(() => load({ args: ['--packet-bytes-max', '1000'] })), [/^--packet-bytes-max: before CONNECT/])
  t.match(lines(() => load({ args: ['--client-id-bytes-max', '1000'] })), [/^--client-id-bytes-max: .*at most 1,899/])
  const slow = ['--eio3-ping-interval-ms', '30000', '--ack-timeout-ms', '60000']
  t.match(lines(() => load({ args: slow })), [/two ping intervals.*60,000 ms.*more than twice/])
  t.doesNotThrow(() => load({ args: [...slow, '--eio3-proof', 'transport'] }))
})

t.test('listening beyond loopback without authentication is refused, and the override named', async (t) => {
  for (const host of ['0.0.0.0', '::', '192.168.1.5', 'example.com', '::ffff:10.0.0.1']) {
    t.match(lines(() => load({ args: ['--host', host] })), [/^--host: .*--allow-anonymous/], host)
    t.same(lines(() => load({ args: ['--host', host, '--allow-anonymous'] })), [], host)
    t.same(lines(() => programConfig({ host }, { authenticated: true })), [], host)
    t.match(lines(() => programConfig({ host }, { authenticated: false })), [/allowAnonymous/], host)
  }
  for (const host of ['127.0.0.1', '127.1.2.3', '::1', 'localhost', 'LOCALHOST']) {
    t.same(lines(() => load({ args: ['--host', host] })), [], host)
  }
})

t.test('every problem of every source is reported at once', async (t) => {
  const found = lines(() => load({
    args: ['--config', 'a.json', '--mqtt-prot', '1', '--http-port', 'x'],
    env: { HOLDFAST_SESSION_MAX: '1' },
    files: { 'a.json': '{"sessionsMax": 0, "hots": "x"}' }
  }))
  t.equal(found.length, 5)
  t.ok(found.every((line) => !line.includes('\n')))
})

t.test('no value makes a line longer or break it', async (t) => {
  const [line] = lines(() => load({ args: ['--log-level', 'a\nb'.repeat(1000)] }))
  t.ok(line.length < 250)
  t.notMatch(line, /\n/)
})

t.test('a program sets options by the same names', async (t) => {
  const { config, from } = programConfig({ mqttPort: 0, sessionsMax: 5, host: undefined }, { authenticated: false })
  t.match(config, { mqttPort: 0, sessionsMax: 5, host: '127.0.0.1' })
  t.same(from.mqttPort, { kind: 'program', name: 'mqttPort' })
  t.same(lines(() => programConfig({ mqtPort: 0 }, { authenticated: false })),
    ['mqtPort: there is no such option; did you mean mqttPort?'])
  t.same(lines(() => programConfig({ mqttPort: '0' }, { authenticated: false })),
    ['mqttPort: "0" must be a whole number from 0 to 65,535'])
  t.match(lines(() => programConfig({ config: 'a.json' }, { authenticated: false })), [/^config: a program reads/])
})

t.test('neighbouring letters that changed places are seen as one slip', async (t) => {
  t.same(lines(() => load({ args: ['--dtaa=x'] })), ['--dtaa: there is no such option; did you mean --data?'])
})
