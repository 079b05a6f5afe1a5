import t from 'tap'
import { PROXY_HEADER_BYTES_MAX, readProxyHeader } from '../../server/net/proxy-header.ts'
import { createRandom } from '../helpers/random.ts'

const SIGNATURE = Buffer.from('0d0a0d0a000d0a515549540a', 'hex')

function binary (command: number, family: number, body: Buffer, version = 2): Buffer {
  const fixed = Buffer.from([version << 4 | command, family, body.length >>> 8, body.length & 0xff])
  return Buffer.concat([SIGNATURE, fixed, body])
}

const V4 = Buffer.from([192, 0, 2, 1, 198, 51, 100, 1, 0xdc, 0x04, 0x01, 0xbb])
const V6 = Buffer.concat([
  Buffer.from('20010db8000000000000000000000001', 'hex'), Buffer.from('20010db8000000000000000000000002', 'hex'),
  Buffer.from([0xdc, 0x04, 0x01, 0xbb])
])

const LONGEST = 'ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff'

/** Each with the examples of the specification: its header, and what comes behind it. */
const GOOD: ReadonlyArray<readonly [string, Buffer, string | undefined]> = [
  ['v1, TCP4', Buffer.from('PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535\r\n'), '255.255.255.255'],
  ['v1, TCP6', Buffer.from(`PROXY TCP6 ${LONGEST} ${LONGEST} 65535 65535\r\n`), LONGEST],
  ['v1, UNKNOWN, short', Buffer.from('PROXY UNKNOWN\r\n'), undefined],
  ['v1, UNKNOWN, with addresses', Buffer.from('PROXY UNKNOWN ffff::1 ffff::2 65535 65535\r\n'), undefined],
  ['v2, TCP4', binary(1, 0x11, V4), '192.0.2.1'],
  ['v2, TCP4 with TLVs', binary(1, 0x11, Buffer.concat([V4, Buffer.from([0x04, 0, 3, 1, 2, 3])])), '192.0.2.1'],
  ['v2, TCP6', binary(1, 0x21, V6), '2001:db8::1'],
  ['v2, LOCAL', binary(0, 0x00, Buffer.alloc(0)), undefined],
  ['v2, LOCAL with an address that does not count', binary(0, 0x11, V4), undefined],
  ['v2, unspecified', binary(1, 0x00, Buffer.alloc(5)), undefined],
  ['v2, a socket of the file system', binary(1, 0x31, Buffer.alloc(216)), undefined]
]

const BAD: ReadonlyArray<readonly [string, Buffer]> = [
  ['nothing of it', Buffer.from('GET / HTTP/1.1\r\n')],
  ['TLS', Buffer.from([0x16, 0x03, 0x01])],
  ['v1, another protocol', Buffer.from('PROXY UDP4 192.0.2.1 192.0.2.2 1 2\r\n')],
  ['v1, a name for an address', Buffer.from('PROXY TCP4 localhost 192.0.2.2 1 2\r\n')],
  ['v1, leading zero in an address', Buffer.from('PROXY TCP4 192.0.02.1 192.0.2.2 1 2\r\n')],
  ['v1, family and address differ', Buffer.from('PROXY TCP4 ::1 ::1 1 2\r\n')],
  ['v1, a port beyond 65535', Buffer.from('PROXY TCP4 192.0.2.1 192.0.2.2 65536 2\r\n')],
  ['v1, a port with a leading zero', Buffer.from('PROXY TCP4 192.0.2.1 192.0.2.2 01 2\r\n')],
  ['v1, two spaces', Buffer.from('PROXY TCP4  192.0.2.1 192.0.2.2 1 2\r\n')],
  ['v1, one more word', Buffer.from('PROXY TCP4 192.0.2.1 192.0.2.2 1 2 3\r\n')],
  ['v1, too long a line', Buffer.from(`PROXY UNKNOWN ${'x'.repeat(200)}\r\n`)],
  ['v1, a zone', Buffer.from('PROXY TCP6 fe80::1%eth0 ::1 1 2\r\n')],
  ['v2, version 3', binary(1, 0x11, V4, 3)],
  ['v2, command 2', binary(2, 0x11, V4)],
  ['v2, UDP', binary(1, 0x12, V4)],
  ['v2, too short for its addresses', binary(1, 0x11, V4.subarray(0, 11))],
  ['v2, too short for those of version 6', binary(1, 0x21, V6.subarray(0, 35))],
  ['v2, too long', binary(1, 0x11, Buffer.alloc(PROXY_HEADER_BYTES_MAX))]
]

t.test('each form of the specification is read, and what comes behind it is left', async t => {
  for (const [name, header, address] of GOOD) {
    const expected = address === undefined
      ? { kind: 'itself', bytes: header.length }
      : { kind: 'client', bytes: header.length, address }
    t.same(readProxyHeader(header), expected, name)
    t.same(readProxyHeader(Buffer.concat([header, Buffer.from('\r\nPROXY ')])), expected, `${name}, and more`)
  }
})

t.test('however a header is cut, it is not read before it is whole', async t => {
  for (const [name, header] of GOOD) {
    const cut = [...header.keys()].filter((length) => readProxyHeader(header.subarray(0, length)).kind !== 'more')
    t.same(cut, [], name)
  }
})

t.test('anything else is refused', async t => {
  for (const [name, header] of BAD) t.equal(readProxyHeader(header).kind, 'wrong', name)
})

t.test('[G6] no bytes make it throw, or wait for more than its bound', async t => {
  const random = createRandom(20_261_128)
  const beginnings = [SIGNATURE, Buffer.from('PROXY '), Buffer.from('PROXY TCP4 '), Buffer.alloc(0)]
  const wrong: string[] = []
  for (let round = 0; round < 20_000; round++) {
    const rest = random.bytes(random.int(60))
    const bytes = Buffer.concat([beginnings[round % beginnings.length], rest])
    const read = readProxyHeader(bytes)
    if ('bytes' in read && (read.bytes < 1 || read.bytes > bytes.length)) wrong.push(bytes.toString('hex'))
    const filled = Buffer.concat([bytes, Buffer.alloc(PROXY_HEADER_BYTES_MAX, 'x')])
    if (readProxyHeader(filled).kind === 'more') wrong.push(`waits: ${bytes.toString('hex')}`)
  }
  t.same(wrong, [])
})
