/** The kinds of Socket.IO clients, by what makes a difference to a proof of receipt. */
import type { Random } from '../random.ts'

export const VERSIONS = ['2.5', '3.1', '4.0', '4.5', '4.6', '4.8'] as const
export const TRANSPORTS = ['websocket', 'polling', 'upgrade'] as const
export const PROOFS = ['handled', 'received', 'ack'] as const

export interface Kind {
  readonly version: typeof VERSIONS[number]
  /** Revision of Engine.IO. */
  readonly protocol: 3 | 4
  readonly transport: typeof TRANSPORTS[number]
  /** Its handlers run in a later turn than its engine reads (from 4.5 on, in Node). */
  readonly isDeferred: boolean
  /** It brings an identifier and an offset when it comes back (from 4.6 on). */
  readonly recovers: boolean
  /** Its polls carry no `t`: one of them that is repeated can't be told from a new one. */
  readonly isUntimed: boolean
  /** What the server waits for before a message counts as received. */
  readonly proof: typeof PROOFS[number]
}

export function makeKind (random: Random): Kind {
  const version = random.pick(VERSIONS)
  const transport = random.pick(TRANSPORTS)
  const proof = random.chance(0.6) ? 'handled' : random.pick(PROOFS)
  return {
    version,
    protocol: version === '2.5' ? 3 : 4,
    transport,
    isDeferred: version >= '4.5',
    recovers: version >= '4.6',
    // 4.0 differs from 3.1 in nothing else; of 2.5 about the half that polls
    isUntimed: version === '4.0' || (version === '2.5' && (transport === 'polling') === (proof === 'handled')),
    proof
  }
}

/** A rule may ask for the application's own ack for some events; others are proven as usual. */
export function asksForAck ({ proof }: Kind, topic: string): boolean {
  return proof === 'ack' && topic.startsWith('a')
}

export function kindName ({ version, transport, proof, isUntimed }: Kind): string {
  return `${version} ${transport} ${proof}${isUntimed ? ' without t' : ''}`
}
