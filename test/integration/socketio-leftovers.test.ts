/** Links that break between what was missed and CONNECT: the client keeps what it has read, and gets it once. */
import type { Socket } from 'socket.io-client'
import t, { type Test } from 'tap'
import type { RecoveryOffset } from '../../bridge/socketio/proof/recovery-offset.ts'
import { createProxy } from '../helpers/proxy.ts'
import { until } from '../helpers/wait.ts'
import { connected, connectMqtt, newClient, startBridged } from './socketio-harness.ts'

const STEP_BYTES = 60
const ROUNDS = 24
const MISSED = 6

for (const [what, recoveryOffset, makes] of [
  ['which brings the offset', 'argument', Number],
  ['which ends in a text', 'event', String],
  ['unless it took what follows one that ends in no text', 'event', Number]
] as const) {
  t.test(`[G4] a link that breaks anywhere before CONNECT makes nobody handle a message twice ${what}`,
    async t => await breakAnywhere(t, recoveryOffset, makes))
}

async function breakAnywhere (
  t: Test, recoveryOffset: RecoveryOffset, makes: (number: number) => string | number
): Promise<void> {
  const { port, mqttUrl, broker } = await startBridged(t,
    { pingIntervalMs: 200, pingTimeoutMs: 200, bridge: { recoveryOffset } })
  const proxy = await createProxy(t, { port })
  const publisher = await connectMqtt(t, mqttUrl)
  const socket = newClient(t, `http://127.0.0.1:${proxy.port}`, {
    auth: { clientId: 'c' },
    timeout: 1_000 // a link that ends before the handshake does is noticed by nothing else
  })
  const unmarked = makes === Number && recoveryOffset === 'event' ? countUnmarked(socket) : []
  const seen: number[] = []
  const recovered: boolean[] = []
  socket.on('m', (number: number | string) => seen.push(Number(number)))
  socket.on('connect', () => recovered.push(socket.recovered))
  await connected(socket)
  let sent = 0
  let cleared = 0
  for (let round = 0; round < ROUNDS; round++) {
    // the whole conversation of a reconnect is some 1,500 bytes
    proxy.cutAfter(250 + round * STEP_BYTES, 'down', round % 2 === 0 ? 'reset' : 'finish')
    proxy.cut('reset')
    for (let i = 0; i < MISSED; i++) {
      await publisher.publishAsync('io/_/user/c/m', JSON.stringify(makes(sent++)), { qos: 1 })
    }
    await proxy.accepted() // the attempt that is cut
    await until(() => proxy.connections === 0 || socket.connected, 'the cut')
    proxy.pass()
    const before = recovered.length
    await until(() => seen.includes(sent - 1), `message ${sent}`)
    await until(() => socket.connected, 'the connection')
    await until(() => broker.session('io:_:c' as never)?.inflightMessages === 0, 'all receipts')
    if (recovered.length > before + 1) cleared++
  }
  const again = seen.filter((number, at) => seen.indexOf(number) < at)
  t.same(seen.filter((number, at) => seen.indexOf(number) === at), Array.from({ length: sent }, (_, number) => number),
    'each, in order')
  t.same(again.filter(number => !unmarked.includes(number)), [], 'once')
  t.notOk(recovered.slice(1).includes(false), 'recovered each time')
  t.comment(`${recovered.length} connects in ${ROUNDS} rounds, ${cleared} rounds with more than one; ` +
    `${again.length} again`)
}

/** What was handled last when the link broke, and had no mark behind it. */
function countUnmarked (socket: Socket): number[] {
  const unmarked: number[] = []
  let last: number | undefined
  socket.onAny((event: string, number: number) => { last = event === 'm' ? number : undefined })
  socket.on('disconnect', () => { if (last !== undefined) unmarked.push(last) })
  return unmarked
}
