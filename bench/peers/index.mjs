/**
 * The servers that are compared, in the order of a round. A peer is
 * `{ name, title, receipt, scale, missing (), start ({ folder }) }`: `receipt` says what a PUBACK of it means, `scale`
 * by how much fewer messages it is sent where it is far slower, `missing` why it can't run here (undefined: it can).
 * `start` resolves to `{ port, pid, stop (signal?) }`.
 */
import { aedes, aedesRedis } from './aedes.mjs'
import { holdfast } from './holdfast.mjs'
import { mosquitto } from './mosquitto.mjs'

export const PEERS = [holdfast, aedes, aedesRedis, mosquitto]
