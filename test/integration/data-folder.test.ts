/** A data folder that is taken away from under a running server. */
import { renameSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { connectWire, publishPacket, subscribe } from '../helpers/mqtt-wire.ts'
import { startServer } from '../helpers/server.ts'
import { tempFolder } from '../helpers/temp.ts'
import { until, within } from '../helpers/wait.ts'

t.test('[G1] a folder that is moved shows in readyz and the log without any message, and gives no receipt', async t => {
  const data = join(tempFolder(t), 'data')
  const server = await startServer(t, { data })
  const status = async (): Promise<number> => (await fetch(`http://127.0.0.1:${server.http.port}/readyz`)).status
  const { client: away } = await connectWire(t, server.mqtt, { clientId: 'away', clean: false })
  await subscribe(away, { 'a/#': 1 })
  const { client } = await connectWire(t, server.mqtt, { clientId: 'publisher' })
  client.send(publishPacket('a/b', Buffer.from('kept'), { qos: 1, messageId: 1 }))
  t.equal((await client.next()).cmd, 'puback')

  renameSync(data, `${data}-elsewhere`)
  await until(async () => await status() === 503, '/readyz to say 503')
  t.match(server.stderr, /data\.mdb is gone: it, or its folder, was deleted or moved .* Put it back where it was/)
  client.send(publishPacket('a/b', Buffer.from('lost'), { qos: 1, messageId: 2 }))
  await within(client.closed, 'the publisher to be closed, without a receipt')

  renameSync(`${data}-elsewhere`, data)
  await until(async () => await status() === 200, '/readyz to say 200 again')
  const { client: again } = await connectWire(t, server.mqtt, { clientId: 'publisher' })
  again.send(publishPacket('a/b', Buffer.from('kept'), { qos: 1, messageId: 3 }))
  t.equal((await again.next()).cmd, 'puback')
})
