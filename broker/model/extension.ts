/**
 * What most messages do not have. It stands beside the message as one object, so that one without it costs nothing.
 */
import type { Message, TimeMs } from './message.ts'

/** Properties as MQTT 5 has them (3.3.2.3), passed on unaltered, and what Holdfast itself keeps with a message. */
export interface Extension {
  /** In Holdfast's own time: from then on it is delivered to nobody. */
  readonly expiresAt?: TimeMs | undefined
  /** MIME type of the payload. */
  readonly contentType?: string | undefined
  readonly responseTopic?: string | undefined
  /** What belongs to the request, for its answer. */
  readonly correlationData?: Buffer | undefined
  /** In the publisher's order; a name may come more than once. */
  readonly userProperties?: ReadonlyArray<readonly [name: string, value: string]> | undefined
  /** Who counts its messages, and which of them this is. */
  readonly producer?: { readonly name: string, readonly sequence: number } | undefined
  /** Fields that a later version wrote, as they stand in the store: kept with the message, not understood. */
  readonly unknown?: Buffer | undefined
}

/** From its time of expiry on; most messages have none. */
export function isExpired ({ extension }: Pick<Message, 'extension'>, now: TimeMs): boolean {
  return extension?.expiresAt !== undefined && extension.expiresAt <= now
}

/** Bytes that it adds to a message in every limit. */
export function extensionBytes (extension: Extension | undefined): number {
  if (extension === undefined) return 0
  const { contentType = '', responseTopic = '', correlationData, userProperties = [], producer, unknown } = extension
  let bytes = contentType.length + responseTopic.length + (correlationData?.length ?? 0) + (unknown?.length ?? 0) +
    (producer?.name.length ?? 0)
  for (const [name, value] of userProperties) bytes += name.length + value.length
  return bytes
}
