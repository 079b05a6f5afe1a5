/** The same bytes over TCP and over WebSocket, however they are cut into segments and frames: it comes to the same. */
import { once } from 'node:events'
import { generate, type Packet } from 'mqtt-packet'
import t, { type Test } from 'tap'
import { createWebSocketStream } from 'ws'
import { startInProcess, type InProcess } from '../helpers/in-process.ts'
import { openMqttWebsocket } from '../helpers/mqtt-websocket.ts'
import {
  connectPacket, connectWire, openWire, publishPacket, subscribe, take, wireClient, type WireClient
} from '../helpers/mqtt-wire.ts'
import { chooseSeed, createRandom, type Random } from '../helpers/random.ts'

/** Of a message or a packet: about the bounds of streams, turns and frames, and far from them. */
const SIZES = [0, 1, 125, 126, 1_000, 16_383, 16_384, 16_385, 65_535, 65_536, 100_000]

async function viaWebsocket (t: Test, server: InProcess): Promise<WireClient> {
  return wireClient(t, createWebSocketStream(await openMqttWebsocket(t, server))) // a write is a message
}

/** Packets that are all answered but QoS 0, which the reader counts. */
function conversation (random: Random): { packets: Packet[], published: string[] } {
  const packets: Packet[] = [connectPacket({ clientId: 'sender' })]
  const published: string[] = []
  const small = random.int(3) === 0 ? 1_500 : 60
  for (let messageId = 1; messageId <= small; messageId++) {
    const kind = random.int(small > 1_000 ? 12 : 5)
    if (kind === 0) {
      const count = random.between(1, 30)
      const topics = Array.from({ length: count }, (_, i) => `other/${messageId}/${i}`)
      packets.push({ cmd: 'subscribe', messageId, subscriptions: topics.map((topic) => ({ topic, qos: 1 })) })
    } else if (kind === 1) packets.push({ cmd: 'pingreq' })
    else {
      const size = small > 1_000 ? random.int(20) : random.pick(SIZES)
      const payload = Buffer.concat([Buffer.from(`${messageId} `), Buffer.alloc(size)])
      packets.push(publishPacket('words', payload, kind === 2 ? {} : { qos: 1, messageId }))
      published.push(String(messageId))
    }
  }
  return { packets, published }
}

function * split (bytes: Buffer, random: Random): IterableIterator<Buffer> {
  const isCoarse = random.int(2) === 0
  for (let at = 0; at < bytes.length;) {
    const size = isCoarse ? random.between(1, 1_000_000) : Math.max(1, random.pick(SIZES) + random.int(3))
    yield bytes.subarray(at, at += size)
  }
}

t.test('[G2] [G3] whatever the sizes and splits, everything is answered, and a PINGREQ behind it', async t => {
  const random = createRandom(chooseSeed())
  t.comment(`seed ${random.seed}`)
  for (let round = 0; round < 12; round++) {
    const { packets, published } = conversation(random)
    const bytes = Buffer.concat(packets.map((packet) => generate(packet)))
    const answers: string[][] = []
    for (const via of ['TCP', 'WebSocket']) {
      const server = await startInProcess(t)
      const { client: reader } = await connectWire(t, server, { clientId: 'reader', clean: false })
      await subscribe(reader, { words: 1 })
      const client = via === 'TCP' ? await openWire(t, server) : await viaWebsocket(t, server)
      for (const part of split(bytes, random)) if (!client.write(part)) await once(client.stream, 'drain')
      const expected = packets.filter((packet) => packet.cmd !== 'publish' || packet.qos > 0).length
      const got: string[] = []
      while (got.length < expected) {
        const { cmd, messageId } = await client.next()
        got.push(`${cmd} ${messageId}`)
      }
      t.same(await client.untilPong(), [], `round ${round}, ${via}: it still answers`)
      const heard: string[] = []
      while (heard.length < published.length) heard.push((await take(reader)).payload.toString().split(' ')[0])
      t.same(heard.sort(), [...published].sort(), `round ${round}, ${via}: all of it, once`)
      answers.push(got.filter((answer) => answer.startsWith('puback')))
      await server.close()
    }
    t.same(answers[1], answers[0], 'the same receipts, in the same order')
  }
})
