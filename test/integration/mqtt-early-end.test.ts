/** Connections that end while they are still being let in: nothing of them may stay. */
import t from 'tap'
import { createMemoryStore } from '../../broker/store/memory.ts'
import { startInProcess } from '../helpers/in-process.ts'
import { connectPacket, openWire, uniqueId } from '../helpers/mqtt-wire.ts'
import { createStoreDouble } from '../helpers/store-double.ts'
import { until } from '../helpers/wait.ts'

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
