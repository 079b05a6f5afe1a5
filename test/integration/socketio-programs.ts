/** A program with a Socket.IO server of its own, and Holdfast on it. */
import { once } from 'node:events'
import { createServer, type Server as HttpServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { Server, type ServerOptions, type Socket } from 'socket.io'
import type { Test } from 'tap'
import { createHoldfast, type Holdfast, type HoldfastOptions } from '../../server/index.ts'
import { silent } from '../../broker/index.ts'
import { tempFolder } from '../helpers/temp.ts'

export interface Program {
  readonly io: Server
  readonly http: HttpServer
  readonly url: string
  readonly port: number
  readonly holdfast: Holdfast
}

/** `prepare` is what the program does with its server before it hands it over. */
export async function startProgram (
  t: Test, prepare: (io: Server) => void = () => {}, options: HoldfastOptions = {}, own: Partial<ServerOptions> = {}
): Promise<Program> {
  const http = createServer((_request, response) => { response.end('the program\'s page') })
  const io = new Server(http, own)
  prepare(io)
  http.listen(0, '127.0.0.1')
  await once(http, 'listening')
  const holdfast = await createHoldfast({ io, logger: silent, mqttPort: 0, data: tempFolder(t), ...options })
  t.teardown(async () => {
    await holdfast.close()
    await io.close()
  })
  const { port } = http.address() as AddressInfo
  return { io, http, holdfast, port, url: `http://127.0.0.1:${port}` }
}

/** Those that are connected, of the root namespace. */
export function ioSockets (io: Server): Socket[] {
  return [...io.of('/').sockets.values()]
}
