/** A chat that forgets nobody: see README.md. Needs `npm run build` first. */
import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import { createRequire } from 'node:module'
import { createHoldfast } from 'holdfast'

const port = Number(process.argv[2] ?? 3000)
const data = process.argv[3] ?? './data-chat'
const mqttPort = Number(process.argv[4] ?? (port === 0 ? 0 : 1883))
const client2 = createRequire(import.meta.url).resolve('socket.io-client-2.5/dist/socket.io.js')
const files = {
  '/': ['text/html', new URL('index.html', import.meta.url)],
  '/v4': ['text/html', new URL('v4.html', import.meta.url)],
  '/v2': ['text/html', new URL('v2.html', import.meta.url)],
  '/socket.io-2.js': ['text/javascript', client2]
}

const http = createServer(async (request, response) => {
  if (!Object.hasOwn(files, request.url)) return response.writeHead(404).end('the pages are at /, /v4 and /v2')
  const [type, file] = files[request.url]
  response.writeHead(200, { 'content-type': `${type}; charset=utf-8` }).end(await readFile(file))
})
http.listen(port, '127.0.0.1')
await once(http, 'listening')

const holdfast = await createHoldfast({ http, data, mqttPort, logLevel: 'warn' })
console.log(`chat ready http://127.0.0.1:${http.address().port} mqtt=${holdfast.addresses.mqtt.port}`)

for (const signal of ['SIGINT', 'SIGTERM']) {
  process.once(signal, async () => {
    await holdfast.close()
    process.exit(0)
  })
}
