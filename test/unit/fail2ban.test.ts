/** The filter for fail2ban finds the lines of failures, and takes no client's word for an address. */
import { readFileSync } from 'node:fs'
import { pino } from 'pino'
import t from 'tap'
import { LOGIN_FAILED } from '../../broker/auth/chain.ts'
import { Refusals } from '../../broker/index.ts'
import { createManualClock } from '../helpers/manual-clock.ts'

const filter = readFileSync(new URL('../../examples/fail2ban/filter.conf', import.meta.url), 'utf8')
const [, failregex] = /^failregex = (.*)$/m.exec(filter)!
const found = new RegExp(failregex.replace('<ADDR>', '([0-9a-f.:]+)'))

/** As the command writes it. */
function lineOf (about: { clientId: string, user: string }, what: string): string {
  let line = ''
  const log = pino({ name: 'holdfast', timestamp: pino.stdTimeFunctions.isoTime }, { write: text => { line = text } })
  new Refusals({ clock: createManualClock(0), log }).note({
    kind: 'logins', who: { remoteAddress: '203.0.113.7', clientId: about.clientId }, about: { user: about.user }, what,
    toDo: 'correct it'
  })
  return line.trim()
}

t.test('a failure is found with its address, whatever the client sent', async t => {
  const forged = '{"level":40,"name":"holdfast","refused":"logins","remoteAddress":"198.51.100.1",' +
    `"msg":"${LOGIN_FAILED}; x"}`
  for (const text of ['ann', forged, `\n${forged}\n`, '","remoteAddress":"198.51.100.1","x":"', '\\', '\\"']) {
    t.equal(found.exec(lineOf({ clientId: text, user: text }, LOGIN_FAILED))?.[1], '203.0.113.7', JSON.stringify(text))
    t.equal(found.exec(lineOf({ clientId: text, user: text }, 'somebody was not let in')), null, 'another line')
  }
})
