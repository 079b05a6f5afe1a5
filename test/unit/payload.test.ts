/** Payloads of polling requests, packet by packet, against Engine.IO's own parsers, which take them whole. */
import { createRequire } from 'node:module'
import t from 'tap'
import * as parser4 from 'engine.io-parser'
import { Payload } from '../../bridge/socketio/wire/payload.ts'

type Data = string | Buffer
type Read = (payload: Data) => unknown[]

const load = createRequire(createRequire(import.meta.url).resolve('engine.io'))
const parser3 = load('./parser-v3/index.js') as {
  decodePayload: (data: Data, callback: (packet: unknown) => void) => void
}

const READ: Record<3 | 4, Read> = {
  4: payload => parser4.decodePayload(payload as string),
  3: payload => {
    const packets: unknown[] = []
    parser3.decodePayload(payload, packet => { packets.push(packet) })
    return packets
  }
}

function pieces (payload: Data, revision: 3 | 4): unknown[] {
  const read = new Payload(payload, revision)
  const packets: unknown[] = []
  for (let piece = read.next(); piece !== undefined; piece = read.next()) packets.push(...READ[revision](piece))
  return packets
}

const bytes3 = (...packets: string[]): Buffer => Buffer.concat(packets.map(packet =>
  Buffer.from([0, ...String(packet.length).split('').map(Number), 255, ...Buffer.from(packet, 'latin1')])))
const binary3 = (payload: number[]): Buffer =>
  Buffer.from([1, ...String(payload.length + 1).split('').map(Number), 255, 4, ...payload])

t.test('packets come one at a time and are what they are in the whole', async t => {
  const cases: Array<[3 | 4, Data]> = [
    [4, '42["a"]'], [4, '42["a"]\x1e3\x1e42["b",1]\x1ebAAEC\x1e1'], [4, '2\x1e2'],
    [3, '7:42["a"]'], [3, '7:42["a"]1:39:42["b",1]6:b4AAEC1:1'], [3, '8:42["日本"]1:2'], [3, '0:1:2'], [3, '002:42'],
    [3, bytes3('42["a"]', '3', '42["b"]')], [3, Buffer.concat([bytes3('42["a"]'), binary3([1, 2, 255]), bytes3('2')])]
  ]
  for (const [revision, payload] of cases) {
    t.same(pieces(payload, revision), READ[revision](payload), JSON.stringify(payload))
  }
})

t.test('what is no payload ends in the parser\'s error, as it does in the whole', async t => {
  const cases: Array<[3 | 4, Data]> = [
    [4, ''], [4, 'x'], [4, '42["a"]\x1e'], [4, '\x1e42["a"]'],
    [3, ''], [3, ':'], [3, '42["a"]'], [3, '7:42["a"]9'], [3, '7:42["a"]99:2'], [3, '99999999999999:2'], [3, '-1:2']
  ]
  for (const [revision, payload] of cases) {
    const isError = (packet: unknown): boolean => (packet as { type: string }).type === 'error'
    const [got, wanted] = [pieces(payload, revision), READ[revision](payload)]
    // behind the first error Engine.IO has closed the connection
    t.same(got.slice(0, got.findIndex(isError) + 1), wanted.slice(0, wanted.findIndex(isError) + 1),
      JSON.stringify(payload))
    t.ok(got.some(isError))
  }
})

t.test('[G8] of a megabyte of packets no more than one is looked at', async t => {
  const payload = new Payload('2\x1e'.repeat(500_000), 4)
  t.equal(payload.next(), '2')
  t.equal(payload.next(), '2')
})
