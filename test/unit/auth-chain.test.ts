/** The chain: who is asked in which order, what a refusal costs and says, and who is known after a reload. */
import t from 'tap'
import type { Authenticator, Verdict } from '../../broker/auth/authenticator.ts'
import { Chain, type ChainOptions } from '../../broker/auth/chain.ts'
import type { Identity, Known } from '../../broker/auth/identity.ts'
import { ALL_RIGHTS, type Rights } from '../../broker/auth/rights.ts'
import type { Principal } from '../../broker/model/message.ts'
import { SECRET, addressDelays, credentials, patient, toldRefusals, type Shown } from '../helpers/auth.ts'
import { createManualClock } from '../helpers/manual-clock.ts'

function known (principal: string, more: Partial<Known> = {}): Known {
  return {
    principal: principal as Principal, groups: [], info: {}, expiresAt: undefined, grants: undefined,
    clientId: undefined, by: 'a', ...more
  }
}

/** Says what it is told to, and notes that it was asked. */
function authenticator (name: string, asked: string[], verdict: Verdict, more: Partial<Authenticator> = {}):
Authenticator {
  return { name, async authenticate () { asked.push(name); return verdict }, ...more }
}

const PASS: Verdict = { kind: 'pass' }
const REFUSED: Verdict = { kind: 'refused', why: 'wrong password' }

function chainOf (authenticators: readonly Authenticator[], more: Partial<ChainOptions> = {}) {
  const clock = createManualClock(1_000_000)
  const { refusals, lines } = toldRefusals(clock)
  const given: string[] = []
  const delays = addressDelays(clock)
  const chain = new Chain({
    program: undefined,
    authenticators,
    allowAnonymous: false,
    rightsOf: () => ALL_RIGHTS,
    clock,
    delays,
    refusalMs: 100,
    refusals,
    giveUp: (address) => { given.push(address) },
    secret: SECRET,
    ...more
  })
  const ask = (shown: Shown): Promise<Identity | undefined> => chain.authenticate(credentials(shown), patient())
  /** Resolves when it is answered, and says how long that took by the clock. */
  async function timed (shown: Shown): Promise<{ identity: Identity | undefined, ms: number }> {
    const from = clock.now()
    let answer: { identity: Identity | undefined } | undefined
    const asking = ask(shown).then(identity => { answer = { identity } })
    while (answer === undefined) {
      await new Promise(resolve => { setImmediate(resolve) })
      if (answer === undefined) clock.advance(1)
    }
    await asking
    return { ...answer, ms: clock.now() - from }
  }
  return { chain, clock, ask, timed, lines, delays, given, refusals }
}

const SHOWN = { username: 'u1', password: 'secret' }

t.test('the first that understands decides, and nobody behind it is asked', async t => {
  const asked: string[] = []
  const { ask } = chainOf([
    authenticator('a', asked, PASS), authenticator('b', asked, { kind: 'known', known: known('u1', { by: 'b' }) }),
    authenticator('c', asked, { kind: 'known', known: known('u2') })
  ])
  t.match(await ask(SHOWN), { principal: 'u1', by: 'b', rights: ALL_RIGHTS })
  t.same(asked, ['a', 'b'])
})

t.test('a refusal is the last word, and takes as long whoever found it', async t => {
  const asked: string[] = []
  const first = chainOf([authenticator('a', asked, REFUSED), authenticator('b', asked, PASS)])
  t.same(await first.timed(SHOWN), { identity: undefined, ms: 100 })
  t.same(asked, ['a'])
  const last = chainOf([authenticator('a', asked, PASS), authenticator('b', asked, PASS)])
  t.same(await last.timed(SHOWN), { identity: undefined, ms: 100 })
})

t.test('a program is asked first; whom it does not know, the others may', async t => {
  const asked: string[] = []
  const rights: Rights = { mayPublish: () => false, maySubscribe: () => false, mayRead: undefined }
  const mine: Identity = {
    principal: 'boss' as Principal, groups: [], info: {}, expiresAt: undefined, by: 'program', rights
  }
  const { ask, chain } = chainOf([authenticator('a', asked, { kind: 'known', known: known('u1') })], {
    program: {
      anonymous: false,
      async authenticate ({ username }) { return username === 'boss' ? mine : undefined },
      rightsOf: () => rights
    }
  })
  t.equal(await ask({ username: 'boss', password: 'x' }), mine)
  t.same(asked, [])
  t.match(await ask(SHOWN), { principal: 'u1' })
  t.equal(chain.refresh(mine), mine)
  t.equal(chain.rightsOf('boss' as Principal), rights)
})

t.test('who shows nothing is anonymous only where that is asked for, and only then', async t => {
  const without = chainOf([authenticator('a', [], PASS)])
  t.same(await without.timed({}), { identity: undefined, ms: 100 })
  t.equal(without.delays.size, 0, 'it guessed nothing')
  const { ask, timed } = chainOf([authenticator('a', [], PASS)], { allowAnonymous: true })
  t.match(await ask({}), { principal: 'anonymous', by: 'anonymous' })
  t.equal((await timed(SHOWN)).identity, undefined)
  t.equal((await timed({ username: '' })).identity, undefined)
  t.equal((await timed({ password: '' })).identity, undefined)
})

t.test('[G7] nobody is taken for somebody of the server\'s own, or for a name that can\'t be written', async t => {
  const names = ['anonymous', '$program', '$SYS', 'a\nb', 'a\u2028b', 'x'.repeat(257), '\ud800']
  for (const [index, principal] of names.entries()) {
    const { timed } = chainOf([authenticator('a', [], { kind: 'known', known: known(principal) })])
    t.equal((await timed(SHOWN)).identity, undefined, `name ${index}`)
  }
})

t.test('[G7] a proof for one client identifier opens no other', async t => {
  const { ask, timed } = chainOf([
    authenticator('a', [], { kind: 'known', known: known('u1', { clientId: 'phone' }) })
  ])
  t.match(await ask({ ...SHOWN, clientId: 'phone' }), { principal: 'u1' })
  t.equal((await timed({ ...SHOWN, clientId: 'laptop' })).identity, undefined)
  t.match(await ask({ ...SHOWN, clientId: 'io:chat:phone' }), { principal: 'u1' })
  for (const clientId of ['io:chat:laptop', 'io:chat:x%3Aphone', 'io:phone', 'io:_:::phone:0', 'phone:phone']) {
    t.equal((await timed({ ...SHOWN, clientId })).identity, undefined, clientId)
  }
})

t.test('failures slow the address down, each is told, and what the address has waiting is given up', async t => {
  const { timed, lines, given, refusals } = chainOf([authenticator('a', [], REFUSED)])
  const took: number[] = []
  for (let i = 0; i < 5; i++) took.push((await timed(SHOWN)).ms)
  t.same(took, [100, 100, 200, 400, 800])
  t.same(given, ['203.0.113.7', '203.0.113.7'])
  t.equal((await timed({ ...SHOWN, address: '203.0.113.8' })).ms, 100)
  t.equal(refusals.counts.logins, 6)
  t.equal(lines.length, 6)
  t.match(lines[0], {
    text: /^authentication failed; /,
    fields: { refused: 'logins', remoteAddress: '203.0.113.7', clientId: 'c1', user: 'u1', why: 'wrong password' }
  })
  t.same(Object.keys(lines[0].fields).slice(0, 2), ['refused', 'remoteAddress'], 'as fail2ban needs them')
})

t.test('no line holds a password, and what the client says can\'t break one', async t => {
  const { timed, lines } = chainOf([authenticator('a', [], PASS)])
  await timed({ username: 'u1\nholdfast "remoteAddress":"198.51.100.1"', password: 'tops3cret' })
  const text = JSON.stringify(lines)
  t.notMatch(text, /tops3cret/)
  t.notMatch(String(lines[0].fields['user']), /\n/)
})

t.test('a genuine proof that is over does not slow its address down', async t => {
  const { timed, delays, lines } = chainOf([
    authenticator('a', [], { kind: 'refused', why: 'an expired token', isGenuine: true })
  ])
  for (let i = 0; i < 5; i++) t.equal((await timed({ password: 'token' })).ms, 100)
  t.equal(delays.size, 0)
  t.equal(lines.length, 1)
})

t.test('where an authenticator can\'t say, nobody comes in, and it is no failure', async t => {
  const { ask, delays } = chainOf([{
    name: 'a', async authenticate () { throw new Error('down') }
  }, authenticator('b', [], { kind: 'known', known: known('u1') })])
  await t.rejects(ask(SHOWN), { message: 'down' })
  t.equal(delays.size, 0)
})

t.test('after a reload each is who they are today: other groups, known no more, as before', async t => {
  let today: Known | undefined = known('u1', { groups: ['new'] })
  const made: Known[] = []
  const { ask, chain } = chainOf([
    authenticator('a', [], { kind: 'known', known: known('u1', { groups: ['old'] }) }, { refresh: () => today })
  ], { rightsOf: (who) => { made.push(who); return ALL_RIGHTS } })
  const identity = (await ask(SHOWN))!
  const newer = chain.refresh(identity)!
  t.same([identity.groups, newer.groups], [['old'], ['new']])
  t.same(made.map(({ groups }) => groups), [['old'], ['new']], 'rights are made anew')
  today = undefined
  t.equal(chain.refresh(newer), undefined)
})

t.test('a reload that fails somewhere does the rest, and says what is wrong', async t => {
  const done: string[] = []
  const { chain } = chainOf([
    authenticator('a', [], PASS, { async reload () { throw new Error('line 3: no name') } }),
    authenticator('b', [], PASS, { async reload () { done.push('b') } }),
    authenticator('c', [], PASS)
  ])
  await t.rejects(chain.reload(), { message: /line 3: no name/ })
  t.same(done, ['b'])
})
