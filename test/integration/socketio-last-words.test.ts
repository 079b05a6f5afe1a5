/** What a Socket.IO client emitted before its end is carried out, though both came in one go. */
import t, { type Test } from 'tap'
import { anonymous, type ProgramAuth } from '../../broker/index.ts'
import { until } from '../helpers/wait.ts'
import { connectMqtt, openRaw, startBridged, type Bridged } from './socketio-harness.ts'

const DISCONNECT = '41'
const ENGINE_CLOSE = '1'
const SEPARATOR = '\x1e'
const emits = (from: number, to: number): string[] =>
  Array.from({ length: to - from }, (_, i) => `42${JSON.stringify(['said', from + i])}`)

const ENDS: Record<string, readonly string[]> = {
  DISCONNECT: [DISCONNECT],
  'DISCONNECT, close': [DISCONNECT, ENGINE_CLOSE],
  close: [ENGINE_CLOSE]
}

/** How packets are sent in one go. */
const WAYS = {
  async polling (_t, { url }, packets) {
    let n = 0
    const base = `${url}/socket.io/?EIO=4&transport=polling`
    const { sid } = JSON.parse((await (await fetch(`${base}&t=${++n}`)).text()).slice(1)) as { sid: string }
    const ask = async (body?: string): Promise<string> =>
      await (await fetch(`${base}&sid=${sid}&t=${++n}`, body === undefined ? {} : { method: 'POST', body })).text()
    await ask('40')
    await ask()
    await ask(packets.join(SEPARATOR))
  },
  async WebSocket (t, { port }, packets) {
    const socket = await openRaw(t, port)
    const wire = (socket as unknown as { _socket: { cork (): void, uncork (): void } })._socket
    wire.cork()
    for (const packet of packets) socket.send(packet)
    socket.close()
    wire.uncork()
  }
} satisfies Record<string, (t: Test, to: Bridged, packets: readonly string[]) => Promise<void>>

const SLOW: ProgramAuth = {
  ...anonymous,
  async mayPublish () {
    for (let i = 0; i < 3; i++) await new Promise((resolve) => { setImmediate(resolve) })
    return true
  }
}

for (const [way, say] of Object.entries(WAYS)) {
  for (const [end, packets] of Object.entries(ENDS)) {
    t.test(`[G2] [G3] ${way}, and then ${end} in the same go: all that was emitted before is carried out`, async t => {
      for (const auth of [anonymous, SLOW]) {
        const bridged = await startBridged(t, { auth })
        const reader = await connectMqtt(t, bridged.mqttUrl)
        await reader.subscribeAsync('io/#', { qos: 1 })
        const got: number[] = []
        reader.on('message', (_topic, payload) => {
          got.push((JSON.parse(payload.toString()) as { args: [number] }).args[0])
        })
        await say(t, bridged, [...emits(0, 20), ...packets, ...(packets[0] === DISCONNECT ? emits(20, 21) : [])])
        await until(() => got.length >= 20, 'all of it', undefined, 1)
        await until(() => bridged.broker.stats().attached === 1, 'the end', undefined, 1)
        await bridged.broker.settled()
        t.same(got, Array.from({ length: 20 }, (_, i) => i), 'and nothing behind DISCONNECT')
      }
    })
  }
}
