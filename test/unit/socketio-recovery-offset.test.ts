/** The token that events carry and that a client of 4.6 or later brings back. */
import { randomUUID } from 'node:crypto'
import t from 'tap'
import { formatToken, isToken, readToken, TOKEN_LENGTH_MAX } from '../../bridge/socketio/proof/recovery-offset.ts'
import type { Offset } from '../../broker/model/message.ts'

const EPOCH = randomUUID()

t.test('a token gives back the offset that it was made of', async t => {
  for (const offset of [0, 1, 35, 36, 2 ** 32, Number.MAX_SAFE_INTEGER] as Offset[]) {
    const token = formatToken(EPOCH, offset)
    t.equal(readToken(EPOCH, token), offset)
    t.ok(isToken(token))
    t.ok(token.length <= TOKEN_LENGTH_MAX)
  }
})

t.test('[G2] a token of another log means nothing here', async t => {
  const token = formatToken('another', 5 as Offset)
  t.equal(readToken(EPOCH, token), undefined)
  t.ok(isToken(token), 'though it is one')
})

t.test('[G2] what an application sends is no token: any string, and every token that was tampered with', async t => {
  const token = formatToken(EPOCH, 1_234_567 as Offset)
  const log = token.slice(0, 'hf~12345678'.length)
  const others = ['', 'hello', 'hf~', 'hf~~1', log, `${log}~`, `${token}\n`, ` ${token}`, `${token}~1`, token.slice(1),
    token.toUpperCase(), `${log}~01`, `${log}~-1`, `${log}~1.5`, `${log}~zzzzzzzzzzzz`, `${log}e~1`,
    `${log}~${'1'.repeat(1_000_000)}`,
    7, null, undefined, {}, [token], { toString: () => token }]
  for (const value of others) {
    t.equal(readToken(EPOCH, value), undefined, String(value).slice(0, 60))
    t.notOk(isToken(value))
  }
  t.equal(readToken(EPOCH, `${log}~zzzzzzzzzzz`), undefined, 'an offset that no log can have')
})
