/** PUBLISH, of any QoS: handed to the peer, then its receipt [G1]. */
import type { PublishRequest } from '../../broker.ts'
import { HoldfastError } from '../../model/errors.ts'
import type { Limits } from '../../model/limits.ts'
import type { PacketId, QoS } from '../../model/message.ts'
import { show } from '../../model/topics.ts'
import type { Meters } from '../../system/meters.ts'
import type { MqttRefusals } from '../refusals.ts'
import type { SkippedPublish } from '../wire/skipped-publish.ts'
import { CONNECTION, toldOf, type Callback, type InnerClient } from './client.ts'

/** pass: to whoever is connected; keep: as if it had come at QoS 1, without a receipt. */
export type Qos0Messages = 'pass' | 'keep'

export interface IncomingOptions {
  readonly limits: Limits
  readonly meters: Meters
  readonly refusals: MqttRefusals
  readonly qos0Messages: Qos0Messages
}

type Receipt = (error?: HoldfastError) => void
interface Expected { topic: string, qos: QoS, packetId: number, bytes: number }

/** What a message costs in memory besides its topic and payload, about. */
const MESSAGE_OVERHEAD_BYTES = 256

export class Incoming {
  readonly #options: IncomingOptions
  readonly #keepsQos0: boolean

  constructor (options: IncomingOptions) {
    this.#options = options
    this.#keepsQos0 = options.qos0Messages === 'keep'
  }

  /** @param done called when it is done with; with an error the connection ends */
  accept (client: InnerClient, request: PublishRequest, packetId: number, done: Callback): void {
    const { topic, payload, qos } = request
    const { peer, wire } = client[CONNECTION]
    this.#options.meters.cameIn(wire.via, qos)
    const bytes = topic.length + payload.length + MESSAGE_OVERHEAD_BYTES
    const receipt = this.#receiptOf(client, { topic, qos, packetId, bytes }, done)
    if (qos === 2) peer!.publishOnce(packetId as PacketId, request, receipt)
    else peer!.publish(qos === 0 && this.#keepsQos0 ? { ...request, qos: 1 } : request, receipt)
  }

  /** One that was skipped, as it is too large. */
  refuse (client: InnerClient, { qos, bytes }: SkippedPublish, topic: string, packetId: number, done: Callback): void {
    const error = new HoldfastError('MESSAGE_TOO_LARGE',
      `${bytes} bytes on ${show(topic)}; packetBytesMax = ${this.#options.limits.packetBytesMax}`)
    client[CONNECTION].peer!.refuse(topic, error,
      this.#receiptOf(client, { topic, qos, packetId, bytes: MESSAGE_OVERHEAD_BYTES }, done))
  }

  /** A message of so many bytes in memory is on its way; what is done when it has arrived, or was refused. */
  #receiptOf (client: InnerClient, { topic, qos, packetId, bytes }: Expected, done: Callback): Receipt {
    const connection = client[CONNECTION]
    connection.took(bytes)
    return (error) => {
      if (error !== undefined && !this.#options.refusals.message(toldOf(client), topic, error)) {
        done(error)
        return
      }
      if (qos > 0) connection.receipt(packetId, qos)
      connection.gave(bytes)
      done(null)
    }
  }
}
