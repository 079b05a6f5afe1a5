/** Wills (MQTT 3.1.1, 3.1.2.5): written down, published once, and not lost to a takeover or a disk that is full. */
import t from 'tap'
import type { Test } from 'tap'
import type { ClientId, Message, Principal, TimeMs } from '../../broker/model/message.ts'
import { createMemoryDisk, createMemoryStore } from '../../broker/store/memory.ts'
import { Server, type World } from '../conformance/session-words.ts'

function will (clientId: string, payload: string): Message {
  return {
    topic: 'wills', payload: Buffer.from(payload), qos: 1, retain: false, publisher: clientId as ClientId,
    principal: 'me' as Principal, time: 1 as TimeMs, id: ''
  }
}

/** A crash of the memory store is the next one over the same disk. */
function makeWorld (): World {
  const disk = createMemoryDisk()
  return { create: () => createMemoryStore(disk), crash () {} }
}

async function begin (t: Test): Promise<{ server: Server, got: () => string[] }> {
  const server = await Server.start(t, makeWorld())
  const { link } = await server.follower('watcher', { wills: 1 }, { clean: true })
  return { server, got: () => link.got }
}

async function afterCrash (t: Test, server: Server): Promise<string[]> {
  await server.away('keeper', { wills: 1 })
  const next = await server.crashed(t)
  const link = await next.back('keeper')
  await next.quiet()
  return link.got.sort()
}

t.test('[MQTT-3.1.2-8] a will is published with the time of its publication, and forgotten', async t => {
  const { server, got } = await begin(t)
  const { wills } = server.broker
  const one = will('a', 'x')
  await wills.put(one)
  t.match(await wills.get('a' as ClientId), { topic: 'wills', payload: Buffer.from('x'), principal: 'me' })
  wills.publish(one)
  await server.quiet()
  t.same(got(), ['x'])
  t.equal(await wills.get('a' as ClientId), undefined)
  t.same(await afterCrash(t, server), [])
})

t.test('[MQTT-3.1.2-10] one that is removed is not published, not after a crash either', async t => {
  const { server, got } = await begin(t)
  await server.broker.wills.put(will('a', 'x'))
  await server.broker.wills.remove('a' as ClientId)
  t.same(await afterCrash(t, server), [])
  t.same(got(), [])
})

t.test('[G2] what is written down when the server dies is published by the next, once', async t => {
  const { server } = await begin(t)
  for (const id of ['a', 'b', 'c']) await server.broker.wills.put(will(id, id))
  t.same(await afterCrash(t, server), ['a', 'b', 'c'])
})

t.test('[G2] in a takeover the new connection\'s will stays written down when the old one is published', async t => {
  const { server, got } = await begin(t)
  const { wills } = server.broker
  const [old, young] = [will('a', 'same words'), will('a', 'same words')]
  await wills.put(old)
  await wills.put(young)
  wills.publish(old)
  await wills.remove('b' as ClientId)
  await server.quiet()
  t.same(got(), ['same words'])
  t.same(await afterCrash(t, server), ['same words'], 'that of the new connection')
})

t.test('[MQTT-3.1.2-8] a sweep that falls into its sync does not publish it a second time', async t => {
  const { server, got } = await begin(t)
  const one = will('a', 'x')
  await server.broker.wills.put(one)
  const letGo = server.store.hold()
  server.broker.wills.publish(one)
  for (let i = 0; i < 5; i++) server.clock.advance(server.limits.sweepMs)
  letGo()
  await server.pass(4 * server.limits.sweepMs)
  t.same(got(), ['x'])
})

t.test('[G2] while the disk is full a will stays owed, whatever the next connection does', async t => {
  const { server, got } = await begin(t)
  const { wills } = server.broker
  const one = will('a', 'x')
  await wills.put(one)
  await server.away('keeper', { wills: 1 })
  const heal = server.store.fail()
  wills.publish(one)
  await server.quiet()
  t.equal(wills.unwritten, 1)
  await wills.remove('a' as ClientId)
  heal()
  await server.publish('anything', 'else', 1, true)
  await server.pass(4 * server.limits.sweepMs)
  t.equal(wills.unwritten, 0)
  t.same(got(), ['x'])
  t.same(await afterCrash(t, server), ['x'])
})
