/** An MQTT client with a session that is kept and a link that is sound: what the log holds for each room, in order. */
import { connectAsync, type MqttClient } from 'mqtt'
import { decodeEnvelope } from '../../protocol/envelope.ts'
import type { Address } from '../helpers/server.ts'

export async function startWitness (to: Address): Promise<Witness> {
  const client = await connectAsync(`mqtt://${to.host}:${to.port}`,
    { clientId: 'witness', clean: false, reconnectPeriod: 20 })
  const witness = new Witness(client)
  await client.subscribeAsync('io/_/room/+/m', { qos: 1 })
  return witness
}

export class Witness {
  readonly #client: MqttClient
  /** By room: place in the log, counted from 0, by `source number`. */
  readonly #rooms = new Map<string, Map<string, number>>()

  constructor (client: MqttClient) {
    this.#client = client
    client.on('error', () => {}) // it connects again
    client.on('message', (topic, payload) => {
      const [source, number] = decodeEnvelope(payload)?.args as [string, number]
      const places = this.of(topic.split('/')[3])
      const key = `${source} ${number}`
      if (!places.has(key)) places.set(key, places.size)
    })
  }

  of (room: string): Map<string, number> {
    let places = this.#rooms.get(room)
    if (places === undefined) this.#rooms.set(room, places = new Map())
    return places
  }

  forget (room: string): void {
    this.#rooms.delete(room)
  }

  end (): void {
    this.#client.end(true)
  }
}
