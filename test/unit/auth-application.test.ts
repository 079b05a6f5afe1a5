/** The application that is asked: what goes there, what may come back, and what is kept of it. */
import t from 'tap'
import { Application, type Answer, type ApplicationOptions } from '../../broker/auth/application.ts'
import { SECRET, credentials, fairWork, patient, type Shown } from '../helpers/auth.ts'
import { createManualClock } from '../helpers/manual-clock.ts'

type Question = Readonly<Record<string, unknown>>

function applicationOf (answer: (question: Question) => Answer | Promise<Answer>,
  more: Partial<ApplicationOptions> = {}) {
  const clock = createManualClock(1_000_000)
  const questions: Question[] = []
  const errors: string[] = []
  const application = new Application({
    async ask (body) {
      const question = JSON.parse(body) as Question
      questions.push(question)
      return await answer(question)
    },
    clock,
    work: fairWork(),
    answersMax: 2,
    keepMs: 0,
    secret: SECRET,
    failed: (error) => { errors.push(error.message) },
    ...more
  })
  return {
    application, clock, questions, errors,
    ask: (shown: Shown) => application.authenticate(credentials(shown), patient())
  }
}

function json (value: unknown, status = 200): Answer { return { status, body: JSON.stringify(value) } }

const SHOWN = { username: 'u1', password: 'secret' }

t.test('it gets what the client showed, and says who that is', async t => {
  const { ask, questions } = applicationOf(() => json({
    principal: 'u1', groups: ['a'], info: { name: 'Ann' }, expiresAt: 5, rights: { publish: ['x/#'] }, clientId: 'c1'
  }))
  t.same(await ask({ ...SHOWN, cookies: 'sid=1' }), {
    kind: 'known',
    known: {
      principal: 'u1', groups: ['a'], info: { name: 'Ann' }, expiresAt: 5, grants: { publish: ['x/#'] },
      clientId: 'c1', by: 'authUrl'
    }
  })
  t.same(questions, [{
    via: 'mqtt', clientId: 'c1', remoteAddress: '203.0.113.7', username: 'u1', password: 'secret', cookies: 'sid=1'
  }])
  await ask({ username: 'u1', password: Buffer.from([0xff, 0xfe]) })
  t.match(questions[1], { passwordBase64: '//4=', password: undefined })
})

t.test('who shows nothing costs no request', async t => {
  const { ask, questions } = applicationOf(() => json({ principal: 'u1' }))
  t.same(await ask({}), { kind: 'pass' })
  t.same(questions, [])
})

t.test('401 and 403 refuse', async t => {
  for (const status of [401, 403]) {
    t.match(await applicationOf(() => json({}, status)).ask(SHOWN), { kind: 'refused' })
  }
})

t.test('an answer that says nothing lets nobody in, and counts as none', async t => {
  const answers: Answer[] = [
    json({}), json({ principal: '' }), json({ principal: null }), json({ principal: ['u1'] }), json([]), json(null),
    json({ principal: 'u1' }, 201), json({ principal: 'u1' }, 302), json({}, 500), json({}, 404),
    { status: 200, body: '{"principal":"u1"' }, { status: 200, body: '' },
    json({ principal: 'u1', groups: 'a'.repeat(200) }), json({ principal: 'u1', groups: [1] }),
    json({ principal: 'u1', groups: Array(257).fill('g') }), json({ principal: 'u1', rights: { publsh: ['#'] } }),
    json({ principal: 'u1', rights: ['#'] }), json({ principal: 'u1', rights: { publish: '#' } }),
    json({ principal: 'u1', info: [] }), json({ principal: 'u1', expiresAt: 'never' }),
    json({ principal: 'u1', cacheMs: -1 }), json({ principal: 'u1', clientId: {} }),
    { status: 200, body: '{"__proto__":{"principal":"u1"}}' }
  ]
  for (const answer of answers) {
    const { ask, application, errors } = applicationOf(() => answer)
    await t.rejects(ask(SHOWN), { code: 'AUTH_UNAVAILABLE' }, answer.body.slice(0, 40))
    t.equal(application.failures, 1)
    t.equal(errors.length, 1)
  }
})

t.test('an answer is kept as long as it says, for what was shown alone', async t => {
  const { ask, clock, questions } = applicationOf(() => json({ principal: 'u1', cacheMs: 1_000 }))
  await ask(SHOWN)
  await ask(SHOWN)
  t.equal(questions.length, 1)
  for (const other of [{ password: 'other' }, { username: 'u2' }, { clientId: 'c2' }, { address: '203.0.113.8' }]) {
    const before = questions.length
    await ask({ ...SHOWN, ...other })
    t.equal(questions.length, before + 1, JSON.stringify(other))
  }
  const { length } = questions
  clock.advance(1_000)
  await ask(SHOWN)
  t.equal(questions.length, length + 1)
})

t.test('an answer is not kept longer than what it is about', async t => {
  const { ask, clock, questions } = applicationOf(() =>
    json({ principal: 'u1', cacheMs: 10_000, expiresAt: clock.now() + 500 }))
  await ask(SHOWN)
  clock.advance(499)
  await ask(SHOWN)
  t.equal(questions.length, 1)
  clock.advance(1)
  await ask(SHOWN)
  t.equal(questions.length, 2)
})

t.test('[G6] so many answers are kept; the one used longest ago goes', async t => {
  const { ask, application, questions } = applicationOf(() => json({ principal: 'u1', cacheMs: 1_000 }))
  for (const username of ['u1', 'u2', 'u1', 'u3', 'u1']) await ask({ username, password: 'x' })
  t.equal(application.size, 2)
  t.same(questions.map(({ username }) => username), ['u1', 'u2', 'u3'])
  await application.reload()
  t.equal(application.size, 0)
})

t.test('while it is down, who was known lately comes in where that is asked for, and nobody else', async t => {
  let down = false
  const answer = (): Answer => {
    if (down) throw new Error('connect ECONNREFUSED')
    return json({ principal: 'u1' })
  }
  const refusing = applicationOf(answer)
  const keeping = applicationOf(answer, { keepMs: 1_000 })
  for (const { ask } of [refusing, keeping]) await ask(SHOWN)
  down = true
  await t.rejects(refusing.ask(SHOWN), { code: 'AUTH_UNAVAILABLE' })
  t.match(await keeping.ask(SHOWN), { kind: 'known', known: { principal: 'u1' } })
  await t.rejects(keeping.ask({ ...SHOWN, password: 'other' }), { code: 'AUTH_UNAVAILABLE' })
  keeping.clock.advance(1_000)
  await t.rejects(keeping.ask(SHOWN), { code: 'AUTH_UNAVAILABLE' })
  t.equal(keeping.application.failures, 3)
})

t.test('whom it refuses is known no more, also while it is down later', async t => {
  let answer = (): Answer => json({ principal: 'u1' })
  const { ask } = applicationOf(() => answer(), { keepMs: 10_000 })
  await ask(SHOWN)
  answer = () => json({}, 403)
  t.match(await ask(SHOWN), { kind: 'refused' })
  answer = () => { throw new Error('down') }
  await t.rejects(ask(SHOWN), { code: 'AUTH_UNAVAILABLE' })
})
