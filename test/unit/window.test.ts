/** Packet identifiers and what they are out for (MQTT 3.1.1, 2.3.1 and 4.4). */
import t from 'tap'
import { FLIGHT_RELEASED, FLIGHT_SENT, Window } from '../../broker/session/window.ts'
import type { ClientId, Message, Offset, PacketId, Principal, TimeMs } from '../../broker/model/message.ts'
import { chooseSeed, createRandom } from '../helpers/random.ts'

const PACKET_ID_MAX = 65_535
const NOW = 1 as TimeMs
const MESSAGE: Message = {
  topic: 't', payload: Buffer.alloc(0), qos: 1, retain: false, publisher: 'p' as ClientId,
  principal: 'anonymous' as Principal, time: NOW, id: ''
}
const send = (window: Window, offset: number): number =>
  window.send(MESSAGE, 1, offset as Offset, false, false, NOW).packetId

t.test('[MQTT-2.3.1-1] identifiers begin at 1, go to 65,535 and begin again, never 0', async t => {
  const window = new Window(1)
  for (let round = 0; round < 2; round++) {
    for (let id = 1; id <= PACKET_ID_MAX; id++) {
      if (send(window, id) !== id) t.fail(`expected ${id}`)
      window.acknowledge(id)
    }
  }
  t.equal(send(window, 1), 1)
})

t.test('[MQTT-2.3.1-2] an identifier that is out is not given again, not after 65,535 others either', async t => {
  const window = new Window(4)
  const held = [send(window, 1), send(window, 2)]
  let rounds = 0
  for (let i = 0, last = 0; rounds < 3; i++) {
    const id = send(window, i + 3)
    if (held.includes(id) || id < 1 || id > PACKET_ID_MAX) t.fail(`${id} is out, or is none`)
    if (id <= last) rounds++ // none comes back before all that follow it had their turn
    last = id
    window.acknowledge(id)
  }
  t.equal(rounds, 3)
  for (const id of held) t.equal(window.get(id)?.packetId, id)
})

t.test('a window of 65,535 gives every identifier once, then is full, then goes on with what comes back', async t => {
  const window = new Window(1_000_000)
  const ids = new Set<number>()
  while (window.room > 0) ids.add(send(window, ids.size + 1))
  t.equal(ids.size, PACKET_ID_MAX)
  t.equal(window.lowest(), 1)
  window.acknowledge(40_000)
  t.equal(window.room, 1)
  t.equal(send(window, 70_000), 40_000)
})

t.test('the lowest offset that is out, the oldest and the order agree with a plain list', async t => {
  const random = createRandom(chooseSeed())
  t.comment(`seed ${random.seed}`)
  const window = new Window(200)
  let list: Array<{ id: number, offset: number }> = []
  let offset = 0
  for (let step = 0; step < 50_000; step++) {
    if (window.room > 0 && random.int(100) < 52) {
      const isRetained = random.int(10) === 0
      const at = isRetained ? 0 : ++offset
      list.push({ id: send(window, at), offset: at })
    } else if (list.length > 0) {
      const index = random.int(3) === 0 ? random.int(list.length) : 0
      window.acknowledge(list[index].id)
      list = list.filter((_one, i) => i !== index)
    }
    const ofLog = list.filter((one) => one.offset > 0)
    if (window.size !== list.length || window.ofLog !== ofLog.length || window.lowest() !== ofLog[0]?.offset ||
      window.oldest?.packetId !== list[0]?.id) {
      t.fail(`step ${step}: lowest ${window.lowest()}, expected ${ofLog[0]?.offset}`)
      return
    }
    if (step % 500 === 0) t.same([...window.flights()].map(({ packetId }) => packetId), list.map(({ id }) => id))
  }
})

t.test('acknowledging what is not out changes nothing', async t => {
  const window = new Window(10)
  const id = send(window, 1)
  t.equal(window.acknowledge(id + 1), undefined)
  t.equal(window.acknowledge(0), undefined)
  t.equal(window.acknowledge(id)?.offset, 1)
  t.equal(window.acknowledge(id), undefined, 'the second time, too')
  t.equal(window.size, 0)
})

t.test('[MQTT-4.4.0-1] what is put back keeps its identifier, its state and DUP; new ones go on after it', async t => {
  const window = new Window(10)
  window.restore(65_534 as PacketId, 2, 5 as Offset, FLIGHT_RELEASED, NOW)
  window.restore(65_535 as PacketId, 1, 7 as Offset, FLIGHT_SENT, NOW)
  window.restore(1 as PacketId, 1, 9 as Offset, FLIGHT_SENT, NOW)
  t.match([...window.flights()], [
    { packetId: 65_534, qos: 2, offset: 5, state: FLIGHT_RELEASED, dup: true },
    { packetId: 65_535, qos: 1, offset: 7, state: FLIGHT_SENT, dup: true },
    { packetId: 1, offset: 9 }
  ])
  t.equal(window.lowest(), 5)
  t.equal(send(window, 11), 2)
})

t.test('[G6] acknowledged flights do not pile up behind one that stays out', async t => {
  const window = new Window(64)
  send(window, 1)
  const before = process.memoryUsage().heapUsed
  for (let i = 2; i < 300_000; i++) window.acknowledge(send(window, i))
  t.equal([...window.flights()].length, 1)
  const grownMb = (process.memoryUsage().heapUsed - before) / 1_048_576
  t.ok(grownMb < 30, `${grownMb.toFixed(1)} MB`)
})
