import assert from 'node:assert/strict'
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { test } from 'node:test'
import tls from 'node:tls'
import { authority, signedBy } from '../../infra/local/secure/certificates.ts'
import { createClient } from './kafka-client.ts'
import type { KafkaSecurity } from './kafka-security.ts'

const ca = authority('Freshet test', new Date())
const { certificate: cert, key } = signedBy(ca, 'kafka', ['127.0.0.1'], new Date())

/** A listener with TLS that takes in whoever speaks it and says nothing. */
async function listener(t: {
  after(work: () => void): void
}): Promise<{ brokers: string[]; reached: Promise<unknown> }> {
  const server = tls.createServer({ cert, key }).listen(0, '127.0.0.1')
  server.on('tlsClientError', () => {})
  await once(server, 'listening')
  t.after(() => server.close())
  const reached = new Promise((resolve) => server.once('secureConnection', resolve))
  return { brokers: [`127.0.0.1:${(server.address() as AddressInfo).port}`], reached }
}

const connect = (brokers: string[], security: KafkaSecurity) => {
  const client = createClient({ brokers, clientId: 'test', security }, 1)
  return { client, connected: client.kafka.admin().connect() }
}

test('a broker is reached over TLS where its certificate is of the authority that we trust', async (t) => {
  const { brokers, reached } = await listener(t)

  const { client, connected } = connect(brokers, { tls: () => ({ ca: ca.certificate }), sasl: null, how: '' })
  const socket = (await reached) as tls.TLSSocket
  client.destroy()

  assert.equal(socket.encrypted, true)
  await assert.rejects(connected)
})

test('a broker with a certificate of somebody else is told nothing, and we are told which settings to look at', async (t) => {
  const { brokers } = await listener(t)
  const other = authority('another', new Date()).certificate

  const { connected } = connect(brokers, { tls: () => ({ ca: other }), sasl: null, how: 'look at kafkaCa' })

  await assert.rejects(connected, /no TLS with Kafka: .*(unable to verify|self-signed|issuer).*; look at kafkaCa/)
})

test('who comes without TLS to a listener that wants it is told so at once', async (t) => {
  const { brokers } = await listener(t)

  const { connected } = connect(brokers, { tls: null, sasl: null, how: 'kafkaSecurity is plaintext' })

  await assert.rejects(connected, /wants TLS.*; kafkaSecurity is plaintext/)
})
