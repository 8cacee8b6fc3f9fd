import assert from 'node:assert/strict'
import { once } from 'node:events'
import { type AddressInfo, createServer } from 'node:net'
import { test } from 'node:test'
import { freeBase, portSpan, portsFrom, requireFree } from './ports.ts'

test('every port is counted from the base, and none is shared', () => {
  const ports = portsFrom(18_000)

  const numbers = Object.values(ports)

  assert.deepEqual(ports.kafka, 18_092)
  assert.equal(new Set(numbers).size, numbers.length)
  assert.ok(numbers.every((port) => port >= 18_000 && port < 18_000 + portSpan))
})

test('a base that is no port is refused', () => {
  const bases = [80, 65_500, 18_000.5, Number.NaN]

  const wanted = bases.map((base) => () => portsFrom(base))

  for (const each of wanted) assert.throws(each, /FRESHET_PORT_BASE/)
})

test('a port that is taken is named, with the process that has it and what to set instead', async () => {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  const base = port - 92

  const check = requireFree({ ...portsFrom(18_000), kafka: port }, base, ['kafka'])

  await assert.rejects(check, (error: Error) => {
    const holder = process.platform === 'linux' ? `, by process ${process.pid} \\(.*node.*\\)` : ''
    assert.match(error.message, new RegExp(`^port ${port} \\(kafka\\) is taken${holder}`))
    assert.match(error.message, /\nuse other ports: FRESHET_PORT_BASE=\d+$/)
    return true
  })
  server.close()
})

test('a base with a taken port is passed over', async () => {
  const from = await freeBase(40_000)
  const server = createServer().listen(portsFrom(from).connect, '127.0.0.1')
  await once(server, 'listening')

  const next = await freeBase(from)

  assert.ok(next > from)
  server.close()
})
