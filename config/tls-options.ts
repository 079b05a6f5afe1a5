/** Options of encryption, of client certificates, and of proxies that may say for whom they speak. */
import { TIMER_MS_MAX, choice, list, ms, port, text } from './option.ts'

const FILE = /^[^\0]*$/
/** Whether it is an address or a network is looked at in rules.ts. */
const ADDRESS = /^(loopback|[0-9a-fA-F:.]+(\/\d{1,3})?)$/

export const TLS_OPTIONS = {
  tlsCert: text('tls', FILE, 'the path of a file', '',
    'File with the certificate of the server and those between it and its authority (PEM, as fullchain.pem of ' +
    'certbot). With it mqttsPort and httpsPort are open, for TLS 1.2 and 1.3. A renewed one is taken without a ' +
    'restart, see tlsWatchMs.'),
  tlsKey: text('tls', FILE, 'the path of a file', '', 'File with the private key of tlsCert (PEM).'),
  tlsKeyPassphraseFile: text('tls', FILE, 'the path of a file', '',
    'File whose first line is the passphrase of tlsKey, where that is encrypted.'),
  tlsClientCa: text('tls', FILE, 'the path of a file', '',
    'File with the certificates of the authorities (PEM) whose client certificates are accepted.'),
  tlsClientCertificate: choice('tls', ['off', 'optional', 'required'], 'off',
    'Whether clients show a certificate of tlsClientCa. optional: who shows none may show something else; required: ' +
    'nobody gets through TLS without one, not even to health. A certificate of anybody else is refused in both.'),
  tlsWatchMs: ms('tls', { min: 50, max: TIMER_MS_MAX }, 10_000,
    'How often is looked whether the files of TLS have changed. Once they are the same twice in a row they are taken ' +
    'for new connections; open ones go on. What is no good is refused and logged, and the old ones stay in force.'),
  mqttsPort: port('tls', 8883,
    'TCP port for MQTT over TLS, open with tlsCert. With 0 the system picks a free one and the ready line names it.'),
  httpsPort: port('tls', 8443,
    'TCP port for HTTPS: MQTT over WebSocket and Socket.IO (wss, https) and health, open with tlsCert. With 0 the ' +
    'system picks a free one and the ready line names it.'),
  tlsPlainPorts: choice('tls', ['auto', 'open', 'closed'], 'auto',
    'Whether mqttPort and httpPort, which are not encrypted, are open beside the ports of TLS. auto: on loopback ' +
    'only; without tlsCert they are open in any case.'),
  trustedProxies: list('tls', ADDRESS,
    'an IP address, a network like 10.0.0.0/8 or fd00::/8, or loopback', [],
    'Who may say for whom they speak: proxies and load balancers before the server. From them forwardedHeader and ' +
    'proxyProtocol count, and the address that they tell is the client\'s, in the log, in limits and for ' +
    'authentication; from anybody else neither does.'),
  forwardedHeader: choice('tls', ['x-forwarded-for', 'forwarded', 'off'], 'x-forwarded-for',
    'Header in which trustedProxies tell the address of their client over HTTP; of several addresses the last counts ' +
    'that is no trusted proxy. Only the one that your proxy sets: others it hands on as the client wrote them.'),
  proxyProtocol: choice('tls', ['off', 'v1v2'], 'off',
    'PROXY protocol of HAProxy, version 1 or 2, at all ports: v1v2: every connection of trustedProxies must begin ' +
    'with its header, before TLS; those of others must not.')
} as const
