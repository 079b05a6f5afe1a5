/** Options of the program around the broker: where it listens, where it keeps its data, whom it lets in. */
import { readRules } from './bridge-rules.ts'
import { AGE_MS_MAX, TIMER_MS_MAX, choice, count, flag, list, ms, port, structure, text } from './option.ts'
import type { RulesOption } from './rule.ts'

const DAY_MS = 86_400_000
/** As browsers write it: in lower case, without the port that the scheme has anyway. Apps have schemes of their own. */
const ORIGIN = /^(?!http:.*:80$|https:.*:443$)[a-z][a-z0-9+.-]*:\/\/([a-z0-9_.-]+|\[[0-9a-f:.]+\])(:\d{1,5})?$/
const ORIGIN_ENTRY = new RegExp(`^(\\*|null|loopback|same-host|file://)$|${ORIGIN.source}`)

export const SERVER_OPTIONS = {
  host: text('server', /^[^\s/[\]]+$/, 'a host name or an IP address, without brackets or port', '127.0.0.1',
    'Address to listen on, for MQTT and HTTP. Beyond loopback the server starts only with authentication, ' +
    'or with allowAnonymous.'),
  mqttPort: port('server', 1883,
    'TCP port for MQTT. With 0 the system picks a free one and the ready line names it. A program can set false: no ' +
    'port; that is its default where it hands over its own http or io and there is no authentication.'),
  httpPort: port('server', 8080,
    'TCP port for HTTP: MQTT over WebSocket, Socket.IO and health. With 0 the system picks a free one and the ready ' +
    'line names it.'),
  listenBacklogConnectionsMax: count('server', { min: 1, max: 65_535 }, 65_535,
    'Connections to each port that the system has made and the server has not taken yet, as when all clients come ' +
    'back at once. Beyond it the system lets clients wait and try again. It is never more than the bound of the ' +
    'system (net.core.somaxconn of Linux).'),
  data: text('server', /^[^\0]+$/, 'the path of a folder', './data',
    'Folder of the log and the sessions; made if it is not there, used by one server at a time. A relative path is ' +
    'taken from the working directory, wherever the option was set.'),
  config: text('server', /^[^\0]*$/, 'the path of a file', '',
    'JSON file with any of these options, by name, but this one. A flag or a variable goes before what the file says.'),
  mqttPath: text('server', /^\/[^\s?#]*$/, 'a path that begins with /', '/mqtt',
    'Path of MQTT over WebSocket on the HTTP port; not below socketioPath.'),
  socketioPath: text('server', /^(\/[^\s?#/]+)+$/, 'a path like /socket.io or /chat/socket.io, no slash at the end',
    '/socket.io',
    'Path of Socket.IO on the HTTP port; clients set it as their option path. For a proxy that hands on /chat/... as ' +
    'it is. On a program\'s own Socket.IO server (io) that server\'s path is in force.'),
  logLevel: choice('server', ['debug', 'info', 'warn', 'error', 'silent'], 'info',
    'Least serious kind of line that is logged. The log goes to standard error; it never holds a payload or a secret.'),
  logFormat: choice('server', ['auto', 'json', 'pretty'], 'auto',
    'Form of the log: one JSON object a line, or readable lines. auto is pretty on a terminal, json elsewhere.'),
  shutdownGraceMs: ms('server', { min: 100, max: TIMER_MS_MAX }, 10_000,
    'Time for a stop on SIGTERM or SIGINT: to sync what was accepted and to close clients. After it the process ' +
    'exits with code 1; what got a receipt is on disk all the same [G1].'),

  mqttWebsocket: flag('access', true,
    'Lets MQTT clients in over WebSocket, at mqttPath. Without it that path is nothing of ours. In a program that ' +
    'hands over its own http or io the default is false while there is no authentication: MQTT would pass by ' +
    'whatever the program asks of its clients.'),
  allowAnonymous: flag('access', false,
    'Without authentication: lets the server listen beyond loopback, so that everybody who reaches it can read and ' +
    'write every topic; such a start is refused without it. With authentication: lets in who shows no credentials, ' +
    'as the principal anonymous; wrong ones are refused all the same.'),
  allowedOrigins: list('access', ORIGIN_ENTRY,
    'an origin like https://app.example.com (lower case, no path, no slash at the end, no default port), loopback, ' +
    'same-host, null or *', ['loopback', 'same-host'],
    'Which pages may connect, by the origin that their browser tells; MQTT over WebSocket and Socket.IO refuse ' +
    'others with 403; a program that is no browser is not concerned. loopback stands for any page from localhost, ' +
    '127.0.0.0/8 or [::1]; same-host for any from the host that it asks for, while access is anonymous only if that ' +
    'is an IP address, as anybody can make a name point here; null for files and sandboxed frames; * for every page ' +
    'of the web. What is set replaces the default.'),

  refusedMessages: choice('incoming', ['acknowledge', 'disconnect'], 'acknowledge',
    'What becomes of a message over MQTT that can never be taken (no right, a reserved topic, too large). ' +
    'acknowledge: it gets its receipt and is dropped, counted and logged, and a will that can never be taken is left ' +
    'out; disconnect: its connection ends without a receipt, so that a client that sends it again sends nothing else.'),
  qos0Messages: choice('incoming', ['pass', 'keep'], 'pass',
    'What becomes of a message that a client publishes at QoS 0 over MQTT. pass: it goes to whoever is connected, ' +
    'and is never stored. keep: it is taken as if it had come at QoS 1, but without a receipt, for devices that can ' +
    'publish at QoS 0 alone: sessions with a filter of QoS 1 or 2 get it at QoS 1, also those that were away. Wills ' +
    'are not concerned.'),

  mqttSessionExpiryMs: ms('sessions', { min: 0, max: AGE_MS_MAX }, DAY_MS,
    'How long a session from MQTT over TCP is kept after its connection is gone. Then it ends, with what waited for ' +
    'it. Time while the server is down counts.'),
  websocketSessionExpiryMs: ms('sessions', { min: 0, max: AGE_MS_MAX }, DAY_MS,
    'The same for a session from MQTT over WebSocket.'),
  socketioSessionExpiryMs: ms('sessions', { min: 0, max: AGE_MS_MAX }, DAY_MS,
    'The same for a session from Socket.IO.'),

  recoveryExpiryMs: ms('sessions', { min: 0, max: AGE_MS_MAX }, 120_000,
    'The same for a Socket.IO client that gave no client id and whose cookie has not come back: it can only ' +
    'reconnect soon.'),

  recoveryOffset: choice('socketio', ['event', 'argument', 'off'], 'event',
    'Where a Socket.IO client gets the offset that clients from 4.6 on bring back, so that nothing they handled ' +
    'comes again. event: as an event holdfast:offset behind what is written together, which only onAny sees (a ' +
    'message that ends in no text comes again if the link breaks between the two); argument: as one more string at ' +
    'the end of each message, without that gap; off: nowhere, so that a handler can run again for what was under way.'),
  deviceCookie: text('socketio', /^[\w.-]*$/, 'a name of letters, digits and . _ -, or empty', 'holdfast',
    'Name of the cookie by which a browser is known again after a reload, if its page gives no client id. Empty: ' +
    'none.'),
  pingIntervalMs: ms('socketio', { min: 10, max: TIMER_MS_MAX }, 25_000,
    'How often a Socket.IO connection is pinged.'),
  pingTimeoutMs: ms('socketio', { min: 10, max: TIMER_MS_MAX }, 20_000,
    'Time a Socket.IO client has to answer a ping. Then its connection is closed; its session goes on.'),
  eio3PingIntervalMs: ms('socketio', { min: 10, max: TIMER_MS_MAX }, 5_000,
    'How often a Socket.IO client of version 2 pings, if sooner than pingIntervalMs. A message counts as received ' +
    'one to two of these intervals after the client handled it, and comes again if the connection breaks before.'),
  eio3InflightMessagesMax: count('socketio', { min: 1, max: 65_535 }, 1_024,
    'Messages sent to the session of a client of version 2 and not yet proven, in place of inflightMessagesMax. It ' +
    'gets no more than so many in one of its ping intervals.'),
  eio3Proof: choice('socketio', ['heartbeat', 'transport'], 'heartbeat',
    'What counts as received for a client of version 2. heartbeat: its handlers ran; transport: its WebSocket or its ' +
    'polling took it, known after one round trip; what a client had not handled when it was killed or left is then ' +
    'lost.'),
  socketioDeflate: flag('socketio', false,
    'Compresses what goes over the WebSockets of Socket.IO clients (permessage-deflate), from 1 KiB on. It costs ' +
    'time and memory for each connection. Responses to polls are compressed in any case where the client takes it.'),
  tornEventHoldMs: ms('socketio', { min: 0, max: TIMER_MS_MAX }, 10_000,
    'Some Socket.IO clients before 4.6 hear nothing any more after a WebSocket that broke inside an event with ' +
    'bytes, and answer pings all the same. After such a break what a client proves counts only once it has emitted ' +
    'something, or after this time without another connection of it. Longer than the reconnectionDelay of your ' +
    'clients, at most half of ackTimeoutMs; 0: counts at once. See docs/legacy-clients.md.'),
  rules: structure<RulesOption>('socketio', (value) => readRules(value).problems, 'an object of rules', {},
    'What events of Socket.IO clients become as messages, and the other way round, and which namespaces there are: ' +
    'see docs/rules.md. Without rules events travel as docs/socketio.md says.'),
  rulesModule: text('socketio', /^[^\0]*$/, 'the path of a JavaScript module', '',
    'The same as a module of Node.js whose default export is the object of rules, so that functions can stand for ' +
    'rules. It runs as a part of the server. A relative path is taken from the working directory.')
} as const
