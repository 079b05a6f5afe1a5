/** Rooms and private messages, by rules alone: see README.md. Needs `npm run build` first. */
import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import { createHoldfast } from 'holdfast'

const port = Number(process.argv[2] ?? 3001)
const data = process.argv[3] ?? './data-rooms'
const page = await readFile(new URL('index.html', import.meta.url))
const rules = JSON.parse(await readFile(new URL('rules.json', import.meta.url), 'utf8'))

const http = createServer((request, response) => {
  if (request.url === '/') response.writeHead(200, { 'content-type': 'text/html; charset=utf-8' }).end(page)
  else response.writeHead(404).end('the page is at /')
})
http.listen(port, '127.0.0.1')
await once(http, 'listening')

const holdfast = await createHoldfast({ http, data, rules, mqttPort: port === 0 ? 0 : 1883, logLevel: 'warn' })
console.log(`rooms ready http://127.0.0.1:${http.address().port} mqtt=${holdfast.addresses.mqtt.port}`)

for (const signal of ['SIGINT', 'SIGTERM']) {
  process.once(signal, async () => {
    await holdfast.close()
    process.exit(0)
  })
}
