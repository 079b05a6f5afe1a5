import t from 'tap'
import { startInProcess } from '../helpers/in-process.ts'
import { startServer } from '../helpers/server.ts'
import {
  connectWire, publish1, publish2, publishPacket, subscribe, take, text, uniqueId, type WireClient
} from '../helpers/mqtt-wire.ts'
import { within } from '../helpers/wait.ts'

const RETAIN = { retain: true }

t.test('[MQTT-3.3.1-5] [MQTT-3.3.1-8] who subscribes later gets the retained message, with RETAIN', async t => {
  const server = await startInProcess(t)
  const { client: publisher } = await connectWire(t, server)
  await publish1(publisher, 'r/one', '1', 1, RETAIN)
  await publish2(publisher, 'r/two', '2', 2, RETAIN)
  publisher.send(publishPacket('r/zero', '0', RETAIN))
  await publisher.untilPong()
  const { client } = await connectWire(t, server)
  await subscribe(client, { 'r/+': 2 })
  const got = [await take(client), await take(client), await take(client)]
  t.ok(got.every(({ retain, dup }) => retain && !dup))
  t.same(got.map(({ topic, qos }) => [topic, qos]).sort(), [['r/one', 1], ['r/two', 2], ['r/zero', 0]])
  t.same(await client.untilPong(), [])
})

t.test('[MQTT-3.3.1-9] who is subscribed already gets a retained message without RETAIN', async t => {
  const server = await startInProcess(t)
  for (const clean of [true, false]) {
    const { client } = await connectWire(t, server, { clean })
    await subscribe(client, { [`live/${clean}`]: 1 })
    const { client: publisher } = await connectWire(t, server)
    await publish1(publisher, `live/${clean}`, 'x', 1, RETAIN)
    t.match(await take(client), { retain: false, qos: 1 })
    t.same(await client.untilPong(), [], 'once')
  }
})

t.test('[MQTT-3.3.1-12] the newest retained stays; [MQTT-3.3.1-10] an empty one clears and is passed on', async t => {
  const server = await startInProcess(t)
  const { client: publisher } = await connectWire(t, server)
  const { client: watcher } = await connectWire(t, server)
  await subscribe(watcher, { r: 1 })
  await publish1(publisher, 'r', 'old', 1, RETAIN)
  await publish1(publisher, 'r', 'new', 2, RETAIN)
  await publish1(publisher, 'r', 'not kept', 3)
  const { client: first } = await connectWire(t, server)
  await subscribe(first, { r: 1 })
  t.equal(text(await take(first)), 'new', 'the newest retained one, and only that')
  t.same(await first.untilPong(), [])
  await publish1(publisher, 'r', '', 4, RETAIN)
  const { client: second } = await connectWire(t, server)
  await subscribe(second, { r: 1 })
  t.same(await second.untilPong(), [], 'cleared')
  const seen = [await take(watcher), await take(watcher), await take(watcher), await take(watcher)]
  t.same(seen.map(text), ['old', 'new', 'not kept', ''])
  t.notOk(seen.some(({ retain }) => retain))
})

t.test('[MQTT-3.8.4-3] subscribing again brings the retained message again; another filter does not', async t => {
  const server = await startInProcess(t)
  const { client: publisher } = await connectWire(t, server)
  await publish1(publisher, 'r', 'x', 1, RETAIN)
  const { client } = await connectWire(t, server, { clean: false })
  await subscribe(client, { r: 1 })
  t.match(await take(client), { retain: true })
  await subscribe(client, { r: 1 })
  t.match(await take(client), { retain: true })
  await subscribe(client, { other: 1 })
  t.same(await client.untilPong(), [])
  await publish1(publisher, 'r', 'newer', 2, RETAIN)
  t.match(await take(client), { retain: false })
  await subscribe(client, { r: 1 })
  const again = await take(client)
  t.match(again, { retain: true })
  t.equal(text(again), 'newer', 'the one that was set since, too')
})

t.test('a resumed session does not get retained messages again, it has its subscription already', async t => {
  const server = await startInProcess(t)
  const clientId = uniqueId()
  const { client: publisher } = await connectWire(t, server)
  await publish1(publisher, 'r', 'x', 1, RETAIN)
  const { client } = await connectWire(t, server, { clientId, clean: false })
  await subscribe(client, { r: 1 })
  await take(client)
  await client.untilPong()
  client.destroy()
  const { client: back } = await connectWire(t, server, { clientId, clean: false })
  t.same(await back.untilPong(), [])
})

t.test('[MQTT-4.4.0-1] a retained message that was not acknowledged comes again, with DUP [G4]', async t => {
  const server = await startInProcess(t)
  const clientId = uniqueId()
  const { client: publisher } = await connectWire(t, server)
  await publish1(publisher, 'r', 'x', 1, RETAIN)
  const { client } = await connectWire(t, server, { clientId, clean: false })
  await subscribe(client, { r: 1 })
  const first = await client.expect('publish')
  t.match(first, { retain: true, dup: false })
  client.destroy()
  const { client: back } = await connectWire(t, server, { clientId, clean: false })
  t.match(await take(back), { messageId: first.messageId, dup: true, retain: true })
  t.same(await back.untilPong(), [])
})

t.test('retained messages do not overtake what is in flight, nor break the window [G3] [G6]', async t => {
  const server = await startInProcess(t, { limits: { inflightMessagesMax: 5 } })
  const { client: publisher } = await connectWire(t, server)
  for (let i = 0; i < 20; i++) await publish1(publisher, `r/${i}`, 'kept', i + 1, RETAIN)
  const { client } = await connectWire(t, server, { clean: false })
  await subscribe(client, { 'r/#': 1 })
  const got = await client.messages(5)
  t.same(await client.untilPong(), [], 'no more than the window')
  for (const { messageId } of got) client.send({ cmd: 'puback', messageId })
  for (let i = 5; i < 20; i++) got.push(await take(client))
  t.equal(new Set(got.map(({ topic }) => topic)).size, 20, 'each once')
})

t.test('the retained message of a subscription comes before what is published after it [G3]', async t => {
  const server = await startInProcess(t)
  const { client: publisher } = await connectWire(t, server)
  for (let round = 0; round < 20; round++) {
    const topic = `state/${round}`
    await publish1(publisher, topic, 'old', 1, RETAIN)
    const { client } = await connectWire(t, server, { clean: round % 2 === 0 })
    client.send({ cmd: 'subscribe', messageId: 9, subscriptions: [{ topic, qos: 1 }] })
    publisher.send(publishPacket(topic, 'new', { qos: 1, messageId: 2, retain: true }))
    await client.expect('suback')
    const got = [text(await take(client))]
    await publisher.expect('puback')
    for (const late of await client.untilPong()) {
      if (late.cmd === 'publish') got.push(text(late))
    }
    t.ok(got.at(-1) === 'new', `the last word is the newest: ${got.join(', ')}`)
    client.destroy()
  }
})

t.test('overlapping filters of one SUBSCRIBE bring a retained message, and it is not lost', async t => {
  const server = await startInProcess(t)
  const { client: publisher } = await connectWire(t, server)
  await publish1(publisher, 'r/a', 'x', 1, RETAIN)
  const { client } = await connectWire(t, server)
  await subscribe(client, { 'r/#': 0, 'r/a': 1 })
  const got = await drain(client)
  t.ok(got >= 1 && got <= 2, `${got} times [MQTT-3.3.5-1]`)
})

async function drain (client: WireClient): Promise<number> {
  return (await client.untilPong()).filter(({ cmd }) => cmd === 'publish').length
}

t.test('[G4] [MQTT-4.3.3-1] a SIGKILL does not give away the identifier of a retained message at QoS 2', async t => {
  const server = await startServer(t)
  const { client: publisher } = await connectWire(t, server.mqtt)
  await publish2(publisher, 'r', 'retained', 1, RETAIN)
  const { client: before } = await connectWire(t, server.mqtt, { clientId: 'c', clean: false })
  await subscribe(before, { r: 2 })
  const { messageId } = await before.expect('publish') // and no answer
  await server.kill()
  await server.restart()
  const { client: again } = await connectWire(t, server.mqtt, { clientId: 'c', clean: false })
  t.match(await again.expect('pubrel'), { messageId }, 'it is set free first')
  const repeated = await take(again)
  t.match(repeated, { topic: 'r', qos: 2, retain: true })
  t.not(repeated.messageId, messageId, 'and not used meanwhile')
})

t.test('[G2] [MQTT-3.3.1-6] a subscription gets all retained messages, many windows of them, clean or not', async t => {
  const server = await startInProcess(t, { limits: { inflightMessagesMax: 8 } })
  const { client: publisher } = await connectWire(t, server)
  const topics = Array.from({ length: 50 }, (_, index) => `many/${index}`)
  for (const [index, topic] of topics.entries()) await publish1(publisher, topic, 'x', index + 1, RETAIN)
  for (const clean of [true, false]) {
    const { client } = await connectWire(t, server, { clean })
    await subscribe(client, { 'many/#': 1 })
    const got: string[] = []
    while (got.length < topics.length) got.push((await take(client)).topic)
    t.same(got.sort(), [...topics].sort(), `clean ${clean}`)
  }
})

t.test('[MQTT-3.3.1-7] a retained message at QoS 0 takes the place of the one before it', async t => {
  const server = await startInProcess(t)
  const { client: publisher } = await connectWire(t, server)
  await publish1(publisher, 'r', 'old', 1, RETAIN)
  publisher.send(publishPacket('r', 'new', RETAIN))
  await publisher.untilPong()
  const { client } = await connectWire(t, server)
  await subscribe(client, { r: 1 })
  const message = await take(client)
  t.match([text(message), message.qos, message.retain], ['new', 0, true])
  t.same(await client.untilPong(), [])
})

t.test('[MQTT-3.1.2-7] a retained message outlives the sessions of who sent it and of who got it', async t => {
  const server = await startInProcess(t)
  const { client: publisher } = await connectWire(t, server)
  await publish1(publisher, 'r', 'kept', 1, RETAIN)
  publisher.send({ cmd: 'disconnect' })
  await within(publisher.closed, 'the publisher to be gone')
  for (const clean of [true, false, true]) {
    const { client } = await connectWire(t, server, { clientId: 'reader', clean })
    await subscribe(client, { r: 1 })
    t.equal(text(await take(client)), 'kept', `clean=${clean}`)
    client.send({ cmd: 'disconnect' })
    await within(client.closed, 'the reader to be gone')
  }
})
