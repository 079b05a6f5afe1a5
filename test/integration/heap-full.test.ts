/** A server with a small heap, and more than fits into it. */
import t, { type Test } from 'tap'
import { connectWire, publishPacket, subscribe, type WireClient } from '../helpers/mqtt-wire.ts'
import { startServer, type ServerProcess } from '../helpers/server.ts'
import { tempFolder } from '../helpers/temp.ts'
import { until } from '../helpers/wait.ts'

const heapOf = (mib: number): string => `--max-old-space-size=${mib}`
/** Far more than such a heap can hold. */
const TOPICS_MAX = 400_000
const WINDOW = 1_000
/** Of all that waits: as many as need not be waited for. */
const PART = 200
const PAYLOAD = Buffer.alloc(10)

const topicOf = (number: number): string => `flood/${number}/state`

/** Publishes to ever more topics until the connection is closed: the topics that got a receipt. */
async function flood (client: WireClient, from: number): Promise<string[]> {
  const receipts: string[] = []
  let sent = from
  const sendMore = (): void => {
    for (; sent - from - receipts.length < WINDOW && sent < TOPICS_MAX; sent++) {
      client.send(publishPacket(topicOf(sent), PAYLOAD, { qos: 1, messageId: sent % 60_000 + 1 }))
    }
  }
  for (sendMore(); ; sendMore()) {
    const packet = await client.next().catch(() => undefined)
    if (packet === undefined) return receipts
    if (packet.cmd !== 'puback') throw new Error(`did not expect ${packet.cmd}`)
    receipts.push(topicOf(from + receipts.length))
    if (receipts.length === TOPICS_MAX) throw new Error('the heap never became full')
  }
}

async function ready (server: ServerProcess): Promise<{ status: number, reason?: string }> {
  const response = await fetch(`http://127.0.0.1:${server.http.port}/readyz`)
  const { reason } = await response.json() as { reason?: string }
  return { status: response.status, ...(reason !== undefined && { reason }) }
}

async function awaySession (t: Test, server: ServerProcess, filters: Record<string, 0 | 1 | 2>): Promise<void> {
  const { client } = await connectWire(t, server.mqtt, { clientId: 'away', clean: false })
  await subscribe(client, filters)
  client.destroy()
}

/** Takes and acknowledges what waits, up to the last topic. */
async function drain (client: WireClient, count: number): Promise<string[]> {
  const got: string[] = []
  while (got.length < count) {
    const message = await client.expect('publish')
    got.push(message.topic)
    client.send({ cmd: 'puback', messageId: message.messageId! })
  }
  return got
}

t.test('[G2] [G6] a flood of topics ends in refusals, not in the end of the process; no receipt was false',
  async t => {
    const server = await startServer(t, { nodeFlags: [heapOf(44)] })
    await awaySession(t, server, { 'flood/#': 1, after: 1 })
    t.equal((await ready(server)).status, 200)
    const { client } = await connectWire(t, server.mqtt, { clientId: 'publisher' })
    const receipts = await flood(client, 0)
    t.comment(`${receipts.length} topics until the heap was full`)
    t.ok(server.running, 'the server runs')
    t.match(await ready(server), { status: 503, reason: /heapPercentMax/ })
    t.match(server.stderr, /heapPercentMax.*--max-old-space-size/, 'the operator is told, and what to do')

    const refused = await connectWire(t, server.mqtt, { clientId: 'new' })
    t.equal(refused.connack.returnCode, 3, 'a new session is refused')
    const { client: back, connack } = await connectWire(t, server.mqtt, { clientId: 'away', clean: false })
    t.equal(connack.sessionPresent, true)
    const got = await drain(back, receipts.length)
    t.same(new Set(got), new Set(receipts), 'all that got a receipt is delivered while the heap is full')
    t.equal(got.length, new Set(got).size, 'once')
    await until(async () => (await ready(server)).status === 200, '/readyz to say 200 again')
    const { client: again } = await connectWire(t, server.mqtt, { clientId: 'publisher' })
    again.send(publishPacket('after', PAYLOAD, { qos: 1, messageId: 1 }))
    await again.expect('puback')
    // what was on its way when the connection was closed got no receipt, and may have been kept all the same
    for (let topic = ''; topic !== 'after';) {
      const [next] = await drain(back, 1)
      topic = next
    }
    t.equal(server.running, true, 'and all goes on without a restart')
  })

t.test('[G2] [G6] a log that is more than the heap can hold is said to be at start', async t => {
  const data = tempFolder(t)
  const flags = { data, nodeFlags: [heapOf(96)] }
  const server = await startServer(t, flags)
  await awaySession(t, server, { 'flood/#': 1 })
  const { client } = await connectWire(t, server.mqtt, { clientId: 'publisher' })
  const receipts = await flood(client, 0)
  t.comment(`${receipts.length} topics until the heap was full`)
  await server.kill()
  const said = /ended with 1 .*(\n.*)*holdfast: .*heap of \d+ MiB.*--max-old-space-size/
  await t.rejects(startServer(t, { data, nodeFlags: [heapOf(44)] }), { message: said }, 'as an error, not as a crash')

  const again = await startServer(t, flags)
  const { client: back } = await connectWire(t, again.mqtt, { clientId: 'away', clean: false })
  t.same(await drain(back, PART), receipts.slice(0, PART), 'what got a receipt is there')
})
