/** Bounds on strangers by their address [G6] [G8]. */
import { count } from './option.ts'

const COUNT_MAX = 10_000_000

export const EDGE_LIMITS = {
  handshakesMax: count('incoming', { min: 1, max: COUNT_MAX }, 1_000,
    'Connections to MQTT and, counted apart, to HTTP that are not through with TLS or the PROXY protocol, for ' +
    'connectTimeoutMs at most. Further ones are closed at once and logged.'),
  connectionsPerAddressMax: count('incoming', { min: 1, max: COUNT_MAX }, 1_000,
    'Connections from one address (of IPv6: one /64 network) that are open at the same time, over TCP and, counted ' +
    'apart, over HTTP and with Socket.IO. Further ones are closed at once and logged. Loopback and trustedProxies ' +
    'themselves have no such bound; behind a proxy the address of its client counts.'),
  connectionAttemptsPerAddressPerMinuteMax: count('incoming', { min: 1, max: COUNT_MAX }, 3_000,
    'Connections that one address may begin in a minute, counted as in connectionsPerAddressMax; as many may come at ' +
    'once. Further ones are closed at once and logged.'),
  addressesMax: count('incoming', { min: 100, max: COUNT_MAX }, 100_000,
    'Addresses whose attempts are remembered. Beyond it those that were heard of longest ago are forgotten, as if ' +
    'they had been silent.')
} as const
