/** What clients of every kind ask for, between their end of the wire and the broker, with the checker looking on. */
import type { Broker, PublishRequest } from '../../broker/broker.ts'
import { HoldfastError } from '../../broker/model/errors.ts'
import type { ClientId, QoS } from '../../broker/model/message.ts'
import type { Session } from '../../broker/session/session.ts'
import { payloadOf } from './ledger.ts'
import type { Life } from './life.ts'
import type { ServerProcess } from './server.ts'

export interface Publish {
  readonly key: string
  readonly topic: string
  readonly qos: QoS
  readonly retain: boolean
  readonly padding: number
}

export type Refused = (what: string, error: unknown) => void

/** @param publish hands it to the broker; `done` is called with its receipt */
export function publishFor (server: ServerProcess, clientId: ClientId, { key, topic, qos, retain, padding }: Publish,
  publish: (request: PublishRequest, receipt: Parameters<Broker['publish']>[2]) => void, done: () => void,
  refused: Refused): void {
  const { checker, referee } = server.options
  const publication = checker.publishing(clientId, key, topic, qos, retain)
  publish({ topic, payload: payloadOf(key, padding), qos, retain, id: '' }, error => {
    if (server.isGone) return referee.violate('G1', `${key} got a receipt from a dead process`)
    checker.receipt(publication, error)
    if (error !== undefined) refused('publish', error)
    else done()
  })
}

/** @param qos undefined to unsubscribe */
export function subscribeFor (server: ServerProcess, life: Life, session: Session, filter: string,
  qos: QoS | undefined, refused: Refused): void {
  const { checker } = server.options
  const { broker } = server
  const call = checker.subscribing(life, filter, qos)
  const done = qos === undefined ? broker.unsubscribe(session, filter) : broker.subscribe(session, filter, qos)
  done.then(() => { if (!server.isGone) checker.subscribed(life, call) }, (error: unknown) => {
    if (server.isGone) return
    life.failed(call)
    refused('subscribe', error)
  })
}

/** The broker may refuse on purpose; anything else is a defect. */
export function describe (server: ServerProcess, clientId: ClientId | undefined, what: string, error: unknown): void {
  const { referee } = server.options
  const text = error instanceof Error ? error.stack ?? error.message : String(error)
  referee.trace?.(`${clientId}: ${what} failed: ${text}`)
  if (!(error instanceof HoldfastError)) referee.violate('crash', `${what} failed: ${text}`)
}
