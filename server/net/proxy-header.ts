/**
 * The header that a proxy puts before a connection to say for whom it speaks: PROXY protocol, versions 1 and 2
 * (haproxy.org/download/2.9/doc/proxy-protocol.txt). Pure: owns no socket.
 */
import { isIPv4, isIPv6 } from 'node:net'

export type ProxyHeader =
  /** It is cut. */
  | { readonly kind: 'more' }
  /** The proxy speaks for a client at `address`; so many bytes were the header. */
  | { readonly kind: 'client', readonly bytes: number, readonly address: string }
  /** The proxy speaks for itself, as when it asks how the server is, or does not know for whom. */
  | { readonly kind: 'itself', readonly bytes: number }
  | { readonly kind: 'wrong', readonly says: string }

/** With what version 2 may say besides (TLVs); a client certificate is the longest that is known to be sent. */
export const PROXY_HEADER_BYTES_MAX = 4_096

/** Section 2.1: with its line break. */
const LINE_BYTES_MAX = 107
const LINE_BEGINNING = Buffer.from('PROXY ')
const SIGNATURE = Buffer.from('\r\n\r\n\0\r\nQUIT\n', 'latin1')
const FIXED_BYTES = 16
const PORT = /^(0|[1-9]\d{0,4})$/
const PORT_MAX = 65_535

const MORE: ProxyHeader = { kind: 'more' }

export function readProxyHeader (bytes: Buffer): ProxyHeader {
  if (begins(bytes, SIGNATURE)) return bytes.length < FIXED_BYTES ? MORE : readBinary(bytes)
  if (begins(bytes, LINE_BEGINNING)) return readLine(bytes)
  return wrong('there is none')
}

function begins (bytes: Buffer, beginning: Buffer): boolean {
  const length = Math.min(bytes.length, beginning.length)
  return bytes.compare(beginning, 0, length, 0, length) === 0
}

function wrong (says: string): ProxyHeader { return { kind: 'wrong', says } }

/** Version 1: `PROXY TCP4 192.0.2.1 198.51.100.1 56324 443\r\n`. */
function readLine (bytes: Buffer): ProxyHeader {
  const end = bytes.subarray(0, LINE_BYTES_MAX).indexOf('\r\n')
  if (end < 0) return bytes.length < LINE_BYTES_MAX ? MORE : wrong(`its line is longer than ${LINE_BYTES_MAX} bytes`)
  const line = bytes.toString('latin1', 0, end)
  const [, family, source, destination, sourcePort, destinationPort, ...rest] = line.split(' ')
  if (family === 'UNKNOWN') return { kind: 'itself', bytes: end + 2 }
  const isAddress = family === 'TCP4' ? isIPv4 : family === 'TCP6' ? isIPv6 : undefined
  if (isAddress === undefined) return wrong('its protocol is none of TCP4, TCP6 and UNKNOWN')
  if (rest.length > 0 || !isAddress(source ?? '') || !isAddress(destination ?? '') || !isPort(sourcePort) ||
    !isPort(destinationPort)) return wrong('its line is not two addresses and two ports')
  return source.includes('%') ? wrong('its address has a zone') : { kind: 'client', bytes: end + 2, address: source }
}

function isPort (text: string | undefined): boolean {
  return text !== undefined && PORT.test(text) && Number(text) <= PORT_MAX
}

/** Version 2 (section 2.2): signature, version and command, family and protocol, length, addresses, TLVs. */
function readBinary (bytes: Buffer): ProxyHeader {
  const version = bytes[12] >>> 4
  const command = bytes[12] & 0x0f
  const family = bytes[13]
  const length = bytes.readUInt16BE(14)
  const end = FIXED_BYTES + length
  if (version !== 2) return wrong(`its version is ${version}, and 1 and 2 are known`)
  if (command > 1) return wrong(`its command is ${command}, and 0 and 1 are known`)
  if (end > PROXY_HEADER_BYTES_MAX) return wrong(`it is longer than ${PROXY_HEADER_BYTES_MAX} bytes`)
  if (bytes.length < end) return MORE
  if (command === 0) return { kind: 'itself', bytes: end }
  switch (family) {
    case 0x00: // unspecified
    case 0x31: // a socket of the file system
      return { kind: 'itself', bytes: end }
    case 0x11:
      return length < 12 ? wrong('it is too short for its addresses') : client(end, bytes.subarray(16, 20).join('.'))
    case 0x21:
      return length < 36 ? wrong('it is too short for its addresses') : client(end, ipv6(bytes.subarray(16, 32)))
    default:
      return wrong(`its family and protocol are 0x${family.toString(16)}, which is not TCP`)
  }
}

function client (bytes: number, address: string): ProxyHeader { return { kind: 'client', bytes, address } }

function ipv6 (bytes: Buffer): string {
  const groups = Array.from({ length: 8 }, (_, group) => bytes.readUInt16BE(2 * group).toString(16))
  return new URL(`http://[${groups.join(':')}]`).hostname.slice(1, -1) // shortened (RFC 5952)
}
