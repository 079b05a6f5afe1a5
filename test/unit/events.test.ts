/** What a listener of the program does wrong is its own. */
import t from 'tap'
import { Events } from '../../broker/system/events.ts'
import type { ClientId } from '../../broker/model/message.ts'
import { createManualClock } from '../helpers/manual-clock.ts'

const session = { clientId: 'a' as ClientId }

t.test('a listener that throws or rejects costs the others nothing, and is told', async t => {
  const events = new Events(createManualClock(0))
  const heard: string[] = []
  const failed = new Promise(resolve => { events.once('listener-failed', resolve) })
  events.on('attached', () => { throw new Error('boom') })
  events.on('attached', () => { heard.push('second') })
  t.equal(events.emit('attached', session), true)
  t.same(heard, ['second'])
  t.match(await failed, { event: 'attached', error: { message: 'boom' }, times: 1 })

  const later = new Events(createManualClock(0))
  const rejected = new Promise(resolve => { later.once('listener-failed', resolve) })
  later.on('detached', async () => { throw new Error('later') })
  later.emit('detached', session)
  t.match(await rejected, { event: 'detached', error: { message: 'later' } })
})

t.test('one that always throws is told once a second, with how often', t => {
  const clock = createManualClock(0)
  const events = new Events(clock)
  const told: number[] = []
  events.on('listener-failed', ({ times }) => { told.push(times) })
  events.on('attached', () => { throw 'no error at all' }) // eslint-disable-line no-throw-literal
  for (let i = 0; i < 5; i++) events.emit('attached', session)
  clock.advance(1_000)
  events.emit('attached', session)
  t.same(told, [1, 5])
  t.end()
})

t.test('a listener of listener-failed that throws ends there', t => {
  const events = new Events(createManualClock(0))
  events.on('listener-failed', () => { throw new Error('again') })
  events.on('attached', () => { throw new Error('boom') })
  t.equal(events.emit('attached', session), true)
  t.end()
})

t.test('otherwise it is an event emitter: once, off, the order, and whether anybody listens', t => {
  const events = new Events(createManualClock(0))
  const heard: number[] = []
  const second = (): void => { heard.push(2) }
  events.once('attached', () => { heard.push(1) })
  events.on('attached', second)
  events.emit('attached', session)
  events.emit('attached', session)
  events.off('attached', second)
  t.equal(events.emit('attached', session), false)
  t.same(heard, [1, 2, 2])
  t.end()
})
