/** The program around the server, as a publisher: it is trusted, whatever access control says of others. */
import { CLIENT_ID_MARK } from '../bridge/socketio/translation/translate.ts'
import type { Auth, Broker, ClientId, Principal, QoS } from '../broker/index.ts'

export interface PublishOptions {
  readonly topic: string
  /** Text is sent as UTF-8; bytes are copied. */
  readonly payload: string | Uint8Array
  /** Default 1. */
  readonly qos?: QoS
  /** Default false. */
  readonly retain?: boolean
  /**
   * Identifier of the message, so that a second try can be recognised: a handler of a Socket.IO client runs once for
   * messages with one topic and id [G4], as far as docs/envelope.md says. Default none.
   */
  readonly id?: string
}

export const PROGRAM = { clientId: '$program' as ClientId, principal: '$program' as Principal }

/** Access control that lets the program publish, and nobody else be taken for the program [G7]. */
export function trustingTheProgram (auth: Auth): Auth {
  return {
    anonymous: auth.anonymous,
    async authenticate (credentials) {
      const principal = await auth.authenticate(credentials)
      return principal === PROGRAM.principal ? undefined : principal
    },
    mayPublish: (principal, clientId, topic) =>
      principal === PROGRAM.principal || auth.mayPublish(principal, clientId, topic),
    maySubscribe: (principal, clientId, filter) => auth.maySubscribe(principal, clientId, filter)
  }
}

/** Resolves when the message is durable [G1]; rejects with HoldfastError where it is not kept. */
export function publish (
  broker: Broker, { topic, payload, qos = 1, retain = false, id = '' }: PublishOptions
): Promise<void> {
  return new Promise((resolve, reject) => {
    const bytes = typeof payload === 'string' ? Buffer.from(payload) : Buffer.copyBytesFrom(payload)
    const marked = id === '' ? '' : CLIENT_ID_MARK + id
    broker.publish(PROGRAM, { topic, payload: bytes, qos, retain, id: marked },
      (error) => error === undefined ? resolve() : reject(error))
  })
}
