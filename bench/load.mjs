/** A process of the load: `load.mjs '{"role":"flow",...}'`, forked with a channel over which it answers. */
import * as floods from './load/flood-roles.mjs'
import * as kills from './load/kill-roles.mjs'
import * as mqtt from './load/roles.mjs'
import * as socketio from './load/socketio-roles.mjs'

const roles = { ...mqtt, ...socketio, ...floods, ...kills }

const words = []
let listener
process.on('message', (word) => {
  if (listener === undefined) words.push(word)
  else listener(word)
})

/** Resolves to the next word from outside. */
async function told () {
  if (words.length > 0) return words.shift()
  return await new Promise((resolve) => {
    listener = (word) => {
      listener = undefined
      resolve(word)
    }
  })
}

const { role, ...spec } = JSON.parse(process.argv[2])
const isReady = () => process.send({ event: 'ready' })
try {
  finish('result', await roles[role](spec, { isReady, told }))
} catch (error) {
  finish('error', `${role}: ${error.message}`)
}

function finish (event, value) {
  process.send({ event, value: value ?? null }, () => process.exit(event === 'result' ? 0 : 1))
}
