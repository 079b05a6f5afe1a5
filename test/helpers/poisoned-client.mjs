/**
 * An application that can't stand one message: node poisoned-client.mjs VERSION URL CLIENT_ID POISON HOW TRANSPORT...
 * It says `connected` and `handled N` on standard output. At POISON its handler throws, with somebody who catches it at
 * the end of the world as in a browser (HOW is `throw`), or the process ends (`exit`).
 */
import { createRequire } from 'node:module'

const [version, url, clientId, poison, how, ...transports] = process.argv.slice(2)
const require = createRequire(import.meta.url)
const io = require(version === '4.8' ? 'socket.io-client' : `socket.io-client-${version}`)

if (how === 'throw') process.on('uncaughtException', () => { say('threw') })
process.on('disconnect', () => process.exit())

const socket = io(url, {
  transports, forceNew: true, reconnectionDelay: 10, reconnectionDelayMax: 20, auth: { clientId }, query: { clientId }
})
socket.on('connect', () => say('connected'))
socket.on('n', (value) => {
  if (value === Number(poison)) {
    if (how === 'exit') process.exit(1)
    throw new Error('poison')
  }
  say(`handled ${value}`)
})

function say (line) {
  process.send?.(line)
}
