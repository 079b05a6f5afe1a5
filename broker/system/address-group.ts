/** Whom an address stands for, where addresses are counted: a host has one of version 4, and 2^64 of version 6. */
import { isIPv6 } from 'node:net'

const GROUPS = 8
const NETWORK_GROUPS = 4
const MAPPED = /^::ffff:(\d{1,3}(?:\.\d{1,3}){3})$/i

/** `203.0.113.7` as it is, also where version 6 carries it; of version 6 the /64, as `2001:db8:0:0::/64`. */
export function addressGroup (address: string): string {
  const mapped = MAPPED.exec(address)
  if (mapped !== null) return mapped[1]
  const [bare] = address.split('%', 1) // without the zone
  if (!isIPv6(bare)) return address
  const [head, tail] = bare.split('::')
  const before = head === '' ? [] : head.split(':')
  const after = tail === undefined || tail === '' ? [] : tail.split(':')
  // an address of version 4 at the end stands for two groups; it is beyond the first four in any case
  const width = (groups: readonly string[]): number => groups.length + (groups.at(-1)?.includes('.') === true ? 1 : 0)
  const zeros = tail === undefined ? 0 : GROUPS - width(before) - width(after)
  const network = [...before, ...Array<string>(Math.max(zeros, 0)).fill('0'), ...after].slice(0, NETWORK_GROUPS)
  return `${network.map((group) => Number.parseInt(group, 16).toString(16)).join(':')}::/64`
}
