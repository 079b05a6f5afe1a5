/**
 * What transports have made of a message, for all who get it: a list by codec, in memory alone. It is only added to in
 * front, so what messages share is never changed. A message that nobody encoded has none, and costs nothing.
 */
/** One for each form in which a message goes out, and one for what a transport knows of it as it came in. */
export const CODECS = { mqtt3: 0, mqtt5: 1, socketio: 2, envelope: 3 } as const
export type Codec = typeof CODECS[keyof typeof CODECS]

export interface Encoding {
  readonly codec: Codec
  next: Encoding | undefined
}

interface Encoded { encodings?: Encoding | null | undefined }

/** The newest of a codec. */
export function encodingOf ({ encodings }: Encoded, codec: Codec): Encoding | undefined {
  let one = encodings ?? undefined
  while (one !== undefined && one.codec !== codec) one = one.next
  return one
}

/** The encoding must not stand in a list yet. */
export function addEncoding<E extends Encoding> (message: Encoded, encoding: E): E {
  encoding.next = message.encodings ?? undefined
  message.encodings = encoding
  return encoding
}
