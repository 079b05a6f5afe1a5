/** Access control of an application, as a client meets it. */
import t from 'tap'
import type { Principal } from '../../broker/index.ts'
import { startInProcess } from '../helpers/in-process.ts'
import { connectWire, uniqueId } from '../helpers/mqtt-wire.ts'

const auth = {
  anonymous: false,
  async authenticate () { return 'guest' as Principal },
  mayPublish: (_principal: Principal, _clientId: string, topic: string) => !topic.startsWith('secret/'),
  maySubscribe: () => true
}

t.test('[G7] a will on a topic that its client may not publish to is left out', async t => {
  const { port, broker } = await startInProcess(t, { auth })
  const will = { payload: Buffer.from('x'), qos: 1 as const, retain: false }
  const refused = await connectWire(t, { port }, {
    clientId: uniqueId(), will: { topic: 'secret/x', ...will }
  })
  t.equal(refused.connack.returnCode, 0)
  for await (const will of broker.wills.all()) t.fail(`written down: ${will.topic}`)
  const accepted = await connectWire(t, { port }, { clientId: uniqueId(), will: { topic: 'public/x', ...will } })
  t.equal(accepted.connack.returnCode, 0)
})
