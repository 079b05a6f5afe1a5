import t from 'tap'
import { addressGroup } from '../../broker/system/address-group.ts'

t.test('an address of version 4 is itself, however it is written', async t => {
  t.equal(addressGroup('203.0.113.7'), '203.0.113.7')
  t.equal(addressGroup('::ffff:203.0.113.7'), '203.0.113.7')
  t.equal(addressGroup('::FFFF:203.0.113.7'), '203.0.113.7')
})

t.test('addresses of version 6 count with their /64', async t => {
  for (const address of ['2001:db8::1', '2001:0db8:0:0::2', '2001:db8:0:0:ffff:ffff:ffff:ffff', '2001:DB8::1.2.3.4']) {
    t.equal(addressGroup(address), '2001:db8:0:0::/64', address)
  }
  t.equal(addressGroup('2001:db8:0:1::1'), '2001:db8:0:1::/64')
  t.equal(addressGroup('::1'), '0:0:0:0::/64')
  t.equal(addressGroup('fe80::1%eth0'), 'fe80:0:0:0::/64')
  t.equal(addressGroup('1:2:3:4:5:6:7:8'), '1:2:3:4::/64')
})

t.test('what is no address stays what it is', async t => {
  for (const text of ['', 'unknown', ':::', '1:2']) t.equal(addressGroup(text), text)
})
