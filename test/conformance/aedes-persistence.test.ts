/**
 * The abstract suite of aedes-persistence on our persistence, all but its cases of the outgoing queue: there is no such
 * queue, a session follows its cursor into the log. What those cases demand is tested on the session, see session.ts.
 */
import assert from 'node:assert'
import { createRequire } from 'node:module'
import t from 'tap'
import type { Test } from 'tap'
import { createCore } from '../../broker/holdfast-broker.ts'
import { DEFAULT_LIMITS, everybody, systemClock } from '../../broker/index.ts'
import type { ClientSubscription, ContractClient, ContractSubscription } from '../../broker/mqtt/engine/contract.ts'
import { BrokerPersistence } from '../helpers/broker-persistence.ts'
import { createEmbeddedStore } from '../../broker/store/embedded.ts'
import { createMemoryStore } from '../../broker/store/memory.ts'
import type { Store } from '../../broker/store/store.ts'
import { tempFolder } from '../helpers/temp.ts'

const CURSOR = 'nothing is enqueued for a session: its cursor stands in the log. In session.ts: '

/** Cases that are left out, each with its reason. */
const LEFT_OUT: Readonly<Record<string, string>> = {
  'add outgoing packet and stream it': CURSOR + 'what was appended while the session was away is delivered',
  'add outgoing packet for multiple subs and stream to all': CURSOR + 'one entry reaches all who subscribed',
  'add outgoing packet as a string and pump': CURSOR + 'delivery in log order',
  'add outgoing packet as a string and stream': CURSOR + 'delivery; a payload is bytes',
  'add outgoing packet and stream it twice': CURSOR + 'redelivery after every reconnect until it is acknowledged',
  'add outgoing packet and update messageId': CURSOR + 'a packet identifier belongs to the window',
  'add 2 outgoing packet and clear messageId': CURSOR + 'acknowledging one of two',
  'add many outgoing packets and clear messageIds': CURSOR + 'acknowledging a whole backlog',
  'update to publish w/ same messageId': CURSOR + 'an identifier that is out is never given again',
  'update to pubrel': CURSOR + 'released stays released after a reconnect and a restart',
  'store and look up a subscription with an MQTT 5.0 subscription identifier':
    'no client can bring one: Aedes refuses MQTT 5 with return code 1'
}

/** What the suite uses of the context of node:test. */
interface SuiteContext {
  plan (count: number): void
  diagnostic (sentence: string): void
  readonly assert: Pick<typeof assert, 'ok' | 'equal' | 'notEqual' | 'deepEqual'>
}
interface SuiteOptions {
  readonly test: (name: string, body: (context: SuiteContext) => Promise<void>) => void
  readonly persistence: () => Promise<SuitePersistence>
  readonly testAsync: true
}
const abstractSuite = createRequire(import.meta.url)('aedes-persistence/abstract.js') as (options: SuiteOptions) => void

/**
 * The suite subscribes with these options of MQTT 5 everywhere and wants them back. MQTT 3.1.1 has none, so there is
 * nothing to keep; they are added here.
 */
const OPTIONS = { rh: 0, rap: true, nl: false }

class SuitePersistence extends BrokerPersistence {
  override async subscriptionsByClient (client: ContractClient): Promise<readonly ContractSubscription[]> {
    return (await super.subscriptionsByClient(client)).map((one) => ({ ...one, ...OPTIONS }))
  }

  override async subscriptionsByTopic (topic: string): Promise<readonly ClientSubscription[]> {
    return (await super.subscriptionsByTopic(topic)).map((one) => ({ ...one, ...OPTIONS }))
  }
}

/** tap counts what the suite asserts in the words of node:test. */
function contextOf (t: Test): SuiteContext {
  const counted = <A extends unknown[]> (check: (...args: A) => void) => (...args: A): void => {
    try {
      check(...args)
      t.pass()
    } catch (error) {
      t.fail((error as Error).message)
    }
  }
  return {
    plan: (count) => { t.plan(count) },
    diagnostic () {},
    assert: {
      ok: counted(assert.ok), equal: counted(assert.equal), notEqual: counted(assert.notEqual),
      deepEqual: counted(assert.deepEqual)
    }
  }
}

const names = new Set<string>()

function run (kind: string, makeStore: (t: Test) => Store): void {
  let current: Test
  abstractSuite({
    testAsync: true,
    test (name, body) {
      names.add(name)
      if (Object.hasOwn(LEFT_OUT, name)) return
      void t.test(`${kind}: ${name}`, async (t) => {
        current = t
        await body(contextOf(t))
      })
    },
    async persistence () {
      const broker = createCore(
        { store: makeStore(current), auth: everybody, limits: DEFAULT_LIMITS, clock: systemClock, makeId: () => '' })
      await broker.open()
      current.teardown(async () => { await broker.close() })
      return new SuitePersistence(broker)
    }
  })
}

run('memory', () => createMemoryStore())
run('embedded', (t) => createEmbeddedStore({ folder: tempFolder(t) }))

void t.test('what is left out is in the suite, and each has its reason', async t => {
  for (const [name, reason] of Object.entries(LEFT_OUT)) {
    t.ok(names.has(name), name)
    t.comment(`left out: ${name}: ${reason}`)
  }
})
