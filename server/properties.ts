/** What a program says of a message beside its payload, and what it is told of one. */
import { isTypedArray } from 'node:util/types'
import type { Extension } from '../broker/index.ts'

/** As MQTT 5 has them; kept with the message and handed on unaltered. */
export interface MessageProperties {
  /** MIME type of the payload. */
  readonly contentType?: string
  /** Where an answer is expected. */
  readonly responseTopic?: string
  /** What belongs to the request, for its answer; copied. */
  readonly correlationData?: Uint8Array
  /** Pairs of name and value, in order; a name may come more than once. */
  readonly userProperties?: ReadonlyArray<readonly [name: string, value: string]>
  /** Who counts its messages, with `sequence`. Both are kept and handed on; nothing is left out for them yet. */
  readonly producer?: string
  readonly sequence?: number
}

/** Undefined where there are none. */
export function extensionOf (properties: MessageProperties): Extension | undefined {
  const { contentType, responseTopic, correlationData, userProperties, producer, sequence } = properties
  if (contentType === undefined && responseTopic === undefined && correlationData === undefined &&
    userProperties === undefined && producer === undefined) return undefined
  return {
    contentType,
    responseTopic,
    correlationData: correlationData && Buffer.copyBytesFrom(correlationData),
    userProperties: userProperties?.map(([name, value]) => [name, value] as const),
    producer: producer === undefined ? undefined : { name: producer, sequence: sequence! }
  }
}

export function propertiesOf (extension: Extension | undefined): MessageProperties {
  if (extension === undefined) return {}
  const { contentType, responseTopic, correlationData, userProperties, producer } = extension
  return {
    ...(contentType !== undefined && { contentType }),
    ...(responseTopic !== undefined && { responseTopic }),
    ...(correlationData !== undefined && { correlationData: Buffer.from(correlationData) }),
    ...(userProperties !== undefined && { userProperties }),
    ...(producer !== undefined && { producer: producer.name, sequence: producer.sequence })
  }
}

/** What is wrong with them: the option, and what it must be. */
export function wrongProperty (properties: MessageProperties): readonly [option: string, what: string] | undefined {
  const { contentType, responseTopic, correlationData, userProperties, producer, sequence } = properties
  const isText = (value: unknown): boolean => value === undefined || typeof value === 'string'
  if (!isText(contentType)) return ['contentType', 'a text']
  if (!isText(responseTopic)) return ['responseTopic', 'a text']
  if (correlationData !== undefined && !isTypedArray(correlationData)) return ['correlationData', 'bytes']
  if (userProperties !== undefined && !(Array.isArray(userProperties) && userProperties.every(isPair))) {
    return ['userProperties', 'a list of pairs of texts, [name, value]']
  }
  if (!isText(producer)) return ['producer', 'a text']
  if ((producer === undefined) !== (sequence === undefined)) return ['producer', 'together with sequence']
  if (sequence !== undefined && !(Number.isSafeInteger(sequence) && sequence >= 0)) {
    return ['sequence', 'a whole number, 0 or more']
  }
  return undefined
}

function isPair (value: unknown): boolean {
  return Array.isArray(value) && value.length === 2 && value.every((one) => typeof one === 'string')
}
