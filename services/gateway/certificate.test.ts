import assert from 'node:assert/strict'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import tls from 'node:tls'
import { authority, signedBy } from '../../infra/local/secure/certificates.ts'
import { Fatal } from '../../streams/errors.ts'
import { openDoor } from '../../test/door.ts'
import { until } from '../../test/until.ts'
import { certificate } from './certificate.ts'

const ca = authority('the authority of a test', new Date())

function certified(name: string): { cert: string; key: string } {
  const { certificate: cert, key } = signedBy(ca, name, ['localhost', '127.0.0.1'], new Date())
  return { cert, key }
}

/** A gateway with the certificate in these files, which are looked at often. */
async function opened(t: TestContext) {
  const folder = mkdtempSync(join(tmpdir(), 'freshet-certificate-'))
  const [certPath, keyPath] = [join(folder, 'cert.pem'), join(folder, 'key.pem')]
  const put = ({ cert, key }: { cert: string; key: string }) => {
    writeFileSync(keyPath, key)
    writeFileSync(certPath, cert)
  }
  put(certified('first'))
  const files = certificate(certPath, keyPath, 20)
  const door = await openDoor(t, {
    authentication: { identify: async () => ({ refused: 'nobody is known' }) },
    upstreams: { query: [] },
    certificate: files,
  })
  const renewals: string[] = []
  const refusals: string[] = []
  files.follow(
    (context) => {
      door.gateway.renew(context)
      renewals.push('renewed')
    },
    (reason) => refusals.push(reason),
  )
  t.after(() => {
    files.close()
    rmSync(folder, { recursive: true })
  })
  return { port: door.port, put, renewals, refusals }
}

async function connected(port: number, options: tls.ConnectionOptions = {}): Promise<tls.TLSSocket> {
  const socket = tls.connect({ port, host: '127.0.0.1', rejectUnauthorized: false, ...options })
  await once(socket, 'secureConnect')
  return socket
}

const nameOf = (socket: tls.TLSSocket): string => String(socket.getPeerCertificate().subject.CN)

async function nameSeenBy(port: number): Promise<string> {
  const socket = await connected(port)
  const name = nameOf(socket)
  socket.destroy()
  return name
}

/** The status of a request on this connection, which stays open. */
async function asked(socket: tls.TLSSocket): Promise<string> {
  socket.write('GET /v1/ws HTTP/1.1\r\nHost: a\r\n\r\n')
  const [answer] = await once(socket, 'data')
  return String(answer).split(' ')[1]!
}

test('a renewed certificate is shown to whoever connects from now on, and open connections go on', async (t) => {
  const { port, put, renewals, refusals } = await opened(t)
  const before = await connected(port)
  const first = await asked(before)

  put(certified('second'))
  await until('it is renewed', async () => renewals.length > 0)
  const name = await nameSeenBy(port)
  const second = await asked(before)
  const own = nameOf(before)
  before.destroy()

  assert.deepEqual([first, second, own, name], ['401', '401', 'first', 'second'])
  assert.deepEqual(refusals, [])
})

test('a new file that is no certificate, or not of its key, is refused and told, and the former stays', async (t) => {
  const { port, put, renewals, refusals } = await opened(t)
  const [other, another] = [certified('other'), certified('another')]

  put({ cert: 'half a certifi', key: other.key })
  await until('the first is refused', async () => refusals.length === 1)
  put({ cert: other.cert, key: another.key })
  await until('the second is refused', async () => refusals.length === 2)
  const name = await nameSeenBy(port)
  put(another)
  await until('a good one is taken', async () => renewals.length > 0)

  assert.equal(name, 'first')
  for (const reason of refusals) assert.match(reason, /tlsCert .* and tlsKey .* are not a certificate and its key/)
  assert.equal(await nameSeenBy(port), 'another')
})

test('TLS older than 1.2 is refused, also after a renewal', async (t) => {
  const { port, put, renewals } = await opened(t)
  const old = { minVersion: 'TLSv1', maxVersion: 'TLSv1.1', ciphers: 'DEFAULT@SECLEVEL=0' } as const
  const versions: (string | null)[] = []

  const outcomes = [await connected(port, old).then(() => 'taken', String)]
  put(certified('second'))
  await until('it is renewed', async () => renewals.length > 0)
  outcomes.push(await connected(port, old).then(() => 'taken', String))
  for (const version of ['TLSv1.2', 'TLSv1.3'] as const) {
    const socket = await connected(port, { minVersion: version, maxVersion: version })
    versions.push(socket.getProtocol())
    socket.destroy()
  }

  // The server says so: it is not the client that gives up.
  for (const outcome of outcomes) assert.match(outcome, /alert protocol version/)
  assert.deepEqual(versions, ['TLSv1.2', 'TLSv1.3'])
})

test('plain HTTP is not answered where there is TLS', async (t) => {
  const { port } = await opened(t)

  const asked = fetch(`http://127.0.0.1:${port}/v1/search`, { method: 'POST', body: '{}' })

  await assert.rejects(asked)
})

test('files that are no certificate end the start', () => {
  assert.throws(() => certificate('/nowhere/cert.pem', '/nowhere/key.pem'), Fatal)
})
