/** Sessions and messages as JSON: times as ISO 8601, bytes as text where they are one. */
import type { SetAsideMessage, SessionInfo } from '../../broker/index.ts'

export function sessionJson ({ detachedAt, ...session }: SessionInfo): object {
  return { ...session, detachedAt: iso(detachedAt) }
}

/** With `payload`, or `payloadBase64` where it is no text, where it is asked for. */
export function asideJson (one: SetAsideMessage, withPayload: boolean): object {
  const { id, offset, attempts, setAsideAt, message: { topic, payload, qos, time, publisher, principal, retain } } = one
  return {
    id, offset, attempts, setAsideAt: iso(setAsideAt), topic, qos, bytes: payload.length, time: iso(time), publisher,
    principal, retain, ...withPayload && payloadJson(payload)
  }
}

function payloadJson (payload: Buffer): object {
  try {
    return { payload: new TextDecoder('utf-8', { fatal: true }).decode(payload) }
  } catch {
    return { payloadBase64: payload.toString('base64') }
  }
}

function iso (ms: number | undefined): string | null {
  return ms === undefined ? null : new Date(ms).toISOString()
}
