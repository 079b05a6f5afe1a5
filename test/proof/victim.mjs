/**
 * A Socket.IO client in a process of its own, which can be killed inside a handler. Says `ready` when it has joined
 * its room, and each message when its handler has run to its end. Told `die N`, it is killed in the N-th handler from
 * then.
 */
import { writeSync } from 'node:fs'
import { createRequire } from 'node:module'
import { createInterface } from 'node:readline'

const { client, url, clientId, room, transports } = JSON.parse(process.argv[2])
const loaded = createRequire(import.meta.url)(client)
let left = Infinity

const socket = loaded(url, {
  transports, auth: { clientId }, query: { clientId }, timeout: 3_000, reconnectionDelay: 40, reconnectionDelayMax: 80
})
socket.on('m', (source, number) => {
  if (left-- <= 0) process.kill(process.pid, 'SIGKILL')
  writeSync(1, `${source} ${number}\n`)
})
socket.on('connect', () => socket.emit('join', room, () => writeSync(1, 'ready\n')))
createInterface({ input: process.stdin }).on('line', line => { left = Number(line.slice('die '.length)) })
