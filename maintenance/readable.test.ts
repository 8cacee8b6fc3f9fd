import assert from 'node:assert/strict'
import { test } from 'node:test'
import { localRegistry } from '../streams/registry.ts'
import { avroSerde } from '../streams/serde.ts'
import type { AvroSchema } from '../streams/topic.ts'
import { readable } from './readable.ts'

const registry = localRegistry()
const schema = {
  type: 'record',
  name: 'Order',
  namespace: 'shop',
  fields: [
    { name: 'what', type: 'string' },
    { name: 'raw', type: 'bytes' },
  ],
} as AvroSchema
const orders = { name: 'orders', about: '', schema, partitions: 1, keyed: false, config: {} } as const
const serde = avroSerde(registry, { prefix: '', space: '' })
await serde.register([orders])
const order = serde.encode(orders, { what: 'tea', raw: Buffer.from([1, 2]) })

test('Avro of any schema that the registry has is decoded, whoever’s it is', async () => {
  assert.deepEqual(await readable(order, registry), {
    as: 'avro',
    bytes: order.length,
    schemaId: 1,
    schema: 'shop.Order',
    value: { what: 'tea', raw: '0x0102' },
  })
})

test('what is not whole, of an unknown schema, text or bytes is shown as far as it goes, with why', async () => {
  const unknown = Buffer.from(order)
  unknown.writeUInt32BE(77, 1)

  const shown = await Promise.all(
    [order.subarray(0, 8), Buffer.concat([order, Buffer.from('!')]), unknown, Buffer.from('{"a":1}\n'), null].map(
      (bytes) => readable(bytes, registry),
    ),
  )

  assert.match(noteOf(shown[0]), /ends early for schema 1 \(Order\)/)
  assert.match(noteOf(shown[1]), /1 bytes come after the end/)
  assert.match(noteOf(shown[2]), /schema id 77 is not in the registry/)
  assert.deepEqual(shown[3], { as: 'text', bytes: 8, text: '{"a":1}\n', note: null })
  assert.deepEqual(shown[4], { as: 'nothing' })
})

const noteOf = (shown: object | undefined): string => String((shown as { note?: string }).note)
