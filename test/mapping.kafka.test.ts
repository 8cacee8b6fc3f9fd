import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import avro from 'avsc'
import { documents, mappedNamed } from '../schemas/topics.ts'
import { partitionOf } from '../streams/partitioner.ts'
import { confluentRegistry } from '../streams/registry.ts'
import { nameIn } from '../streams/topic.ts'
import { openPlatform } from './platform.ts'
import { deadLettersOf, recordsOf } from './topic-records.ts'
import { until } from './until.ts'

/** Rows as Debezium and Kafka Connect's Avro converter write them, under schemas of their own. */
const rowSchema = {
  type: 'record' as const,
  name: 'Row',
  namespace: 'shop.products',
  fields: [
    { name: 'id', type: 'long' },
    { name: 'name', type: ['null', 'string'], default: null },
  ],
}
const envelopeSchema = {
  type: 'record' as const,
  name: 'Envelope',
  namespace: 'shop.products',
  fields: [
    { name: 'before', type: ['null', rowSchema], default: null },
    { name: 'after', type: ['null', 'shop.products.Row'], default: null },
    { name: 'op', type: 'string' },
  ],
}
const folder = mkdtempSync(join(tmpdir(), 'freshet-mapping-'))
const file = join(folder, 'shop.yaml')
writeFileSync(
  file,
  'topic: products\ntenant: acme\nvalue: avro\nrows: debezium\nid: "{id}"\ntext: "Lamp {name}"\nattributes: { name: name }\n',
)
const products = mappedNamed('products')
const platform = await openPlatform({ partitions: 2, env: { FRESHET_MAPPINGS: file } })
after(async () => {
  await platform[Symbol.asyncDispose]()
  rmSync(folder, { recursive: true })
})
const [worker, query] = await Promise.all([platform.worker(), platform.query()])
const client = await platform.client()
const producer = await platform.broker.producer()
const topic = nameIn(platform.scope, products)
const registry = confluentRegistry(platform.urls.registry)
const encoderOf = async (subject: string, schema: typeof envelopeSchema) => {
  const id = await registry.register(subject, schema as never)
  const type = avro.Type.forSchema(schema as avro.Schema)
  const head = Buffer.alloc(5)
  head.writeUInt32BE(id, 1)
  return (value: unknown) => Buffer.concat([head, type.toBuffer(value)])
}
const encoded = await encoderOf(`${topic}-value`, envelopeSchema)

const record = (id: number, value: object | null) => {
  const key = JSON.stringify({ id })
  return {
    topic,
    partition: partitionOf(key, 2),
    key,
    value: value === null ? null : encoded({ before: null, after: null, ...value }),
  }
}
const ROWS = 200

test('rows of Debezium are found, and gone when they are deleted, also when the worker is killed in the middle', async () => {
  await producer.send(Array.from({ length: ROWS }, (_, id) => record(id, { op: 'c', after: { id, name: `n${id}` } })))
  await worker.kill('SIGKILL')
  await platform.worker()
  await producer.send([
    record(7, { op: 'd', before: { id: 7, name: null } }),
    record(7, null),
    record(8, { op: 'u', after: { id: 8, name: 'changed' } }),
    { ...record(9, null), value: Buffer.from('{"not":"avro"}') },
  ])

  const present = async () => {
    const latest = new Map(
      (await recordsOf(platform, documents)).map(({ key, value }) => [String(key), value !== null]),
    )
    const count = [...latest.values()].filter(Boolean).length
    return (latest.get('acme/7') === false && count === ROWS - 1) || `${count} documents`
  }
  await until('all rows are documents', present, 30_000)
  const records = await recordsOf(platform, documents)
  assert.equal(records.length, ROWS + 3, 'each row is written once, whoever died')
  const letters = await deadLettersOf(platform)
  assert.equal(letters.length, 1)
  assert.match(letters[0]!.reason, /^value: is not in the schema registry's wire format/)
  await until(
    'the changed row is found and the deleted one is not',
    async () => {
      const { hits } = await client.search({ query: 'lamp changed', k: 1, mode: 'keyword' })
      return hits[0]?.documentId === '8' || JSON.stringify(hits)
    },
    30_000,
  )
  assert.equal(await query.metric('freshet_source_staleness_seconds', { source: 'products' }), 0)
})

test('a preview shows what rows would become and why others are rejected, and writes nothing', async () => {
  const before = await platform.broker.admin.offsets(nameIn(platform.scope, documents))

  const command = platform.freshet('ingest', 'preview', 'products', '--limit', '1000', '--json')
  await command.ended

  const previewed = JSON.parse(command.log()) as { is: string; did?: string; reason?: string }[]
  assert.equal(previewed.length, ROWS + 4)
  assert.equal(previewed.filter(({ did }) => did === 'put').length, ROWS + 1)
  assert.equal(previewed.filter(({ did }) => did === 'erase').length, 2)
  assert.match(previewed.find(({ is }) => is === 'rejected')!.reason!, /^value: /)
  assert.deepEqual(await platform.broker.admin.offsets(nameIn(platform.scope, documents)), before)
})
