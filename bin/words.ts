/** What the server says of itself on standard output: where it is, what to try, what its promise survives. */
import { resolve } from 'node:path'
import type { Config } from '../config/schema.ts'
import { duration } from '../config/units.ts'
import { type Address, authority } from '../server/listen.ts'

export interface Places {
  readonly mqtt?: Address | undefined
  readonly http?: Address | undefined
  readonly mqtts?: Address | undefined
  readonly https?: Address | undefined
}

/** Where a client on this machine connects; each line `[name, URL]`. */
export function urls (
  { mqtt, http, mqtts, https }: Places,
  { mqttPath, mqttWebsocket, socketioPath }: Pick<Config, 'mqttPath' | 'mqttWebsocket' | 'socketioPath'>
): Array<[string, string]> {
  const at = (scheme: string, address: Address | undefined, path = ''): string[] =>
    address === undefined ? [] : [`${scheme}://${authority(reachable(address))}${path}`]
  const web = (path: string): string[] => [...at('https', https, path), ...at('http', http, path)]
  const websocket = [...at('wss', https, mqttPath), ...at('ws', http, mqttPath)].join(' and ')
  return [
    ['MQTT', [...at('mqtts', mqtts), ...at('mqtt', mqtt)].join(' and ')],
    ['MQTT over WebSocket', mqttWebsocket ? websocket : 'closed (mqttWebsocket)'],
    ['Socket.IO', web(`${socketioPath}/`).join(' and ')],
    ['Health', [...web('/healthz'), ...web('/readyz')].join(' and ')]
  ]
}

/** What a stop, a crash and a lost disk do to what was promised [G1] [G2]. */
export function survives (config: Config): string[] {
  return [
    'A receipt (PUBACK, PUBREC, the ack of a Socket.IO emit) says: the message is on disk and synced,',
    `in ${resolve(config.data)}. It reaches every session that had subscribed, in order; what may be a`,
    'repetition, as the connection broke before it was acknowledged, is marked so (DUP).',
    'That survives: a client that vanishes and comes back; this server stopped, killed (kill -9) or crashed;',
    'the power failing, where the disk keeps what it reports as synced.',
    'It does not survive the loss of that disk or folder: there is no second copy.',
    `A session that is away is kept for ${expiry(config)}.`,
    `A message waits for it for ${duration(config.backlogAgeMsMax)}; how many it misses by a bound, it is told.`
  ]
}

function expiry (config: Config): string {
  const { mqttSessionExpiryMs: mqtt, websocketSessionExpiryMs: websocket, socketioSessionExpiryMs: socketio } = config
  if (mqtt === websocket && mqtt === socketio) return duration(mqtt)
  return `${duration(mqtt)} (MQTT), ${duration(websocket)} (MQTT over WebSocket), ${duration(socketio)} (Socket.IO)`
}

export function welcome (version: string, places: Places, config: Config): string {
  const mqtt = reachable(places.mqtt ?? places.mqtts!)
  const tls = places.mqtt === undefined ? ' --cafile CA.pem' : ''
  const at = `-h ${mqtt.host} -p ${mqtt.port}${tls} -q 1 -t io/_/all/hello`
  const page = places.http === undefined
    ? `https://${authority(reachable(places.https!))}`
    : `http://${authority(reachable(places.http))}`
  return [
    `Holdfast ${version}`,
    '',
    'Connect' + elsewhere(places.mqtt ?? places.mqtts!),
    ...urls(places, config).map(([name, url]) => `  ${name.padEnd(20)} ${url}`),
    '',
    'Try: start the first, stop it, publish with the second, start the first again',
    `  mosquitto_sub ${at} -i me -c`,
    `  mosquitto_pub ${at} -m '{"from":"me"}'`,
    'and a page or program with socket.io-client gets it too',
    `  io('${page}', { auth: { clientId: 'U1' } }).on('hello', console.log)`,
    '',
    'Promise',
    ...survives(config).map((line) => '  ' + line),
    '',
    ''
  ].join('\n')
}

/** The line that programs wait for; exactly one, once connections are accepted. */
export function readyLine ({ mqtt, http, mqtts, https }: Places): string {
  const open = Object.entries({ mqtt, http, mqtts, https }).flatMap(([name, address]) =>
    address === undefined ? [] : [` ${name}=${authority(address)}`])
  return `holdfast ready${open.join('')}\n`
}

/** An address that stands for all of the machine is no address to connect to. */
function reachable ({ host, port }: Address): Address {
  return { host: host === '0.0.0.0' ? '127.0.0.1' : host === '::' ? '::1' : host, port }
}

/** What to add to a heading of addresses. */
export function elsewhere ({ host }: Pick<Address, 'host'>): string {
  return host === '0.0.0.0' || host === '::' ? ' (here, or at any other address of this machine)' : ''
}
