/** The queue in front of the store: what shares a sync, what comes out in which order, what happens when it fails. */
import t from 'tap'
import { HoldfastError } from '../../broker/model/errors.ts'
import { Log, type RecordChange } from '../../broker/log/log.ts'
import { ORIGIN } from '../../broker/model/message.ts'
import type { ClientId, Message, Offset, Principal, QoS, TimeMs } from '../../broker/model/message.ts'
import { createMemoryDisk, createMemoryStore, type MemoryDisk } from '../../broker/store/memory.ts'
import type { Batch } from '../../broker/store/store.ts'
import { createStoreDouble } from '../helpers/store-double.ts'
import { within } from '../helpers/wait.ts'

const BATCH_BYTES_MAX = 1_000

function message (payload: string | Buffer, qos: QoS = 1): Message {
  return {
    topic: 't', payload: Buffer.from(payload), qos, retain: false, publisher: 'p' as ClientId,
    principal: 'anonymous' as Principal, time: 0 as TimeMs, id: ''
  }
}

const change = (key: string, value: string | null = 'v'): RecordChange =>
  ({ table: 'meta', key, value: value === null ? null : Buffer.from(value) })

interface Bench {
  readonly log: Log
  readonly disk: MemoryDisk
  /** What went to the store, one for each sync. */
  readonly batches: Batch[]
  /** What came out, in order, as words. */
  readonly out: string[]
  readonly gate: { mayTrim: boolean }
}

async function begin (turn: () => Promise<void> | undefined = () => undefined): Promise<Bench> {
  const disk = createMemoryDisk()
  const store = createStoreDouble(createMemoryStore(disk))
  const { batches } = store
  const out: string[] = []
  const { tail } = await store.open()
  const gate = { mayTrim: true }
  const log = new Log(store, tail, BATCH_BYTES_MAX, {
    deliver: (one, at) => {
      out.push('offset' in one ? `entry ${one.offset} ${one.payload}` : `passing ${one.payload} after ${at}`)
    },
    turn,
    settle () {},
    delivered: () => { out.push('delivered') },
    mayTrim: () => gate.mayTrim,
    failed: () => { out.push('failed') },
    recovered: () => { out.push('recovered') }
  })
  return { log, disk, batches, out, gate }
}

const receipt = (out: string[], name: string) => (error?: HoldfastError): void => {
  out.push(`receipt ${name}${error === undefined ? '' : ` ${error.code}`}`)
}

t.test('[G1] [G3] one turn shares a sync; entries come out before the receipts, both in order', async t => {
  const { log, batches, out } = await begin()
  log.publish(message('a'), 1, receipt(out, 'a'))
  log.record([change('k')], (error, at) => { out.push(`record at ${at} ${error?.code ?? 'ok'}`) })
  log.publish(message('b'), 1, receipt(out, 'b'))
  t.same(out, [], 'nothing before it is durable')
  await log.settled()
  t.equal(batches.length, 1)
  t.same(out, ['entry 1 a', 'record at 1 ok', 'entry 2 b', 'delivered', 'receipt a', 'receipt b'])
  t.equal(log.tail, 2)
})

t.test('a record is stamped with the messages before it, not with those after', async t => {
  const { log, disk } = await begin()
  log.publish(message('a'), 1, () => {})
  log.record([change('k')], () => {})
  log.publish(message('b'), 1, () => {})
  await log.settled()
  t.equal(disk.records.meta.get('k')?.at, 1)
})

t.test('what nobody durable wants takes its turn and is not stored', async t => {
  const { log, batches, out } = await begin()
  log.publish(message('a'), 1, receipt(out, 'a'))
  log.publish(message('b'), 0, receipt(out, 'b'))
  log.publish(message('c'), 1, receipt(out, 'c'))
  await log.settled()
  t.same(out.slice(0, 3), ['entry 1 a', 'passing b after 1', 'entry 2 c'])
  log.publish(message('d'), 0, receipt(out, 'd'))
  await log.settled()
  t.equal(batches.length, 1, 'alone it needs no write')
})

t.test('what is handed over in any turn after the last receipt is taken up at once', async t => {
  for (let turns = 0; turns < 12; turns++) {
    const { log } = await begin()
    const later = async (): Promise<void> => {
      for (let i = 0; i < turns; i++) await null
      await log.recorded([change('second')])
    }
    await new Promise<void>((resolve, reject) => {
      log.publish(message('a'), 1, () => {
        within(later(), `the second, ${turns} turns later`, 200).then(resolve, reject)
      })
    })
  }
  t.pass()
})

t.test('a batch ends at its bound of bytes', async t => {
  const { log, batches } = await begin()
  for (let i = 0; i < 5; i++) log.publish(message(Buffer.alloc(400)), 1, () => {})
  await log.settled()
  t.same(batches.map(({ messages }) => messages.length), [3, 2])
})

t.test('while the store fails nobody gets a receipt, and nothing is delivered [G1]', async t => {
  const { log, disk, out } = await begin()
  disk.failing = true
  log.publish(message('a'), 1, receipt(out, 'a'))
  log.publish(message('b'), 0, receipt(out, 'b'), [change('k')])
  log.publish(message('c'), 0, receipt(out, 'c'))
  log.record([change('k')], (error) => { out.push(`record ${error?.code ?? 'ok'}`) })
  log.record([], (error) => { out.push(`empty record ${error?.code ?? 'ok'}`) })
  await log.settled()
  t.same(out, [
    'failed', 'passing c after 0', 'record STORE_UNAVAILABLE', 'empty record ok', 'delivered',
    'receipt a STORE_UNAVAILABLE', 'receipt b STORE_UNAVAILABLE', 'receipt c'
  ], 'what needs no disk goes on')
  t.equal(log.failing, true)
  t.equal(log.tail, ORIGIN)
})

t.test('it says once that the store fails and once that it is back; then all is as before', async t => {
  const { log, disk, out } = await begin()
  disk.failing = true
  for (const name of ['a', 'b']) {
    log.publish(message(name), 1, receipt(out, name))
    await log.settled()
  }
  disk.failing = false
  log.publish(message('c'), 1, receipt(out, 'c'))
  await log.settled()
  t.same(out.filter(one => one !== 'delivered'), [
    'failed', 'receipt a STORE_UNAVAILABLE', 'receipt b STORE_UNAVAILABLE', 'recovered', 'entry 1 c', 'receipt c'
  ])
})

t.test('what is to be trimmed waits for a write that succeeds', async t => {
  const { log, disk } = await begin()
  for (const name of ['a', 'b', 'c']) log.publish(message(name), 1, () => {})
  await log.settled()
  disk.failing = true
  log.trim([2 as Offset])
  await log.settled()
  log.trim([1 as Offset])
  await log.settled()
  t.equal(disk.entries.size, 3)
  disk.failing = false
  log.publish(message('d'), 1, () => {})
  await log.settled()
  t.same([...disk.entries.keys()], [3, 4])
})

t.test('settled waits for what is handed over meanwhile, too', async t => {
  const { log, out } = await begin()
  log.publish(message('a'), 1, () => { log.publish(message('b'), 1, receipt(out, 'b')) })
  await log.settled()
  t.equal(out.at(-1), 'receipt b')
})

t.test('nothing is trimmed while something ended is still on the disk; what was asked for goes with the next batch',
  async t => {
    const { log, batches, gate, disk } = await begin()
    log.publish(message('a'), 1, () => {})
    log.publish(message('b'), 1, () => {})
    await log.settled()
    gate.mayTrim = false
    log.trim([1 as Offset])
    await log.settled()
    t.equal(disk.entries.size, 2, 'kept')
    log.publish(message('c'), 1, () => {})
    await log.settled()
    t.equal(disk.entries.size, 3, 'kept beside a write')
    gate.mayTrim = true
    log.publish(message('d'), 1, () => {})
    await log.settled()
    t.same([...disk.entries.keys()], [2, 3, 4])
    t.same(batches.at(-1)?.trim, [1])
  })

t.test('[G8] [G3] a batch is delivered in slices where it is asked for; its receipts come last', async t => {
  let goOn = (): void => {}
  const begun: Bench = await begin(() => begun.out.length === 2
    ? new Promise((resolve) => { goOn = resolve })
    : undefined)
  const { log, out } = begun
  for (const name of ['a', 'b', 'c']) log.publish(message(name), 1, receipt(out, name))
  const isSettled = log.settled()
  await new Promise(resolve => setImmediate(resolve))
  t.same(out, ['entry 1 a', 'entry 2 b'], 'others have their turn')
  t.equal(log.tail, 2, 'whoever looks now finds what was delivered')
  log.publish(message('d'), 1, receipt(out, 'd'))
  goOn()
  await isSettled
  t.same(out, ['entry 1 a', 'entry 2 b', 'entry 3 c', 'delivered', 'receipt a', 'receipt b', 'receipt c',
    'entry 4 d', 'delivered', 'receipt d'])
})
