/** Packets are whole before the parser sees them, in whatever pieces they come. */
import { generate } from 'mqtt-packet'
import t from 'tap'
import { WholePackets } from '../../broker/mqtt/wire/whole-packets.ts'
import { chooseSeed, createRandom } from '../helpers/random.ts'

const publish = (bytes: number): Buffer => generate({
  cmd: 'publish', topic: 'a/b', payload: Buffer.alloc(bytes, 0x70), qos: 1, messageId: 5, retain: false, dup: false
})
const PACKETS = [publish(0), publish(1), publish(200), publish(20_000), generate({ cmd: 'pingreq' }),
  generate({ cmd: 'subscribe', messageId: 7, subscriptions: [{ topic: 'a/#', qos: 1 }] })]

t.test('in whatever pieces they come, the same packets go on, whole, and none is lost', async t => {
  const random = createRandom(chooseSeed())
  t.comment(`seed ${random.seed}`)
  for (let round = 0; round < 200; round++) {
    const packets = Array.from({ length: random.between(1, 6) }, () => random.pick(PACKETS))
    const all = Buffer.concat(packets)
    const seen: Buffer[] = []
    const whole = new WholePackets({
      parse: bytes => { seen.push(Buffer.from(bytes)) }, refuse: t.fail, isOver: () => false
    })
    const most = random.pick([1, 7, 3_000, 30_000])
    for (let at = 0; at < all.length;) {
      const end = at + random.between(1, most)
      whole.take(all.subarray(at, end))
      at = end
    }
    if (!Buffer.concat(seen).equals(all)) t.fail(`round ${round}`)
    const ends = new Set<number>()
    packets.reduce((at, packet) => { ends.add(at + packet.length); return at + packet.length }, 0)
    seen.reduce((at, bytes) => {
      if (!ends.has(at + bytes.length)) t.fail(`round ${round}: half a packet went on`)
      return at + bytes.length
    }, 0)
  }
  t.pass()
})

t.test('[G6] what is held of a packet is its bytes, not the pieces that they came in', async t => {
  const packet = publish(5_000)
  const seen: Buffer[] = []
  const whole = new WholePackets({ parse: bytes => { seen.push(bytes) }, refuse: t.fail, isOver: () => false })
  for (const byte of packet) {
    const piece = Buffer.from([byte])
    whole.take(piece)
    piece[0] = 0xff // whoever kept the piece would find this in it
  }
  t.same(Buffer.concat(seen), packet)
})
