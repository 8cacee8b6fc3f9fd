import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { localRegistry } from '../streams/registry.ts'
import { avroSerde } from '../streams/serde.ts'
import { topic } from '../streams/topic.ts'
import { configFaults } from './ensure-topics.ts'
import { generateRecords } from './generate.ts'
import { catalogue, documents, vectors } from './topics.ts'

test('the generated types are those of the schemas', () => {
  const checkedIn = readFileSync(new URL('records.ts', import.meta.url), 'utf8')

  const generated = generateRecords()

  assert.equal(checkedIn, generated, 'run: node schemas/generate.ts')
})

test('every record and field of every schema says what it is', () => {
  const silent: string[] = []
  const visit = (
    schema: { type?: unknown; name?: string; doc?: string; fields?: { name: string; doc?: string; type: unknown }[] },
    top: boolean,
  ): void => {
    if (top && !schema.doc) silent.push(`${schema.name}`)
    for (const { name, doc } of schema.fields ?? []) if (!doc) silent.push(`${schema.name}.${name}`)
  }

  for (const { schema } of catalogue) visit(schema as never, true)

  assert.deepEqual(silent, [])
})

test('a document that was written before a field with a default was added stays readable', async () => {
  const registry = localRegistry()
  const scope = { prefix: '', space: 'es' }
  const fields = (documents.schema.fields as { name: string }[]).filter(({ name }) => name !== 'cleaning')
  const former = topic<object>({ ...documents, schema: { ...documents.schema, fields } })
  const old = avroSerde(registry, scope)
  await old.register([former])
  const now = avroSerde(registry, scope)

  const value = await now.decode(
    documents,
    old.encode(former, { title: null, text: 'hello', url: null, language: null, attributes: { n: 1, tags: ['a'] } }),
  )

  assert.deepEqual(JSON.parse(JSON.stringify(value)), {
    title: null,
    text: 'hello',
    url: null,
    language: null,
    attributes: { n: 1, tags: ['a'] },
    acl: null,
    cleaning: '',
  })
})

test('in every compacted topic a tombstone outlives the time before compaction', () => {
  const faults = catalogue.flatMap((each) => configFaults(each.name, each, each.config))

  assert.deepEqual(faults, [])
})

test('a topic whose settings could lose a deletion is named, with the change that helps', () => {
  const actual = { ...documents.config, 'delete.retention.ms': '3600000', 'cleanup.policy': 'delete' }

  const faults = configFaults('documents', documents, actual).join('\n')

  assert.match(
    faults,
    /cleanup\.policy=delete and needs compact; kafka-configs\.sh --alter --topic documents --add-config cleanup\.policy=compact/,
  )
  assert.match(faults, /delete\.retention\.ms=3600000 and needs at least/)
})

test('vectors carry a watermark and lie as documents do', () => {
  assert.ok(vectors.lowSchema)
  assert.equal(vectors.partitions, documents.partitions)
  assert.equal(documents.config['message.timestamp.type'], 'LogAppendTime')
})
