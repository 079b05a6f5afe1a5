/**
 * Node-RED without its editor, as a process of its own: `node run.mjs FOLDER`, where FOLDER has flows.json.
 * Tells its parent 'started' once the flows run, and { took } with the payload of each message that its client takes;
 * on 'stop' it stops them as Node-RED does, and ends.
 */
import { createRequire } from 'node:module'
import { fileURLToPath } from 'node:url'

/** Where test/run.mjs has installed it. */
const PLACE = new URL('../../node_modules/.cache/node-red/', import.meta.url)
const require = createRequire(PLACE)
const runtime = require('@node-red/runtime')
const util = require('@node-red/util')

/** What only costs time to load. */
const LEFT_OUT = [
  '06-httpproxy.js', '10-file.js', '10-function.js', '10-switch.js', '16-range.js', '17-split.js', '18-sort.js',
  '19-batch.js', '21-httpin.js', '21-httprequest.js', '22-websocket.js', '23-watch.js', '31-tcpin.js', '32-udp.js',
  '70-CSV.js', '70-HTML.js', '70-JSON.js', '70-XML.js', '70-YAML.js', '80-template.js', '89-delay.js',
  '89-trigger.js', '90-exec.js', 'rbe.js'
]

/** Called for each message before it is acknowledged, whoever listens (README of MQTT.js). */
require('mqtt').MqttClient.prototype.handleMessage = (packet, done) => {
  process.send({ took: packet.payload.toString() })
  done()
}

const settings = {
  userDir: process.argv[2],
  flowFile: 'flows.json',
  coreNodesDir: fileURLToPath(new URL('node_modules/@node-red/nodes', PLACE)),
  nodesExcludes: LEFT_OUT,
  credentialSecret: false,
  telemetry: { enabled: false },
  mqttReconnectTime: 100,
  logging: { console: { level: 'warn' } }
}
util.init(settings)
runtime.init(settings)
util.events.once('flows:started', () => { process.send('started') })
process.on('message', async message => {
  if (message !== 'stop') return
  await runtime.stop()
  process.disconnect()
  process.exit()
})
await runtime.start()
