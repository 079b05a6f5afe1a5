/** The files of TLS: what is wrong with them, and what becomes of a renewed certificate. */
import { X509Certificate } from 'node:crypto'
import { cpSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { TLSSocket } from 'node:tls'
import { connectAsync } from 'mqtt'
import t from 'tap'
import { silent } from '../../broker/index.ts'
import { createHoldfast } from '../../index.ts'
import { Certificates } from '../../server/net/certificates.ts'
import { createAuthority, openssl } from '../helpers/certificates.ts'
import { createManualClock } from '../helpers/manual-clock.ts'
import { until } from '../helpers/wait.ts'
import { shake, startTls } from './tls-harness.ts'

t.test('a renewed certificate is taken while connections go on; what is no good is refused and told', async t => {
  const { holdfast, authority, server, says } = await startTls(t, { tlsWatchMs: 50 })
  const { port } = holdfast.addresses.mqtts!
  const serialOf = async (): Promise<string> => {
    const socket = await shake(t, port, { ca: authority.cert }) as TLSSocket
    const { serialNumber } = socket.getPeerCertificate()
    socket.destroy()
    return serialNumber
  }
  const before = await serialOf()
  const client = await connectAsync(`mqtts://127.0.0.1:${port}`, { ca: authority.cert, clientId: 'stays' })
  t.teardown(() => client.endAsync(true))
  let closed = false
  client.on('close', () => { closed = true })

  const renewed = authority.issue('renewed', '/CN=localhost')
  cpSync(renewed.certFile, server.certFile) // and not its key: as when only half of it is written
  await until(() => says('are no good', {
    error: `tlsKey: the file ${server.keyFile} is not the key of the certificate in ${server.certFile} (tlsCert); ` +
      'both must come from one request'
  }), 'the half to be refused')
  t.equal(await serialOf(), before, 'the old one stays in force')
  cpSync(renewed.keyFile, server.keyFile)
  await until(() => says('taken anew'), 'the pair to be taken')
  t.not(await serialOf(), before)
  await client.publishAsync('t/x', 'goes on', { qos: 1 })
  t.notOk(closed, 'the connection went on through all of it')
})

t.test('a certificate that ends soon, has ended, or has not begun is told once a day, and served', async t => {
  const authority = createAuthority(t)
  const { certFile, keyFile } = authority.issue('server', '/CN=localhost') // for 30 days
  const DAY_MS = 86_400_000
  const told = async (days: number): Promise<string[]> => {
    const lines: string[] = []
    const note = (_fields: object, sentence: string): void => { lines.push(sentence) }
    const clock = createManualClock(0)
    const certificates = await Certificates.load({
      files: { tlsCert: certFile, tlsKey: keyFile, tlsKeyPassphraseFile: '', tlsClientCa: '' },
      watchMs: 1_000,
      clock,
      log: { ...silent, warn: note, error: note },
      wallNow: () => Date.now() + days * DAY_MS
    })
    certificates.close()
    return lines
  }
  t.same(await told(1), [])
  t.match(await told(17), [/expires soon/])
  t.match(await told(31), [/has expired/])
  t.match(await told(-2), [/not valid yet/])
})

t.test('what is wrong with the files is said before the start, by option and file', async t => {
  const authority = createAuthority(t)
  const { folder } = authority
  const one = authority.issue('one', '/CN=localhost')
  const other = authority.issue('other', '/CN=localhost')
  const locked = join(folder, 'locked.key')
  openssl('pkey', '-in', one.keyFile, '-aes256', '-passout', 'pass:secret', '-out', locked)
  const write = (name: string, content: string): string => {
    writeFileSync(join(folder, name), content)
    return join(folder, name)
  }
  const saying = async (options: object): Promise<string> => await createHoldfast({
    mqttPort: 0, httpPort: 0, mqttsPort: 0, httpsPort: 0, data: join(folder, 'data'), logLevel: 'silent', ...options
  }).then(async (holdfast) => {
    await holdfast.close()
    return 'started'
  }, (error: Error) => error.message)
  const pair = { tlsCert: one.certFile, tlsKey: one.keyFile }

  t.match(await saying({ ...pair, tlsKey: other.keyFile }), `tlsKey: the file ${other.keyFile} is not the key of`)
  t.match(await saying({ ...pair, tlsCert: join(folder, 'none') }),
    `tlsCert: the file ${join(folder, 'none')} can't be read (there is none)`)
  t.match(await saying({ ...pair, tlsKey: folder }), `tlsKey: the file ${folder} can't be read (it is a folder)`)
  t.match(await saying({ ...pair, tlsCert: one.keyFile }), `tlsCert: the file ${one.keyFile} holds no certificate`)
  t.match(await saying({ ...pair, tlsKey: one.certFile }), `tlsKey: the file ${one.certFile} holds no private key`)
  t.match(await saying({ ...pair, tlsKey: locked }), 'is encrypted; name a file with its passphrase')
  t.match(await saying({ ...pair, tlsKey: locked, tlsKeyPassphraseFile: write('wrong', 'other\n') }),
    `tlsKeyPassphraseFile: the file ${join(folder, 'wrong')} does not open ${locked} (tlsKey)`)
  t.equal(await saying({ ...pair, tlsKey: locked, tlsKeyPassphraseFile: write('right', 'secret\n') }), 'started')
  t.match(await saying({ ...pair, tlsClientCa: write('empty', ''), tlsClientCertificate: 'required' }),
    `tlsClientCa: the file ${join(folder, 'empty')} holds no certificate in PEM`)
  t.match(await saying({ tlsCert: one.certFile }), 'tlsKey, the key of that certificate, is missing')
  t.match(await saying({ ...pair, tlsClientCa: authority.file }), 'say whether clients must show a certificate')
  t.match(await saying({ ...pair, tlsClientCertificate: 'required' }), 'name the authorities of client certificates')
  t.match(await saying({ trustedProxies: ['10.0.0.0/33'] }), '10.0.0.0/33 is no IP address and no network')
  t.match(await saying({ proxyProtocol: 'v1v2' }), 'name the proxies that send it in trustedProxies')
})

t.test('a reload takes a renewed certificate at once, and rejects with what is wrong', async t => {
  const { holdfast, authority, server } = await startTls(t, { tlsWatchMs: 3_600_000 })
  const renewed = authority.issue('renewed', '/CN=localhost')
  cpSync(renewed.certFile, server.certFile)
  await t.rejects(holdfast.reload(), { message: /is not the key of the certificate/ })
  cpSync(renewed.keyFile, server.keyFile)
  await holdfast.reload()
  const socket = await shake(t, holdfast.addresses.mqtts!.port, { ca: authority.cert }) as TLSSocket
  t.same(socket.getPeerX509Certificate()!.raw, new X509Certificate(renewed.cert).raw)
  socket.destroy()
})
