/** MQTT 3.1.1 packets, encoded once and copied afterwards: the load must stay far cheaper than a server. */

const PUBLISH_QOS1 = 0x32
/** Publisher number and sequence number, 4 bytes each, and the time of sending, 8 bytes. */
export const PAYLOAD_BYTES_MIN = 16

export function connectPacket (clientId, clean) {
  return packet(0x10, text('MQTT'), Buffer.from([4, clean ? 2 : 0, 0, 0]), text(clientId))
}

export function subscribePacket (filters, qos) {
  return packet(0x82, Buffer.from([0, 1]), ...filters.flatMap((filter) => [text(filter), Buffer.from([qos])]))
}

/** @param packetId for QoS 1; without it the message goes at QoS 0 */
export function publishPacket (topic, payload, { packetId, retain = false } = {}) {
  const id = packetId === undefined ? [] : [Buffer.from([packetId >> 8, packetId & 255])]
  return packet(0x30 | (packetId === undefined ? 0 : 2) | (retain ? 1 : 0), text(topic), ...id, Buffer.from(payload))
}

export const DISCONNECT_PACKET = Buffer.from([0xe0, 0])

/** A QoS 1 PUBLISH to be copied, and where its packet identifier and payload are. */
export function publishTemplate (topic, payloadBytes) {
  const name = text(topic)
  const bytes = packet(PUBLISH_QOS1, name, Buffer.alloc(2), Buffer.alloc(payloadBytes, 'x'))
  const payloadAt = bytes.length - payloadBytes
  return { bytes, packetIdAt: payloadAt - 2, payloadAt }
}

function packet (first, ...parts) {
  const body = Buffer.concat(parts)
  const length = []
  let rest = body.length
  do {
    const digit = rest & 127
    rest >>= 7
    length.push(rest > 0 ? digit | 128 : digit)
  } while (rest > 0)
  return Buffer.concat([Buffer.from([first, ...length]), body])
}

function text (value) {
  const bytes = Buffer.from(value)
  return Buffer.concat([Buffer.from([bytes.length >> 8, bytes.length & 255]), bytes])
}
