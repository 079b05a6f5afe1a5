/**
 * Which doors a server opens, and to whom. A program that hands over its own HTTP or Socket.IO server decides there who
 * comes in; MQTT would pass by that, so its doors open with authentication, or where the program asks for them
 * (docs/decisions/0011-doors.md).
 */
import type { Server } from 'node:http'
import type { ProgramAuth, Logger } from '../broker/index.ts'
import type { Config } from '../config/schema.ts'
import { addressOf, authority } from './listen.ts'
import type { Network } from './net/network.ts'

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

export interface Opened extends Pick<Asked, 'auth' | 'io' | 'programs'> {
  readonly doors: Doors
  readonly network: Pick<Network, 'addresses'>
  readonly config: Pick<Config, 'mqttPath' | 'socketioPath'>
}

/** One line: which doors are open, where, who may come in, and which are closed. */
export function sayDoors (
  { auth, config: { mqttPath, socketioPath }, doors, io, log, network, programs }: Opened & { readonly log: Logger },
  server: Server
): void {
  const { mqtt, mqtts, http, https } = network.addresses
  const web = programs === undefined
    ? [['', http], [' over TLS', https]] as const
    : [['', programsAddress(server)]] as const
  const who = auth.anonymous ? 'anonymous: everybody who reaches it' : 'authenticated'
  const byProgram = `whom the program's own middlewares let in${auth.anonymous ? '' : ', authenticated'}`
  const open = [
    ...mqtt === undefined ? [] : [`MQTT at ${authority(mqtt)} (${who})`],
    ...mqtts === undefined ? [] : [`MQTT over TLS at ${authority(mqtts)} (${who})`],
    ...web.flatMap(([how, address]) => {
      if (address === undefined) return []
      const at = typeof address === 'string' ? address : authority(address)
      return [
        ...doors.mqttWebsocket ? [`MQTT over WebSocket${how} at ${at}${mqttPath} (${who})`] : [],
        `Socket.IO${how} at ${at}${io?.path() ?? socketioPath}/ (${io === undefined ? who : byProgram})`
      ]
    })
  ]
  const closed = [
    ...doors.mqtt ? [] : ['MQTT (mqttPort)'],
    ...doors.mqttWebsocket ? [] : ['MQTT over WebSocket (mqttWebsocket)'],
    ...doors.mqtt && mqtt === undefined ? ['what is not encrypted (tlsPlainPorts)'] : []
  ]
  log.info({ open, closed }, `doors: ${open.join('; ')}${closed.length === 0 ? '' : `; closed: ${closed.join(', ')}`}`)
}

function programsAddress (http: Server): string {
  const where = addressOf(http)
  if (where !== undefined) return authority(where)
  return http.listening ? String(http.address()) : 'the program\'s own server, which does not listen yet'
}
