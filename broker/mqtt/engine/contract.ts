/** What Aedes and a persistence of it tell each other (aedes-persistence 10). */
import type { Broker, Publisher } from '../../broker.ts'
import type { Message, QoS } from '../../model/message.ts'

/** What the contract passes as a client: Aedes's Client, or just its id. */
export interface ContractClient { readonly id: string, readonly closed?: boolean, readonly brokerId?: string }
/** `rh`, `rap` and `nl` are of MQTT 5, which no client of ours speaks: they are not kept. */
export interface ContractSubscription { topic: string, qos: QoS, rh?: number, rap?: boolean, nl?: boolean }
export interface ClientSubscription extends ContractSubscription { clientId: string }
export interface ContractPacket {
  cmd?: string
  topic: string
  payload: Buffer | string
  qos: QoS
  retain: boolean
  dup?: boolean
  id?: string
  messageId?: number
  brokerId?: string
  clientId?: string
}
/** The Aedes that the persistence works for. */
export interface ContractBroker { readonly id: string }

const willMessages = new WeakMap<ContractPacket, Message>()

/** Aedes hands over the same packet when the will is put and when it is published: then it is the same message. */
export function willMessage (owner: Publisher, packet: ContractPacket, { clock }: Pick<Broker, 'clock'>): Message {
  let message = willMessages.get(packet)
  if (message === undefined) {
    message = {
      topic: packet.topic,
      payload: Buffer.from(packet.payload),
      qos: packet.qos,
      retain: packet.retain,
      publisher: owner.clientId,
      principal: owner.principal,
      time: clock.now(),
      id: '',
      extension: undefined,
      encodings: undefined
    }
    willMessages.set(packet, message)
  }
  return message
}
