/** Sessions that are made before their clients come: what is published meanwhile waits for them [G2]. */
import type { Rights } from '../auth/rights.ts'
import type { Provision } from '../broker.ts'
import type { Core } from '../core.ts'
import { HoldfastError } from '../model/errors.ts'
import type { ClientId } from '../model/message.ts'
import { show } from '../model/topics.ts'

type Steps = Pick<Core, 'session' | 'connect' | 'subscribe' | 'release'>

interface Checks {
  check (clientId: ClientId, rights: Rights, filters: readonly string[], mayShare: boolean): Promise<void>
}

/** As Broker.provision(). */
export async function provision (broker: Steps, checks: Checks, request: Provision, rights: Rights
): Promise<boolean> {
  const { clientId, principal, owner, expiryMs, filters } = request
  if (isThere(broker, request)) return false
  await checks.check(clientId, rights, filters.map(({ filter }) => filter), true) // nothing is kept yet
  if (isThere(broker, request)) return false
  // Its client may come at the same moment: then what that one holds still counts.
  const tag = (previous: string | undefined): string | undefined => previous
  const { session, present } = await broker.connect({ clientId, principal, owner, clean: false, expiryMs, tag })
  const writes = present
    ? []
    : filters.map(({ filter, qos }) => broker.subscribe(session, filter, qos, { mayShare: true }))
  const failed = (await Promise.allSettled(writes)).find((write) => write.status === 'rejected')
  if (failed !== undefined) {
    broker.release(session, { endsNew: true })
    throw failed.reason
  }
  if (!present) session.isNew = false // a first attempt of its client that is refused does not end it [G2]
  broker.release(session)
  return !present
}

function isThere (broker: Steps, { clientId, principal }: Provision): boolean {
  const known = broker.session(clientId)
  if (known === undefined) return false
  if (known.principal === principal) return true
  throw new HoldfastError('SESSION_FOREIGN', `${show(clientId)} belongs to another principal`) // [G7]
}
