/** Addresses and networks of the Internet Protocol, as options name them. */
import { BlockList, isIP } from 'node:net'

export interface Network {
  readonly address: string
  /** Length of the prefix in bits. */
  readonly bits: number
  readonly family: 'ipv4' | 'ipv6'
}

const LOOPBACK: readonly Network[] = [
  { address: '127.0.0.0', bits: 8, family: 'ipv4' }, { address: '::1', bits: 128, family: 'ipv6' }
]

/** `10.0.0.0/8`, `fd00::1`, or `loopback`, which is two networks; undefined where it is none of them. */
export function networksOf (text: string): readonly Network[] | undefined {
  if (text === 'loopback') return LOOPBACK
  const [address, prefix, ...more] = text.split('/')
  const version = isIP(address)
  const bitsMax = version === 4 ? 32 : 128
  const bits = prefix === undefined ? bitsMax : Number(prefix)
  if (version === 0 || more.length > 0 || prefix === '' || !Number.isInteger(bits) || bits > bitsMax) return undefined
  return [{ address, bits, family: version === 4 ? 'ipv4' : 'ipv6' }]
}

/** @param texts of which each is one, see networksOf() */
export function blockListOf (texts: readonly string[]): BlockList {
  const list = new BlockList()
  for (const { address, bits, family } of texts.flatMap((text) => networksOf(text) ?? [])) {
    list.addSubnet(address, bits, family)
  }
  return list
}
