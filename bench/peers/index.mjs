/**
 * The servers that are compared, in the order of a round. A peer is
 * `{ name, title, receipt, protocols, scale, missing (), start ({ folder }) }`: `receipt` says what a PUBACK or ack of
 * it means, `protocols` in which cases it takes part ('mqtt', 'socketio'), `scale` by how much fewer messages it is
 * sent where it is far slower, `missing` why it can't run here (undefined: it can).
 * `start` resolves to `{ port, pid, stop (signal?) }`, with `socketioPort` where it speaks Socket.IO.
 */
import { aedes, aedesRedis } from './aedes.mjs'
import { holdfast } from './holdfast.mjs'
import { mosquitto } from './mosquitto.mjs'
import { socketio, socketioRecovery } from './socketio.mjs'

export const PEERS = [holdfast, aedes, aedesRedis, mosquitto, socketio, socketioRecovery]

/** Those of `peers` that take part in a case, which is about MQTT unless it says otherwise. */
export function peersOf ({ protocol = 'mqtt' }, peers) {
  return peers.filter(({ protocols }) => protocols.includes(protocol))
}
