import t from 'tap'
import { readAlternativeNames } from '../../broker/auth/peer-certificate.ts'
import { addressGroup } from '../../broker/system/address-group.ts'
import { AddressGate } from '../../broker/system/address-gate.ts'
import { Bucket, Buckets } from '../../broker/system/buckets.ts'
import { silent } from '../../broker/system/logger.ts'
import { Refusals } from '../../broker/system/refusals.ts'
import { Proxies } from '../../server/net/proxies.ts'
import { createManualClock, type ManualClock } from '../helpers/manual-clock.ts'

const trustedProxies = ['10.0.0.0/8', 'fd00::/8', 'loopback']

t.test('only trusted proxies are believed, and of addresses the last that is none of them', async t => {
  const proxies = new Proxies({ trustedProxies, forwardedHeader: 'x-forwarded-for' })
  const of = (peer: string, value?: string): string =>
    proxies.clientOf(peer, value === undefined ? {} : { 'x-forwarded-for': value })
  t.equal(of('203.0.113.9', '192.0.2.1'), '203.0.113.9', 'a stranger claims')
  t.equal(of('10.1.2.3', '192.0.2.1'), '192.0.2.1')
  t.equal(of('::ffff:10.1.2.3', '192.0.2.1'), '192.0.2.1', 'a proxy of version 4 at a port of version 6')
  t.equal(of('127.0.0.1', '6.6.6.6, 192.0.2.1'), '192.0.2.1', 'what the client itself wrote stands first')
  t.equal(of('10.1.2.3', '6.6.6.6, 192.0.2.1, 10.9.9.9'), '192.0.2.1', 'two proxies')
  t.equal(of('10.1.2.3', '6.6.6.6, unknown, 10.9.9.9'), '10.9.9.9', 'nothing counts before what is no address')
  t.equal(of('fd00::1', '[2001:db8::1]:4711'), '2001:db8::1')
  t.equal(of('fd00::1', '192.0.2.1:4711'), '192.0.2.1')
  t.equal(of('10.1.2.3'), '10.1.2.3')
  t.equal(of('10.1.2.3', ''), '10.1.2.3')
  t.equal(of('10.1.2.3', '192.0.2.1; rm'), '10.1.2.3')
  t.equal(proxies.clientOf('10.1.2.3', { forwarded: 'for=6.6.6.6' }), '10.1.2.3', 'the other header is the client\'s')
})

t.test('Forwarded is read as RFC 7239 has it', async t => {
  const proxies = new Proxies({ trustedProxies, forwardedHeader: 'forwarded' })
  const of = (forwarded: string): string => proxies.clientOf('10.1.2.3', { forwarded, 'x-forwarded-for': '6.6.6.6' })
  t.equal(of('for=192.0.2.43'), '192.0.2.43')
  t.equal(of('For="[2001:db8:cafe::17]:4711"'), '2001:db8:cafe::17')
  t.equal(of('for=192.0.2.60;proto=http;by=203.0.113.43'), '192.0.2.60')
  t.equal(of('by=203.0.113.43; for=192.0.2.60'), '192.0.2.60')
  t.equal(of('for=6.6.6.6, for=198.51.100.17'), '198.51.100.17')
  t.equal(of('for="6.6.6.6, for=7.7.7.7", for=198.51.100.17'), '198.51.100.17')
  t.equal(of('for="_gazonk"'), '10.1.2.3', 'a name that hides')
  t.equal(of('proto=https'), '10.1.2.3')
})

t.test('nobody is trusted where nobody is named, whatever the header says', async t => {
  const proxies = new Proxies({ trustedProxies: [], forwardedHeader: 'x-forwarded-for' })
  t.equal(proxies.clientOf('127.0.0.1', { 'x-forwarded-for': '192.0.2.1' }), '127.0.0.1')
  const off = new Proxies({ trustedProxies, forwardedHeader: 'off' })
  t.equal(off.clientOf('127.0.0.1', { 'x-forwarded-for': '192.0.2.1' }), '127.0.0.1')
})

interface Gated { readonly gate: AddressGate, readonly refusals: Refusals, readonly clock: ManualClock }

function gateOf (limits: { readonly connections: number, readonly attempts: number }): Gated {
  const clock = createManualClock(0)
  const refusals = new Refusals({ clock, log: silent })
  const gate = new AddressGate({
    limits: {
      connectionsPerAddressMax: limits.connections,
      connectionAttemptsPerAddressPerMinuteMax: limits.attempts,
      addressesMax: 100
    },
    clock,
    refusals,
    of: 'of MQTT',
    isExempt: (address) => address === '127.0.0.1'
  })
  return { gate, refusals, clock }
}

t.test('[G8] an address has so many connections, and the next address as many', async t => {
  const { gate, refusals } = gateOf({ connections: 2, attempts: 100 })
  const come = (address: string): (() => void) | undefined => gate.mayCome(address) ? gate.came(address) : undefined
  const first = come('192.0.2.1')
  t.ok(come('192.0.2.1'))
  t.notOk(come('192.0.2.1'), 'one too many')
  t.equal(refusals.counts.addresses, 1)
  t.ok(come('192.0.2.2'), 'a neighbour')
  first!()
  first!()
  t.ok(come('192.0.2.1'), 'one has gone')
  t.notOk(come('192.0.2.1'), 'and it counts once')
  for (let i = 0; i < 10; i++) t.ok(come('127.0.0.1'), 'this machine')
  t.ok(come('2001:db8::1'))
  t.ok(come('2001:db8::2'))
  t.notOk(come('2001:db8::3'), 'a /64 is one')
  t.ok(come('2001:db8:0:1::3'), 'and the next is another')
})

t.test('[G8] an address begins so many in a minute, and is remembered no longer than that', async t => {
  const { gate, clock } = gateOf({ connections: 1_000, attempts: 60 })
  const begun = (address: string): number =>
    Array.from({ length: 100 }, () => gate.mayCome(address)).filter((may) => may).length
  t.equal(begun('192.0.2.1'), 60)
  t.equal(begun('192.0.2.2'), 60, 'a neighbour')
  clock.advance(1_000)
  t.equal(begun('192.0.2.1'), 1)
  clock.advance(60_000)
  t.equal(begun('192.0.2.1'), 60)
  t.equal(gate.size, 0, 'nothing is open')
})

t.test('[G6] buckets are bounded in number, and give what their rate says', async t => {
  const bucket = new Bucket({ perSecond: 10, burst: 5 }, 0)
  t.equal(bucket.left(0), 5)
  bucket.take(7, 0)
  t.equal(bucket.left(0), -2)
  t.equal(bucket.left(300), 1)
  t.equal(bucket.left(100), 1, 'time that goes back gives nothing')
  t.equal(bucket.left(60_000), 5)
  const buckets = new Buckets({ perSecond: 1, burst: 1 }, 10)
  const kept = buckets.of('kept', 0)
  for (let i = 0; i < 1_000; i++) {
    buckets.of(`stranger ${i}`, 0)
    buckets.of('kept', 0)
  }
  t.equal(buckets.size, 10)
  t.equal(buckets.of('kept', 0), kept, 'who is heard of stays')
})

t.test('an address of version 6 counts by its network, in any way of writing it', async t => {
  t.equal(addressGroup('2001:DB8::1'), addressGroup('2001:0db8:0:0:ffff::'))
  t.not(addressGroup('2001:db8:0:1::1'), addressGroup('2001:db8::1'))
  t.equal(addressGroup('::ffff:192.0.2.1'), '192.0.2.1')
})

t.test('[G7] alternative names with commas and quotes are one name each', async t => {
  t.same(readAlternativeNames('DNS:a.example, email:u1@a.example, URI:urn:device:7'),
    ['DNS:a.example', 'email:u1@a.example', 'URI:urn:device:7'])
  t.same(readAlternativeNames('URI:"http://a.example/?x, DNS:admin.example", DNS:b.example'),
    ['URI:http://a.example/?x, DNS:admin.example', 'DNS:b.example'])
  t.same(readAlternativeNames(''), [])
  t.same(readAlternativeNames('DNS:"cut'), [])
})
