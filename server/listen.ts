/** Listening on an address, and saying in a line why that did not work. */
import type { Server } from 'node:net'
import { flagOf } from '../config/option.ts'

/** Where something listens. */
export interface Address {
  /** An IP address, without brackets. */
  readonly host: string
  readonly port: number
}

/** The option that would have to change. */
export type PortOption = 'mqttPort' | 'httpPort' | 'mqttsPort' | 'httpsPort' | 'metricsPort'

/** An address could not be listened on. The message names it, the option, and what to do. */
export class ListenError extends Error {
  constructor (what: string, address: Address, option: PortOption, cause: NodeJS.ErrnoException) {
    super(`${what} can't listen on ${authority(address)}: ${reason(cause, option)}`, { cause })
    this.name = 'ListenError'
  }
}

/** `127.0.0.1:1883`, `[::1]:1883`. */
export function authority ({ host, port }: Address): string {
  return `${host.includes(':') ? `[${host}]` : host}:${port}`
}

/** Port 0 lets the system pick. @throws ListenError */
export async function listen (server: Server, what: string, wanted: Address, option: PortOption,
  backlog: number): Promise<Address> {
  try {
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject)
      server.listen({ host: wanted.host, port: wanted.port, backlog }, () => {
        server.off('error', reject)
        resolve()
      })
    })
  } catch (error) {
    throw new ListenError(what, wanted, option, error as NodeJS.ErrnoException)
  }
  return addressOf(server)!
}

/** Undefined where it does not listen, or not on an IP address. */
export function addressOf (server: Server): Address | undefined {
  const address = server.address()
  return address === null || typeof address === 'string' ? undefined : { host: address.address, port: address.port }
}

function reason (error: NodeJS.ErrnoException, option: PortOption): string {
  const host = option === 'metricsPort' ? '--metrics-host (metricsHost)' : '--host (host)'
  const another = `choose another port with ${flagOf(option)} (${option})`
  switch (error.code) {
    case 'EADDRINUSE': return `the port is in use; stop the program that has it, or ${another}`
    case 'EACCES': return `this user may not use the port; ${another}, above 1023`
    case 'EADDRNOTAVAIL': return 'this machine has no such address; correct ' + host
    case 'ENOTFOUND':
    case 'EAI_AGAIN': return 'the host name is not known; correct ' + host
    default: return `${error.code ?? error.message}; check ${host} and ${flagOf(option)} (${option})`
  }
}
