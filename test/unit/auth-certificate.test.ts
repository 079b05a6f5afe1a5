import t from 'tap'
import { CertificateNames } from '../../broker/auth/certificate.ts'
import { credentials } from '../helpers/auth.ts'

const CERTIFICATE = {
  commonName: 'device-7', alternativeNames: ['DNS:a.example', 'email:u1@a.example', 'URI:urn:device:7', 'DNS:b.a'],
  fingerprint: 'ab12'
}

t.test('the name that the configuration asks for is the principal', async t => {
  const named = { commonName: 'device-7', email: 'u1@a.example', uri: 'urn:device:7' } as const
  for (const [which, principal] of Object.entries(named)) {
    const names = new CertificateNames(which as keyof typeof named)
    t.match(await names.authenticate(credentials({ certificate: CERTIFICATE })), {
      kind: 'known', known: { principal, info: { certificateFingerprint: 'ab12' }, by: 'certificate' }
    })
  }
})

t.test('[G7] of several names none is picked; without one others are asked', async t => {
  const dns = new CertificateNames('dns')
  t.match(await dns.authenticate(credentials({ certificate: CERTIFICATE })), { kind: 'refused' })
  const nameless = { commonName: '', alternativeNames: ['IP Address:127.0.0.1'], fingerprint: 'ab12' }
  for (const which of ['commonName', 'dns', 'email', 'uri'] as const) {
    const names = new CertificateNames(which)
    t.same(await names.authenticate(credentials({ certificate: nameless })), { kind: 'pass' }, which)
    t.same(await names.authenticate(credentials({ username: 'u1', password: 'x' })), { kind: 'pass' }, which)
  }
})
