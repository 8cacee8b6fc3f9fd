import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Reject, Retry } from './errors.ts'
import { localRegistry, type SchemaRegistry } from './registry.ts'
import { avroSerde } from './serde.ts'
import { type AvroSchema, topic } from './topic.ts'

const schema = (fields: object[]): AvroSchema => ({ type: 'record', name: 'Thing', namespace: 'test', fields })
const declare = (fields: object[]) =>
  topic<{ text: string }>({
    name: 'things',
    about: '',
    schema: schema(fields),
    partitions: 1,
    keyed: false,
    config: {},
  })
const text = { name: 'text', type: 'string' }
const scope = { prefix: '', space: 'es' }

async function serdeOf(fields: object[], registry: SchemaRegistry = localRegistry()) {
  const things = declare(fields)
  const serde = avroSerde(registry, scope)
  await serde.register([things])
  return { serde, things, registry }
}

test('what was written with an older schema is read with the defaults of the newer one', async () => {
  const { serde: old, things: before, registry } = await serdeOf([text])
  const bytes = old.encode(before, { text: 'hello' })
  const { serde, things } = await serdeOf([text, { name: 'more', type: 'int', default: 7 }], registry)

  const value = await serde.decode(things, bytes)

  assert.deepEqual({ ...(value as object) }, { text: 'hello', more: 7 })
})

test('a value begins with a zero byte and the id of its schema, as other clients expect', async () => {
  const { serde, things } = await serdeOf([text])

  const bytes = serde.encode(things, { text: 'a' })

  assert.equal(bytes.toString('hex'), '0000000001' + '0261')
})

const cases: [string, (sound: Buffer) => Buffer, RegExp][] = [
  ['bytes that are not Avro', () => Buffer.from('{"a":1}'), /is not Avro in the schema registry's wire format/],
  ['an empty value', () => Buffer.alloc(0), /begins with nothing/],
  [
    'a schema id that is not registered',
    () => Buffer.from('000000270f0261', 'hex'),
    /schema id 9999 is not in the registry/,
  ],
  ['a value that is cut off', (sound) => sound.subarray(0, sound.length - 2), /ends early/],
  ['a value with more behind it', (sound) => Buffer.concat([sound, Buffer.from('x')]), /1 bytes after the end/],
  [
    'text that is not UTF-8',
    (sound) => Buffer.concat([sound.subarray(0, 6), Buffer.from([0xff]), sound.subarray(7)]),
    /not UTF-8/,
  ],
]

for (const [what, broken, reason] of cases) {
  test(`${what} is rejected with a reason`, async () => {
    const { serde, things } = await serdeOf([text])
    const bytes = broken(serde.encode(things, { text: 'hello' }))

    await assert.rejects(
      serde.decode(things, bytes),
      (error: Error) => error instanceof Reject && reason.test(error.message),
    )
  })
}

test('text that holds the replacement character itself is text', async () => {
  const { serde, things } = await serdeOf([text])

  const value = (await serde.decode(things, serde.encode(things, { text: 'a \uFFFD b' }))) as { text: string }

  assert.equal(value.text, 'a \uFFFD b')
})

test('a registry out of reach is waited for, and asked again', async () => {
  const { serde: writer, things, registry } = await serdeOf([text])
  let down = true
  const flaky: SchemaRegistry = {
    ...registry,
    schema: (id) => (down ? Promise.reject(new Retry('down')) : registry.schema(id)),
  }
  const serde = avroSerde(flaky, scope)
  const bytes = writer.encode(things, { text: 'hello' })

  await assert.rejects(serde.decode(things, bytes), Retry)
  down = false

  assert.equal(((await serde.decode(things, bytes)) as { text: string }).text, 'hello')
})
