/**
 * Looks over the broker's shoulder: which message was acknowledged when, and whether the client's handler had run for
 * it. Messages carry a number as their argument. The client is in the test's own process, so that the order of what
 * its handlers did and what the broker was told is the real one.
 */
import type { Core } from '../../broker/core.ts'
import type { Delivery, Link, PacketId } from '../../broker/index.ts'
import type { Following } from '../../broker/session/link.ts'
import { decodePayload } from '../../protocol/envelope.ts'
import { until } from '../helpers/wait.ts'

export interface Witness {
  /** What was acknowledged although no handler had run for it: `<clientId> <number>`. */
  readonly lies: string[]
  /** To be called by the handlers. */
  handled (name: string, n: number): void
  /** Numbers that the session of that client has acknowledged, in that order; a recovery offset does so, too. */
  acknowledged (name: string): readonly number[]
  /** Resolves when so many are acknowledged. */
  wait (name: string, count: number, ms?: number): Promise<void>
}

export function watch (broker: Core): Witness {
  const handled = new Map<string, Set<number>>()
  /** What each session was sent, by its place in the log. */
  const places = new Map<string, Map<number, number>>()
  const acknowledged = new Map<string, number[]>()
  const lies: string[] = []
  const handledBy = (name: string): Set<number> => {
    return handled.get(name) ?? handled.set(name, new Set()).get(name)!
  }
  const acknowledgedBy = (name: string): number[] => {
    return acknowledged.get(name) ?? acknowledged.set(name, []).get(name)!
  }
  const attach = broker.attach.bind(broker)

  const count = (name: string, n: number): void => {
    if (!handledBy(name).has(n)) lies.push(`${name} ${n}`)
    acknowledgedBy(name).push(n)
  }

  broker.attach = (session, link, claim): Following => {
    const name = session.clientId.replace(/^io:[^:]*:/, '')
    const sent = new Map<PacketId, number>()
    const placed = places.get(name) ?? places.set(name, new Map()).get(name)!
    for (const [place, n] of placed) {
      if (claim?.receivedThrough === undefined || place > claim.receivedThrough) continue
      count(name, n)
      placed.delete(place)
    }
    watchDeliveries(link, ({ packetId, message }) => {
      const [n] = decodePayload(message.payload).args
      if (typeof n !== 'number') return
      sent.set(packetId, n)
      if ('offset' in message) placed.set(message.offset, n)
    })
    const attachment = attach(session, link, claim)
    const acknowledge = attachment.acknowledge.bind(attachment)
    attachment.acknowledge = packetId => {
      const n = sent.get(packetId)
      if (n !== undefined) count(name, n)
      acknowledge(packetId)
    }
    return attachment
  }

  return {
    lies,
    handled: (name, n) => { handledBy(name).add(n) },
    acknowledged: acknowledgedBy,
    async wait (name, count, ms) {
      await until(() => new Set(acknowledgedBy(name)).size >= count,
        `${count} receipts of ${name}`, ms, 5)
    }
  }
}

function watchDeliveries (link: Link, see: (delivery: Delivery) => void): void {
  const deliver = link.deliver.bind(link)
  link.deliver = deliveries => {
    deliveries.forEach(see)
    deliver(deliveries)
  }
}
