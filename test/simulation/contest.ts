/** What others do to a session: a stranger who wants it, and an administrator who ends it. */
import type { ClientId, Principal } from '../../broker/model/message.ts'
import { HoldfastError } from '../../broker/model/errors.ts'
import type { Checker } from './checker.ts'
import type { Random } from './random.ts'
import type { Referee } from './referee.ts'
import type { ServerProcess } from './server.ts'

const STRANGER = 'stranger' as Principal
/** A session that a stranger got, because nobody had one of the name, is soon gone again. */
const STOLEN_EXPIRY_MS = 50

export interface Contest {
  readonly server: ServerProcess
  readonly clientId: ClientId
  readonly checker: Checker
  readonly referee: Referee
}

/** Somebody else asks for the session, as if it were theirs; they get it only where nobody has it [G7]. */
export function steal ({ server, clientId, checker, referee }: Contest, random: Random): void {
  const clean = random.chance(0.5)
  const attempt = checker.stealing(clientId)
  referee.count('theft tried')
  server.broker.connect({ clientId, principal: STRANGER, clean, expiryMs: STOLEN_EXPIRY_MS }).then(connected => {
    if (server.isGone) return
    checker.stolen(attempt, connected.present)
    server.broker.release(connected.session)
  }, (error: unknown) => {
    if (server.isGone) return
    if (error instanceof HoldfastError) referee.count(`theft: ${error.code}`)
    else referee.violate('crash', `connect() of a stranger failed: ${String(error)}`)
  })
}

/** An administrator ends the session; what is ended and written down stays so [G5]. */
export function endSession ({ server, clientId, checker, referee }: Contest): void {
  const life = checker.sessions.of(clientId)
  if (life !== undefined) life.mayHaveEnded = true
  const calledMs = referee.nowMs
  server.broker.end(clientId).then(wasThere => {
    if (!server.isGone && wasThere && life !== undefined) checker.endedByAdministrator(life, calledMs)
  }, (error: unknown) => { referee.violate('crash', `end() failed: ${String(error)}`) })
}
