/** Connections that end while they are still being let in: nothing of them may stay. */
import t from 'tap'
import { silent, systemClock } from '../../broker/index.ts'
import { createMemoryStore } from '../../broker/store/memory.ts'
import { startInProcess } from '../helpers/in-process.ts'
import { connectPacket, connectWire, openWire, uniqueId, type WireClient } from '../helpers/mqtt-wire.ts'
import { createStoreDouble } from '../helpers/store-double.ts'
import { until, within } from '../helpers/wait.ts'

const WILL = { topic: 'will', payload: Buffer.from('gone'), qos: 1 as const, retain: false }

for (const how of ['reset', 'end'] as const) {
  for (const clean of [true, false]) {
    for (const will of [undefined, WILL]) {
      const what = `clean=${clean}${will === undefined ? '' : ' with a will'}`
      t.test(`[G6] ${how} while CONNECT (${what}) waits for the disk: no session stays that never ends`, async t => {
        const store = createStoreDouble(createMemoryStore())
        const server = await startInProcess(t, { store })
        const clientId = uniqueId()
        const letGo = store.hold()
        const client = await openWire(t, server)
        const written = store.batches.length
        client.send(connectPacket({ clientId, clean, ...(will === undefined ? {} : { will }) }))
        const isWritten = !clean || will !== undefined
        if (isWritten) await until(() => store.batches.length > written, 'CONNECT to be written', 2_000, 1)
        if (how === 'reset') client.destroy()
        else client.stream.end()
        await until(() => server.server.connections === 0, 'the connection to be gone', undefined, 1)
        letGo()
        await until(() => {
          const sessions = [...server.broker.sessions()].filter((session) => session.clientId === clientId)
          return sessions.every((session) => !session.clean && !session.attached && session.detachedAt !== undefined)
        }, 'a clean session to end, and one that is kept to count as detached', 2_000, 5)
        await server.broker.settled()
        t.equal(server.broker.stats().attached, 0)
        t.equal([...server.broker.sessions()].length, clean ? 0 : 1)
      })
    }
  }
}

/** Who is refused in the midst of something: the engine lets go of them, and never says that it is done with it. */
const REFUSED: ReadonlyArray<readonly [what: string, connect: Parameters<typeof connectPacket>[0], last: string]> = [
  ['an identifier that is too long', { clientId: 'x'.repeat(40) }, ''],
  ['a second CONNECT', {}, '100d 0004 4d515454 04 02 003c 0001 7a'],
  ['a large message to a wildcard', {}, '32 ac02 0003 612f23 0001' + '78'.repeat(293)]
]

t.test('[G6] nothing waits for a connection that was refused, and the log does not say that something did', async t => {
  const lines: string[] = []
  const limits = { stallTimeoutMs: 50, clientIdBytesMax: 32, packetBytesMax: 200, connectPacketBytesMax: 200 }
  const log = { ...silent, warn: (_fields: object, message: string) => { lines.push(message) } }
  const server = await startInProcess(t, { limits, log })
  for (const [what, connect, last] of REFUSED) {
    const client: WireClient = await openWire(t, server)
    client.send(connectPacket(connect))
    await client.expect('connack')
    if (last !== '') client.write(Buffer.from(last.replaceAll(' ', ''), 'hex'))
    await within(client.closed, `${what}: the end of the connection`)
  }
  const clientId = uniqueId()
  const { client: older } = await connectWire(t, server, { clientId })
  await connectWire(t, server, { clientId })
  await within(older.closed, 'the end of the connection that was taken over')
  await until(() => server.server.connections === 1, 'all but the newest to be gone')
  // timers of one length go off in the order in which they were set
  await new Promise<void>((resolve) => { systemClock.after(limits.stallTimeoutMs, resolve) })
  t.same(lines.filter((line) => line.includes('given up')), [])
})
