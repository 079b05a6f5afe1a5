/**
 * Envelopes that the bridge itself has just made. What is in one was checked when it was made, so while the message is
 * in memory its arguments need not be read again: they are passed on to the receivers as the JSON that they are.
 */
import { CODECS, type Encoding } from '../../../broker/index.ts'
import { encodeEnvelope, type Envelope, envelopeText } from '../../../protocol/index.ts'

/** Travels with the message, see Message.encodings. */
export class OwnEnvelope implements Encoding {
  readonly codec = CODECS.envelope
  next: Encoding | undefined = undefined
  /** Where the JSON array of the arguments begins in the payload. It ends before the last byte. */
  readonly argsAt: number

  constructor (argsAt: number) {
    this.argsAt = argsAt
  }
}

export interface EncodedEnvelope {
  readonly payload: Buffer
  /** Undefined where the payload is MessagePack. */
  readonly encodings: OwnEnvelope | undefined
}

/** Throws EnvelopeError. */
export function encodeOwnEnvelope (envelope: Envelope): EncodedEnvelope {
  const text = envelopeText(envelope)
  if (text === undefined) {
    const bytes = encodeEnvelope(envelope)
    return { payload: Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength), encodings: undefined }
  }
  const { before, args } = text
  return { payload: Buffer.from(`${before}${args}}`), encodings: new OwnEnvelope(Buffer.byteLength(before)) }
}
