/** MQTT over WebSocket to a server inside the test. */
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Test } from 'tap'
import { WebSocket } from 'ws'
import type { InProcess } from './in-process.ts'
import { within } from './wait.ts'

/** Resolves when it is open; both ends go with the test. */
export async function openMqttWebsocket (t: Test, { server }: Pick<InProcess, 'server'>): Promise<WebSocket> {
  const http = createServer()
  http.on('upgrade', (request, socket, head) => server.upgrade(request, socket, head))
  http.listen(0, '127.0.0.1')
  await once(http, 'listening')
  t.teardown(() => { http.closeAllConnections(); http.close() })
  const socket = new WebSocket(`ws://127.0.0.1:${(http.address() as AddressInfo).port}/mqtt`, ['mqtt'])
  t.teardown(() => socket.terminate())
  await within(once(socket, 'open'), 'the WebSocket to open')
  return socket
}
