/** The one router of what is answered over HTTP. */
import { once } from 'node:events'
import { createServer, request as ask } from 'node:http'
import type { AddressInfo } from 'node:net'
import { text } from 'node:stream/consumers'
import t, { type Test } from 'tap'
import { HoldfastError } from '../../broker/index.ts'
import { HttpError } from '../../server/http/http-error.ts'
import { Router, type Route } from '../../server/http/router.ts'
import { within } from '../helpers/wait.ts'

const BODY_BYTES_MAX = 100

interface Answer { readonly status: number, readonly headers: Headers, readonly json: unknown }

async function start (t: Test, routes: readonly Route[]) {
  const refused: string[] = []
  const failed: unknown[] = []
  const router = new Router({
    routes,
    bodyBytesMax: BODY_BYTES_MAX,
    refused: (_request, { code }) => { refused.push(code) },
    failed: (_request, error) => { failed.push(error) }
  })
  const server = createServer((request, response) => { void router.handle(request, response) }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => { server.close(); server.closeAllConnections() })
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  async function call (method: string, path: string, body?: string, type = 'application/json'): Promise<Answer> {
    const response = await fetch(url + path, {
      method, ...body !== undefined && { body, headers: { 'Content-Type': type } }
    })
    const said = await response.text()
    return { status: response.status, headers: response.headers, json: said === '' ? undefined : JSON.parse(said) }
  }
  return { call, refused, failed, url }
}

const ECHO: Route = {
  method: 'POST',
  path: '/things/:name/:part',
  answer: ({ params, query, body }) =>
    ({ status: 200, json: { params: Object.fromEntries(params), query: Object.fromEntries(query), body } })
}

t.test('a route gets what stands for its names, decoded, the query, and the body as JSON', async t => {
  const { call } = await start(t, [ECHO])
  const { status, json, headers } = await call('POST', '/things/io%3A%2Fa%3A%C3%A9/%2F?a=1&b=%26', '{"x":[1]}')
  t.equal(status, 200)
  t.same(json, { params: { name: 'io:/a:é', part: '/' }, query: { a: '1', b: '&' }, body: { x: [1] } })
  t.equal(headers.get('cache-control'), 'no-store')
  t.equal(headers.get('content-type'), 'application/json')
  t.same((await call('POST', '/things/a/b')).json, { params: { name: 'a', part: 'b' }, query: {} }, 'without a body')
})

t.test('a path that is none, an empty part, and a broken encoding are refused, each in its own words', async t => {
  const { call, refused } = await start(t, [ECHO])
  t.equal((await call('POST', '/things')).status, 404)
  t.equal((await call('POST', '/things//b')).status, 404)
  t.equal((await call('POST', '/things/a/b/c')).status, 404)
  t.match(await call('POST', '/things/%E9/b'), { status: 400, json: { error: { code: 'PATH_INVALID' } } })
  t.same(refused, ['NOT_FOUND', 'NOT_FOUND', 'NOT_FOUND', 'PATH_INVALID'])
})

t.test('another method is refused with those that there are', async t => {
  const { call } = await start(t, [ECHO, { ...ECHO, method: 'GET', answer: () => ({ status: 200, json: {} }) }])
  const { status, headers } = await call('DELETE', '/things/a/b')
  t.equal(status, 405)
  t.equal(headers.get('allow'), 'POST, GET, HEAD')
  const head = await call('HEAD', '/things/a/b')
  t.equal(head.status, 200)
  t.equal(head.json, undefined)
})

t.test('[G6] a body is JSON, whole, in UTF-8 and within its bound, or is refused before it is held', async t => {
  const { call, refused, url } = await start(t, [ECHO])
  t.equal((await call('POST', '/things/a/b', 'x=1', 'application/x-www-form-urlencoded')).status, 415)
  t.equal((await call('POST', '/things/a/b', '{"x":')).status, 400)
  t.equal((await call('POST', '/things/a/b', `"${'x'.repeat(BODY_BYTES_MAX - 2)}"`)).status, 200)
  t.equal((await call('POST', '/things/a/b', `"${'x'.repeat(BODY_BYTES_MAX)}"`)).status, 413)
  // without a length that tells it before, and without an end
  const asked = ask(`${url}/things/a/b`, { method: 'POST', headers: { 'Content-Type': 'application/json' } })
  asked.on('error', () => {}) // the server reads no more of it
  asked.write('"')
  asked.write('x'.repeat(BODY_BYTES_MAX))
  const [response] = await within(once(asked, 'response'), 'an answer to a body without an end')
  t.equal(response.statusCode, 413)
  t.equal(response.headers.connection, 'close')
  await text(response)
  t.same(refused, ['TYPE_UNSUPPORTED', 'BODY_INVALID', 'BODY_TOO_LARGE', 'BODY_TOO_LARGE'])
})

t.test('who may not is told before the body is looked at, and whatever the method', async t => {
  const admit = (): void => { throw new HttpError(401, 'NOT_AUTHORIZED', 'no', { 'WWW-Authenticate': 'Bearer' }) }
  const { call } = await start(t, [{ ...ECHO, admit }])
  const answer = await call('POST', '/things/a/b', 'no JSON', 'text/plain')
  t.equal(answer.status, 401)
  t.equal(answer.headers.get('www-authenticate'), 'Bearer')
  t.equal((await call('PUT', '/things/a/b')).status, 401)
})

t.test('an error of the broker has its status and its code; one that nobody foresaw tells nothing', async t => {
  const errors: unknown[] = [
    new HoldfastError('TOPIC_INVALID', 'x'), new HoldfastError('STORE_UNAVAILABLE'),
    new HoldfastError('NOT_AUTHORIZED'), new Error('secret')
  ]
  const { call, failed } = await start(t, [{ ...ECHO, answer () { throw errors.shift() } }])
  t.match(await call('POST', '/things/a/b'), { status: 400, json: { error: { code: 'TOPIC_INVALID' } } })
  const later = await call('POST', '/things/a/b')
  t.match(later, { status: 503, json: { error: { code: 'STORE_UNAVAILABLE' } } })
  t.equal(later.headers.get('retry-after'), '1')
  t.equal((await call('POST', '/things/a/b')).status, 403)
  const { status, json } = await call('POST', '/things/a/b')
  t.equal(status, 500)
  t.notMatch(JSON.stringify(json), /secret/)
  t.match(failed, [{ message: 'secret' }])
})
