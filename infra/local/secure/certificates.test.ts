import assert from 'node:assert/strict'
import { X509Certificate } from 'node:crypto'
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { test } from 'node:test'
import tls from 'node:tls'
import { authority, signedBy } from './certificates.ts'

const NOW = new Date()

test('what the authority signed is good for its names and addresses, and for no others', () => {
  const ca = authority('Freshet test', NOW)

  const signed = new X509Certificate(signedBy(ca, 'kafka', ['127.0.0.1', 'localhost'], NOW).certificate)

  const root = new X509Certificate(ca.certificate)
  assert.ok(signed.checkIssued(root) && signed.verify(root.publicKey))
  assert.ok(root.ca && !signed.ca)
  assert.equal(signed.checkIP('127.0.0.1'), '127.0.0.1')
  assert.equal(signed.checkHost('localhost'), 'localhost')
  assert.equal(signed.checkIP('127.0.0.2'), undefined)
  assert.equal(signed.checkHost('example.org'), undefined)
})

test('two parties that trust the authority speak TLS, and one that trusts another does not', async (t) => {
  const ca = authority('Freshet test', NOW)
  const { certificate, key } = signedBy(ca, 'server', ['127.0.0.1'], NOW)
  const server = tls.createServer({ cert: certificate, key }, (socket) => socket.end('hello')).listen(0, '127.0.0.1')
  server.on('tlsClientError', () => {})
  await once(server, 'listening')
  t.after(() => server.close())
  const { port } = server.address() as AddressInfo
  const reach = async (trusted: string) => {
    const socket = tls.connect({ port, host: '127.0.0.1', ca: trusted })
    const [hello] = await once(socket, 'data')
    return String(hello)
  }

  const heard = await reach(ca.certificate)
  const refused = reach(authority('another', NOW).certificate)

  assert.equal(heard, 'hello')
  await assert.rejects(refused, /unable to verify|self-signed|issuer/)
})
