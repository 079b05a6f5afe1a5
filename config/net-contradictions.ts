/** What options of ports, TLS and proxies must hold together. */
import type { Contradiction } from './contradiction.ts'
import { isLoopback } from './loopback.ts'
import { networksOf } from './networks.ts'
import type { Config } from './schema.ts'

const PORT_OF = { mqttPort: 'MQTT', httpPort: 'HTTP', mqttsPort: 'MQTT over TLS', httpsPort: 'HTTPS' } as const

export const NET_CONTRADICTIONS: readonly Contradiction[] = [
  ...pairsOf(['mqttPort', 'httpPort', 'mqttsPort', 'httpsPort'] as const).map(([one, other]): Contradiction => ({
    options: [one, other],
    broken: (config) => config[one] === config[other] && config[one] !== 0 && isOpen(one, config) &&
      isOpen(other, config)
      ? `${PORT_OF[one]} and ${PORT_OF[other]} can't share port ${config[one]}; choose two`
      : undefined
  })),
  {
    options: ['tlsCert', 'tlsKey'],
    broken: ({ tlsCert, tlsKey }) => (tlsCert === '') !== (tlsKey === '')
      ? `${tlsCert === '' ? 'tlsCert, the certificate of that key' : 'tlsKey, the key of that certificate'}, is missing`
      : undefined
  },
  ...(['tlsKeyPassphraseFile', 'tlsClientCa'] as const).map((name): Contradiction => ({
    options: [name, 'tlsCert'],
    broken: (config) => config[name] !== '' && config.tlsCert === ''
      ? `without tlsCert and tlsKey there is no TLS, and ${name} would mean nothing`
      : undefined
  })),
  {
    options: ['tlsPlainPorts', 'tlsCert'],
    broken: ({ tlsPlainPorts, tlsCert }) => tlsPlainPorts === 'closed' && tlsCert === ''
      ? 'without tlsCert and tlsKey no port would be open'
      : undefined
  },
  {
    options: ['tlsClientCertificate', 'tlsClientCa'],
    broken ({ tlsClientCertificate: asks, tlsClientCa: ca }) {
      if (ca === '') return asks === 'off' ? undefined : 'name the authorities of client certificates in tlsClientCa'
      return asks === 'off'
        ? 'say whether clients must show a certificate: tlsClientCertificate required or optional'
        : undefined
    }
  },
  {
    options: ['trustedProxies'],
    broken ({ trustedProxies }) {
      const wrong = trustedProxies.find((text) => networksOf(text) === undefined)
      return wrong === undefined ? undefined : `${wrong} is no IP address and no network like 10.0.0.0/8 or fd00::/8`
    }
  },
  {
    options: ['proxyProtocol', 'trustedProxies'],
    broken: ({ proxyProtocol, trustedProxies }) => proxyProtocol !== 'off' && trustedProxies.length === 0
      ? 'name the proxies that send it in trustedProxies; from nobody else is it taken'
      : undefined
  }
]

type PortOption = keyof typeof PORT_OF

/** A port that is not listened on contradicts no other. */
function isOpen (option: PortOption, config: Config): boolean {
  return option === 'mqttsPort' || option === 'httpsPort' ? config.tlsCert !== '' : arePlainPortsOpen(config)
}

/** Those that are not encrypted. */
export function arePlainPortsOpen (
  { tlsCert, tlsPlainPorts, host }: Pick<Config, 'tlsCert' | 'tlsPlainPorts' | 'host'>
): boolean {
  if (tlsCert === '' || tlsPlainPorts === 'open') return true
  return tlsPlainPorts === 'auto' && isLoopback(host)
}

function pairsOf<T> (all: readonly T[]): Array<readonly [T, T]> {
  return all.flatMap((one, at) => all.slice(at + 1).map((other) => [one, other] as const))
}
