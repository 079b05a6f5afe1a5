import { spawnSync } from 'node:child_process'
import { rmSync, statfsSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import {
  connectWire, publishPacket, subscribe, take, text, type WireClient
} from '../helpers/mqtt-wire.ts'
import { startServer, type ServerProcess } from '../helpers/server.ts'
import { tempFolder } from '../helpers/temp.ts'
import { until, within } from '../helpers/wait.ts'

const MB = 1_048_576
const DISK_BYTES = 24 * MB
/** Taken from the disk at first and given back later: how space comes back in practice. */
const BALLAST_BYTES = 10 * MB

/** A small file system of its own. */
function smallDisk (t: Test): string {
  const folder = tempFolder(t, 'disk')
  const { status, stderr } = spawnSync('mount', ['-t', 'tmpfs', '-o', `size=${DISK_BYTES}`, 'tmpfs', folder])
  if (status !== 0) throw new Error(`could not mount a small file system: ${String(stderr)}`)
  t.teardown(() => { spawnSync('umount', ['-l', folder]) })
  return folder
}

/** Whoever is not root may not mount; where root may not either, the test fails and says so. */
const SKIP = process.getuid?.() === 0 ? {} : { skip: 'needs root, to mount a small file system' }

async function isReady (server: ServerProcess): Promise<number> {
  const { status } = await fetch(`http://127.0.0.1:${server.http.port}/readyz`)
  return status
}

/** Publishes until no receipt comes: the numbers that got one, and that the connection was closed. */
async function fill (client: WireClient, from: number): Promise<number[]> {
  const receipts: number[] = []
  const payload = Buffer.alloc(20_000, 0x2e)
  for (let number = from; ; number++) {
    payload.write(`${String(number)} `)
    client.send(publishPacket('a/b', payload, { qos: 1, messageId: number % 60_000 + 1 }))
    const packet = await client.next().catch(() => undefined)
    if (packet === undefined) return receipts
    if (packet.cmd !== 'puback') throw new Error(`did not expect ${packet.cmd}`)
    receipts.push(number)
    if (receipts.length > 10_000) throw new Error('the disk never became full')
  }
}

const numberOf = (payload: string): number => Number(payload.slice(0, payload.indexOf(' ')))

t.test('[G1] [G2] a full disk gives no receipt, and all goes on by itself when there is space', SKIP, async t => {
  const disk = smallDisk(t)
  const ballast = join(disk, 'ballast')
  writeFileSync(ballast, Buffer.alloc(BALLAST_BYTES))
  const server = await startServer(t, { data: join(disk, 'data') })
  const { client: subscriber } = await connectWire(t, server.mqtt, { clientId: 'subscriber', clean: false })
  await subscribe(subscriber, { 'a/#': 1 })
  subscriber.destroy()
  t.equal(await isReady(server), 200)

  const { client: first } = await connectWire(t, server.mqtt, { clientId: 'publisher' })
  const receipts = await fill(first, 0)
  await within(first.closed, 'the publisher to be closed')
  const { bavail, bsize } = statfsSync(disk)
  t.comment(`${receipts.length} receipts until the disk was full, ${bavail * bsize} bytes left`)
  await until(async () => await isReady(server) === 503, '/readyz to say 503')
  t.ok(server.running, 'the server runs')
  for (let i = 0; i < 5; i++) {
    const refused = await connectWire(t, server.mqtt, { clientId: 'publisher' }).catch(() => undefined)
    if (refused === undefined || refused.connack.returnCode !== 0) continue
    t.same(await fill(refused.client, 100_000 + i), [], 'still no receipt')
  }
  t.match(server.stderr, /disk|space|ENOSPC/i, 'the operator is told')

  rmSync(ballast)
  await until(async () => await isReady(server) === 200, '/readyz to say 200 again')
  const next = (receipts.at(-1) ?? 0) + 1
  const { client: again } = await connectWire(t, server.mqtt, { clientId: 'publisher' })
  again.send(publishPacket('a/b', `${next} `, { qos: 1, messageId: 1, dup: true }))
  t.equal((await again.expect('puback')).messageId, 1, 'there are receipts again')
  receipts.push(next)
  t.equal(server.running, true)
  t.notOk(/uncaught|unhandled/i.test(server.stderr), 'nothing escaped')

  await server.restart()
  const { client: back, connack } = await connectWire(t, server.mqtt, { clientId: 'subscriber', clean: false })
  t.equal(connack.sessionPresent, true)
  const got: number[] = []
  while (got.at(-1) !== next) got.push(numberOf(text(await take(back))))
  t.same(got.filter(number => number < 100_000), receipts, 'what got a receipt is there, in order, and only that')
  t.equal(got.length, receipts.length, 'nothing of what got none')
})

t.test('[G2] a server that is killed while its disk is full starts again and has lost nothing', SKIP, async t => {
  const disk = smallDisk(t)
  const ballast = join(disk, 'ballast')
  writeFileSync(ballast, Buffer.alloc(BALLAST_BYTES))
  const server = await startServer(t, { data: join(disk, 'data') })
  const { client: subscriber } = await connectWire(t, server.mqtt, { clientId: 'subscriber', clean: false })
  await subscribe(subscriber, { 'a/#': 1 })
  subscriber.destroy()
  const { client } = await connectWire(t, server.mqtt, { clientId: 'publisher' })
  const receipts = await fill(client, 0)
  await server.kill()
  rmSync(ballast)
  await server.restart()
  const { client: back } = await connectWire(t, server.mqtt, { clientId: 'subscriber', clean: false })
  const got: number[] = []
  while (got.length < receipts.length) got.push(numberOf(text(await take(back))))
  t.same(got, receipts)
  t.notOk(/damaged/i.test(server.stderr), 'nothing is damaged')
})
