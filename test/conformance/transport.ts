/** What is true of every client at the edge, whatever it speaks: a function of a transport. */
import type { Test } from 'tap'
import { until, within } from '../helpers/wait.ts'
import { SECRET, tell, type Edge, type Transport, type Visitor } from './transport-words.ts'

/** Bytes that no socket takes at once. */
const LARGE = 'x'.repeat(64 * 1024)

export function suite (t: Test, transport: Transport, startEdge: (t: Test) => Promise<Edge>): void {
  t.test(transport.name, async (t) => {
    const edge = await startEdge(t)
    const { broker, people } = edge
    const heard = async (visitor: Visitor, text: string): Promise<void> => {
      await until(() => visitor.got.includes(text), `${text} to come`)
    }
    /** A person of their own for each case, in a room of its own. */
    const come = async (t: Test, name: string): Promise<{ visitor: Visitor, room: string, token: string }> => {
      const token = people.add(name)
      const visitor = await transport.enter(t, edge, { name, token })
      const room = `room-of-${name}`
      await visitor.join(room)
      return { visitor, room, token }
    }
    const back = (t: Test, name: string, token: string): Promise<Visitor> => transport.enter(t, edge, { name, token })
    const sessionOf = (name: string) => broker.session(transport.sessionOf(name))

    await t.test('who is known comes in, hears and says', async (t) => {
      const { visitor, room } = await come(t, 'in')
      await tell(edge, room, 'hello')
      await heard(visitor, 'hello')
      await visitor.say(room, 'echo')
      await heard(visitor, 'echo')
      t.equal(sessionOf('in')?.principal, 'in')
    })

    await t.test('[G7] who is not known is refused, and nothing is kept of them', async (t) => {
      await t.rejects(transport.enter(t, edge, { name: 'stranger', token: 'none' }))
      t.equal(sessionOf('stranger'), undefined)
    })

    await t.test('[G7] nobody gets the session of somebody else', async (t) => {
      await come(t, 'owner')
      await t.rejects(transport.enter(t, edge, { name: 'owner', token: people.add('thief') }))
      t.equal(sessionOf('owner')?.principal, 'owner')
      t.equal(sessionOf('owner')?.attached, true, 'who has it keeps it')
    })

    await t.test('[G2] the same client again takes over, and goes on where it was', async (t) => {
      const { visitor, room, token } = await come(t, 'twice')
      const next = await back(t, 'twice', token)
      await within(visitor.closed, 'the first to be closed')
      await tell(edge, room, 'to the second')
      await heard(next, 'to the second')
      t.notOk(visitor.got.includes('to the second'))
    })

    await t.test('[G7] [G2] when the proof has expired the connection ends, and what comes waits', async (t) => {
      const { visitor, room, token } = await come(t, 'expiring')
      people.expiry.set('expiring', Date.now() + 50)
      await broker.refresh()
      await within(visitor.closed, 'the connection to be closed')
      await tell(edge, room, 'meanwhile')
      await t.rejects(back(t, 'expiring', token), 'what was shown has expired')
      people.expiry.delete('expiring')
      await heard(await back(t, 'expiring', token), 'meanwhile')
    })

    await t.test('[G7] a fresh proof of the same person keeps the connection, and of nobody else', async (t) => {
      const { visitor, room } = await come(t, 'renewing')
      if (visitor.renew === undefined) return t.comment('this protocol has no way to')
      t.equal(await visitor.renew(people.add('another')), 'error')
      t.equal(await visitor.renew('unknown'), 'error')
      t.equal(await visitor.renew(people.add('renewing', 'fresh')), 'ok')
      await tell(edge, room, 'still here')
      await heard(visitor, 'still here')
    })

    await t.test('[G7] what may not be read any more is not delivered, now or later', async (t) => {
      const { visitor, room, token } = await come(t, 'reader')
      const { withheld } = broker.stats()
      people.kept.add('reader')
      await broker.refresh()
      await tell(edge, room, 'not for you', SECRET)
      await tell(edge, room, 'for you')
      await heard(visitor, 'for you')
      visitor.break()
      await within(visitor.closed, 'the link to break')
      await until(() => sessionOf('reader')?.attached === false, 'the session to be away')
      await tell(edge, room, 'not for you either', SECRET)
      await tell(edge, room, 'for you too')
      const again = await back(t, 'reader', token)
      await heard(again, 'for you too')
      await until(() => sessionOf('reader')?.backlogMessages === 0, 'nothing to wait')
      t.same([...visitor.got, ...again.got].filter((text) => text.startsWith('not')), [])
      t.equal(broker.stats().withheld - withheld, 2)
    })

    await t.test('[G7] a filter that may not be had any more delivers nothing; the other ones do', async (t) => {
      const { visitor, room, token } = await come(t, 'barred')
      await visitor.join('open')
      people.barred.set('barred', room)
      await broker.refresh()
      await tell(edge, room, 'behind a door')
      await tell(edge, 'open', 'in the open')
      await heard(visitor, 'in the open')
      visitor.break()
      await within(visitor.closed, 'the link to break')
      await until(() => sessionOf('barred')?.attached === false, 'the session to be away')
      await tell(edge, room, 'behind a door again')
      await tell(edge, 'open', 'in the open again')
      const again = await back(t, 'barred', token)
      await heard(again, 'in the open again')
      t.same([...visitor.got, ...again.got].filter((text) => text.startsWith('behind')), [])
      const { refused } = broker.stats()
      await again.say(room, 'behind a door as well').catch(() => {})
      t.equal(broker.stats().refused - refused, 1, 'nor may they say anything there')
    })

    await t.test('[G2] an administrator closes connections, and sessions stay', async (t) => {
      const { visitor, room, token } = await come(t, 'closed')
      t.equal(broker.disconnect({ principal: 'closed' as never }), 1)
      await within(visitor.closed, 'the connection to be closed')
      await tell(edge, room, 'meanwhile')
      await heard(await back(t, 'closed', token), 'meanwhile')
    })

    await t.test('[G7] who is removed is closed, and refused; what waited comes when they are back', async (t) => {
      const { visitor, room, token } = await come(t, 'removed')
      people.tokens.delete(token)
      t.equal(await broker.refresh(), 1)
      await within(visitor.closed, 'the connection to be closed')
      await tell(edge, room, 'meanwhile')
      await t.rejects(back(t, 'removed', token))
      await heard(await back(t, 'removed', people.add('removed')), 'meanwhile')
    })

    await t.test('[G8] who does not read holds up nobody', async (t) => {
      const { visitor: slow, room } = await come(t, 'slow')
      const { visitor: quick } = await come(t, 'quick')
      await quick.join(room)
      if (slow.freeze === undefined) return t.comment('it can\'t be had here')
      slow.freeze()
      for (let n = 0; n < 100; n++) await tell(edge, room, `${n} ${LARGE}`)
      await until(() => quick.got.length === 100, 'all of them to come to the other one')
      t.ok(slow.got.length < 100)
    })

    await t.test('[G1] the server stops: connections end, and nothing is owed', async (t) => {
      const { visitor, room } = await come(t, 'last')
      await visitor.say(room, 'last words')
      await edge.close()
      await within(visitor.closed, 'the connection to be closed')
    })
  })
}
