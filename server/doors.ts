/**
 * Which doors a server opens, and to whom. A program that hands over its own HTTP or Socket.IO server decides there who
 * comes in; MQTT would pass by that, so its doors open with authentication, or where the program asks for them
 * (docs/decisions/0011-doors.md).
 */
import type { Server } from 'node:http'
import type { ProgramAuth, Logger } from '../broker/index.ts'
import type { Config } from '../config/schema.ts'
import { type Address, addressOf, authority } from './listen.ts'

export interface Doors {
  readonly mqtt: boolean
  readonly mqttWebsocket: boolean
  /** The program's own HTTP server lets in whoever reaches it, by a door of ours. */
  readonly strangersByHttp: boolean
}

/** What a program says of its doors; `programs` is its own HTTP server, if it has one. */
export interface Asked {
  readonly mqttPort?: number | false | undefined
  readonly mqttWebsocket?: boolean | undefined
  readonly io?: { path (): string } | undefined
  readonly auth: Pick<ProgramAuth, 'anonymous'>
  readonly programs: Server | undefined
}

export function doorsOf ({ mqttPort, mqttWebsocket, io, auth, programs }: Asked): Doors {
  const byDefault = programs === undefined || !auth.anonymous
  const websocket = mqttWebsocket ?? byDefault
  return {
    mqtt: mqttPort === undefined ? byDefault : mqttPort !== false,
    mqttWebsocket: websocket,
    // a program's io lets in whom its own middlewares let in, as it did before
    strangersByHttp: programs !== undefined && auth.anonymous && (io === undefined || websocket)
  }
}

export interface Opened extends Pick<Asked, 'auth' | 'io'> {
  readonly doors: Doors
  readonly config: Pick<Config, 'mqttPath' | 'socketioPath'>
}

/**
 * One line: which doors are open, where, who may come in, and which are closed.
 * @param mqttAddress of MQTT over TCP, where that is open
 */
export function sayDoors (
  { auth, config: { mqttPath, socketioPath }, doors, io, log }: Opened & { readonly log: Logger },
  mqttAddress: Address | undefined, http: Server
): void {
  const where = addressOf(http)
  const at = where !== undefined
    ? authority(where)
    : http.listening ? String(http.address()) : 'the program\'s own server, which does not listen yet'
  const who = auth.anonymous ? 'anonymous: everybody who reaches it' : 'authenticated'
  const byProgram = `whom the program's own middlewares let in${auth.anonymous ? '' : ', authenticated'}`
  const open = [
    ...doors.mqtt ? [`MQTT at ${authority(mqttAddress!)} (${who})`] : [],
    ...doors.mqttWebsocket ? [`MQTT over WebSocket at ${at}${mqttPath} (${who})`] : [],
    `Socket.IO at ${at}${io?.path() ?? socketioPath}/ (${io === undefined ? who : byProgram})`
  ]
  const closed = [
    ...doors.mqtt ? [] : ['MQTT (mqttPort)'], ...doors.mqttWebsocket ? [] : ['MQTT over WebSocket (mqttWebsocket)']
  ]
  log.info({ open, closed }, `doors: ${open.join('; ')}${closed.length === 0 ? '' : `; closed: ${closed.join(', ')}`}`)
}
