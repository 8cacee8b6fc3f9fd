import assert from 'node:assert/strict'
import { test } from 'node:test'
import avro from 'avsc'
import fc from 'fast-check'
import { deadLetters, documents, mappedNamed } from '../../schemas/topics.ts'
import { parseExactJson } from '../../streams/exact-json.ts'
import { foreignReader } from '../../streams/foreign.ts'
import { localRegistry, type SchemaRegistry } from '../../streams/registry.ts'
import { type TestDriver, testDriver } from '../../streams/test-driver.ts'
import { ingestFrom } from '../ingest-documents.ts'
import { sectionsOf } from './parts.ts'
import { boundedPattern } from './patterns.ts'
import { readMappings } from './read-mappings.ts'

const PRODUCTS = `
topic: products
tenant: acme
rows: ROWS
id: "{id}"
title: "{name?}"
text: "{name}\\n{about?}"
attributes:
  price: { field: price?, type: number }
  tags: tags?
delete: { field: archived?, equals: true }
`

interface Shop {
  readonly driver: TestDriver
  readonly truncated: string[]
}

async function shop(text: string, registry: SchemaRegistry = localRegistry()): Promise<Shop & AsyncDisposable> {
  const { mappings, faults } = readMappings(text, 'shop.yaml')
  assert.deepEqual(faults, [])
  const truncated: string[] = []
  const sources = mappings.map(({ topic }) => mappedNamed(topic))
  const mapped = {
    mappings: new Map(mappings.map((mapping) => [mapping.topic, mapping])),
    reader: foreignReader(registry),
  }
  const driver = await testDriver(
    ingestFrom(sources),
    { mapped, truncated: (topic: string) => truncated.push(topic) },
    { deadLetters },
  )
  return { driver, truncated, [Symbol.asyncDispose]: () => driver[Symbol.asyncDispose]() }
}

const json = (value: unknown) => Buffer.from(JSON.stringify(value))
const plain = PRODUCTS.replace('ROWS', 'plain')
const debezium = PRODUCTS.replace('ROWS', 'debezium')

/** What is found in the end: the last that was said under each key. */
async function latest({ driver }: Shop) {
  const records = await driver.records(documents)
  return new Map(records.map(({ key, value }) => [key, value as { text: string; attributes: object } | null]))
}

test('a row of JSON becomes a document with text of several fields and attributes with types', async () => {
  await using made = await shop(plain)

  await made.driver.pipe({
    key: '{"id":7}',
    bytes: json({ id: 7, name: 'Lamp', about: 'Gives light.', price: '12.50', tags: ['new', 'home'] }),
  })

  const document = (await latest(made)).get('acme/7')
  assert.equal(document?.text, 'Lamp\nGives light.')
  assert.deepEqual({ ...document?.attributes }, { price: 12.5, tags: ['new', 'home'] })
  assert.deepEqual(await made.driver.rejected(), [])
})

const row = (id: unknown, more = {}) => ({ id, name: `Lamp ${id}`, ...more })
const changes: readonly [string, string, unknown, Record<string, string | null>][] = [
  ['an inserted row is a document', '{"id":1}', { op: 'c', before: null, after: row(1) }, { 'acme/1': 'Lamp 1' }],
  ['a row of a snapshot is a document', '{"id":1}', { op: 'r', after: row(1) }, { 'acme/1': 'Lamp 1' }],
  [
    'a deleted row has no document',
    '{"id":1}',
    { op: 'd', before: { id: 1, name: null }, after: null },
    { 'acme/1': null },
  ],
  ['a deletion without the former row goes by the key', '{"id":1}', { op: 'd', before: null }, { 'acme/1': null }],
  ['a tombstone has no document', '{"id":1}', null, { 'acme/1': null }],
  [
    'a row that the delete rule names has no document',
    '{"id":1}',
    { op: 'u', after: row(1, { archived: true }) },
    { 'acme/1': null },
  ],
  ['a message of the database is no row', '{"id":1}', { op: 'm', message: {} }, {}],
]
for (const [name, key, value, expected] of changes)
  test(`Debezium: ${name}`, async () => {
    await using made = await shop(debezium)

    await made.driver.pipe({ key, ...(value !== null && { bytes: json(value) }) })

    const found = Object.fromEntries([...(await latest(made))].map(([of, document]) => [of, document?.text ?? null]))
    assert.deepEqual(found, expected)
    assert.deepEqual(await made.driver.rejected(), [])
  })

test('Debezium: a changed primary key leaves one document, under the new key', async () => {
  await using made = await shop(debezium)

  await made.driver.pipe(
    { key: '{"id":1}', bytes: json({ op: 'c', after: row(1) }) },
    { key: '{"id":1}', bytes: json({ op: 'd', before: row(1) }) },
    { key: '{"id":1}' },
    { key: '{"id":2}', bytes: json({ op: 'c', after: row(2) }) },
  )

  const found = await latest(made)
  assert.equal(found.get('acme/1'), null)
  assert.equal(found.get('acme/2')?.text, 'Lamp 2')
})

test('Debezium: flattened rows are deleted by __deleted and by __op', async () => {
  await using made = await shop(PRODUCTS.replace('ROWS', 'flattened'))

  await made.driver.pipe(
    { key: '{"id":1}', bytes: json({ ...row(1), __deleted: 'false' }) },
    { key: '{"id":2}', bytes: json({ ...row(2), __op: 'c' }) },
    { key: '{"id":1}', bytes: json({ id: 1, name: null, __deleted: 'true' }) },
    { key: '{"id":2}', bytes: json({ id: 2, name: null, __op: 'd' }) },
  )

  assert.deepEqual([...(await latest(made)).values()], [null, null])
})

test('a truncated table is a named state and one dead letter, and what comes after it goes on', async () => {
  await using made = await shop(debezium)

  await made.driver.pipe(
    { key: null, bytes: json({ op: 't' }) },
    { key: '{"id":1}', bytes: json({ op: 'c', after: row(1) }) },
  )

  assert.deepEqual(made.truncated, ['products'])
  assert.match((await made.driver.rejected())[0]!.reason, /^op: the table was truncated/)
  assert.equal((await latest(made)).get('acme/1')?.text, 'Lamp 1')
})

const wrong: readonly [string, Buffer | null, string | null, RegExp][] = [
  ['bytes that are not JSON', Buffer.from([0, 0, 0, 0, 9, 1]), '1', /^value: is not JSON/],
  ['text that is not UTF-8', Buffer.from([0x7b, 0xff]), '1', /^value: is not UTF-8/],
  [
    'a field that is missing',
    json({ id: 1, title: 'x' }),
    '1',
    /^title: |^text: the record has no field name \(it has id, title\)/,
  ],
  ['an id that is null', json({ id: null, name: 'x' }), '1', /^id: field id is null/],
  ['an id that is an object', json({ id: { a: 1 }, name: 'x' }), '1', /^id: field id is an object/],
  ['a text whose type has changed', json({ id: 1, name: { en: 'x' } }), '1', /^(title|text): field name is an object/],
  [
    'a number that is none',
    json({ id: 1, name: 'x', price: 'much' }),
    '1',
    /^attributes.price: field price is "much", which is no number/,
  ],
  [
    'a number that no double has',
    Buffer.from('{"id":1,"name":"x","price":9007199254740993}'),
    '1',
    /^attributes.price: field price is 9007199254740993/,
  ],
  [
    'a row that is too long',
    json({ id: 1, name: 'x', about: 'long '.repeat(1024 * 1024) }),
    '1',
    /^text: has \d+ bytes.* more than/,
  ],
  ['a deletion without a key', null, null, /^id: the record has no field id/],
]
for (const [name, bytes, key, reason] of wrong)
  test(`${name}: one dead letter that names the field, and the next row goes through`, async () => {
    await using made = await shop(plain)

    await made.driver.pipe({ key, ...(bytes !== null && { bytes }) }, { key: '2', bytes: json(row(2)) })

    const rejected = await made.driver.rejected()
    assert.equal(rejected.length, 1)
    assert.match(rejected[0]!.reason, reason)
    assert.deepEqual([...(await latest(made)).keys()], ['acme/2'])
  })

test('Avro: longs beyond 2^53, decimals and dates arrive exactly', async () => {
  const registry = localRegistry()
  const schema = {
    type: 'record',
    name: 'Value',
    fields: [
      { name: 'id', type: { type: 'long', 'connect.version': 1 } },
      { name: 'day', type: ['null', { type: 'int', 'connect.name': 'io.debezium.time.Date' }], default: null },
      { name: 'at', type: { type: 'long', 'connect.name': 'io.debezium.time.NanoTimestamp' } },
      {
        name: 'price',
        type: { type: 'bytes', scale: 2, 'connect.name': 'org.apache.kafka.connect.data.Decimal' },
        default: '\u0000',
      },
    ],
  }
  const id = await registry.register('any', schema)
  await using made = await shop(
    `{ topic: products, tenant: acme, value: avro, id: "{id}", text: "{day} {at} {price}" }`,
    registry,
  )
  const long = avro.types.LongType.__with({
    fromBuffer: (bytes: Buffer) => bytes.readBigInt64LE(),
    toBuffer: (value: bigint) => {
      const bytes = Buffer.alloc(8)
      bytes.writeBigInt64LE(value)
      return bytes
    },
    fromJSON: BigInt,
    toJSON: String,
    isValid: (value: unknown) => typeof value === 'bigint',
    compare: () => 0,
  })
  const writer = avro.Type.forSchema(
    {
      ...schema,
      fields: ['long', ['null', 'int'], 'long', 'bytes'].map((type, i) => ({ name: `f${i}`, type })),
    } as avro.Schema,
    { registry: { long } },
  )
  const head = Buffer.from([0, 0, 0, 0, id])
  const body = writer.toBuffer({
    f0: 9007199254740993n,
    f1: 20_000,
    f2: 1700000000123456789n,
    f3: Buffer.from([0xfb, 0x2e]),
  })

  await made.driver.pipe({ key: 'k', bytes: Buffer.concat([head, body]) }, { key: 'k', bytes: Buffer.from('{}') })

  assert.equal(
    (await latest(made)).get('acme/9007199254740993')?.text,
    '2024-10-04 2023-11-14T22:13:20.123456789Z -12.34',
  )
  assert.match((await made.driver.rejected())[0]!.reason, /^value: is not in the schema registry's wire format/)
})

test('Avro: a key is read as its schema says, also where the mapping says nothing of it', async () => {
  const registry = localRegistry()
  const schema = { type: 'record', name: 'Key', fields: [{ name: 'id', type: 'long' }] }
  const id = await registry.register('any', schema)
  const body = avro.Type.forSchema(schema as avro.Schema).toBuffer({ id: 42 })
  const reader = foreignReader(registry)

  const keys = [Buffer.concat([Buffer.from([0, 0, 0, 0, id]), body]), Buffer.from('{"id":42}'), Buffer.from('42')]

  const read = await Promise.all(keys.map((key) => reader.read('key', key, 'auto')))
  assert.deepEqual(JSON.parse(JSON.stringify(read)), [{ id: 42 }, { id: 42 }, '42'])
})

test('Protobuf: the message that the framing names is read, longs with all digits', async () => {
  const text = `syntax = "proto3"; package shop; import "google/protobuf/timestamp.proto";
    message Other { string x = 1; } message Row { int64 row_id = 1; string name = 2; google.protobuf.Timestamp at = 3; }`
  const registry = { schemaText: async () => ({ kind: 'PROTOBUF', text, references: [] }) }
  const reader = foreignReader(registry)
  // Index 1 of the file; 1: 9007199254740993, 2: "Lamp".
  const bytes = Buffer.from('0000000007' + '0202' + '0881808080808080' + '10' + '12044c616d70', 'hex')

  const row = (await reader.read('value', bytes, 'protobuf')) as { row_id: string; name: string }

  assert.deepEqual([row.row_id, row.name], ['9007199254740993', 'Lamp'])
  await assert.rejects(
    reader.read('value', bytes.subarray(0, 9), 'protobuf'),
    /^Reject: value: is not valid under schema 7/,
  )
})

test('JSON of Kafka Connect with its schema: decimals and dates are what the schema says', async () => {
  await using made = await shop(`{ topic: products, tenant: acme, id: "{id}", text: "{day} {price}" }`)
  const schema = {
    type: 'struct',
    fields: [
      { field: 'id', type: 'int64' },
      { field: 'day', type: 'int32', name: 'org.apache.kafka.connect.data.Date' },
      { field: 'price', type: 'bytes', name: 'org.apache.kafka.connect.data.Decimal', parameters: { scale: '3' } },
    ],
  }

  await made.driver.pipe({ key: null, bytes: json({ schema, payload: { id: 1, day: 1, price: 'BNI=' } }) })

  assert.equal((await latest(made)).get('acme/1')?.text, '1970-01-02 1.234')
})

test('a row whose columns are called schema and payload is no JSON of Kafka Connect', async () => {
  await using made = await shop(`{ topic: products, tenant: acme, id: "{payload}", text: "in {schema}" }`)

  await made.driver.pipe({ key: null, bytes: json({ schema: 'public', payload: 7 }) })

  assert.equal((await latest(made)).get('acme/7')?.text, 'in public')
})

test('a record of a mapped topic that is sent again as a replay never takes the place of a newer row', async () => {
  await using made = await shop(plain)
  await made.driver.pipe({ key: 'acme/1', bytes: json(row(1, { name: 'newer' })) })

  await made.driver.pipe({ key: 'acme/1', bytes: json(row(1, { name: 'older' })), headers: { 'replay-seen': '0' } })

  assert.match((await made.driver.rejected())[0]!.reason, /^replay: a record of a mapped topic is not sent again/)
  assert.equal((await latest(made)).get('acme/1')?.text.trim(), 'newer')
})

test('numbers of JSON stay what was written', () => {
  const read = parseExactJson('{"a":9223372036854775807,"b":0.1234567890123456789,"c":12,"d":"9223372036854775807"}')

  assert.deepEqual(read, { a: 9223372036854775807n, b: '0.1234567890123456789', c: 12, d: '9223372036854775807' })
})

test('a tenant of a field is taken only where the mapping allows it, and no acl is no open door', async () => {
  await using made = await shop(
    `{ topic: products, tenant: { field: account, allowed: [acme, beta] }, id: "{id}", text: "{name}", acl: { field: groups } }`,
  )

  await made.driver.pipe(
    { key: '1', bytes: json({ ...row(1), account: 'beta', groups: ['staff'] }) },
    { key: '2', bytes: json({ ...row(2), account: 'evil', groups: ['staff'] }) },
    { key: '3', bytes: json({ ...row(3), account: 'acme', groups: null }) },
  )

  assert.deepEqual([...(await latest(made)).keys()], ['beta/1'])
  assert.deepEqual(
    (await made.driver.rejected()).map(({ reason }) => reason.split(':')[0]),
    ['tenant', 'acl'],
  )
})

test('cleaning: HTML is made text, what is to be redacted is, boilerplate goes, and what is too short is no document', async () => {
  await using made = await shop(`
topic: products
tenant: acme
id: "{id}"
text: "{body}"
clean:
  html: [body]
  redact: [{ what: email }, { pattern: 'C-\\d{4,8}', with: '[customer]' }]
  dropLines: [Sent from my phone]
  charactersMin: 10
`)

  await made.driver.pipe(
    {
      key: '1',
      bytes: json({ id: 1, body: '<p>Ask <b>ann@example.com</b> about C-123456.</p><p>Sent from my phone</p>' }),
    },
    { key: '2', bytes: json({ id: 2, body: 'short' }) },
  )

  const found = await latest(made)
  assert.equal(found.get('acme/1')?.text, 'Ask [email] about [customer].')
  assert.equal(found.get('acme/2'), null)
})

for (const pattern of ['(a+)+$', 'a*', '.+', '\\d{1,64}\\d{1,64}\\d{1,64}x', 'a|b'])
  test(`the pattern ${pattern} is refused, since its cost is not bounded`, () => {
    assert.throws(() => boundedPattern(pattern))
  })

const SPLIT = `{ topic: products, tenant: acme, id: "{id}", text: "{body}", split: { by: sections, partBytes: 1024, partsMax: 4 } }`

test('a split text shrinks and goes with all its parts, also when the process dies in the middle and everything comes again', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.tuple(fc.integer({ min: 1, max: 3 }), fc.integer({ min: 0, max: 4 }), fc.boolean()), {
        minLength: 1,
        maxLength: 12,
      }),
      async (steps) => {
        await using made = await shop(SPLIT)
        const expected = new Map<number, number>()
        for (const [id, parts, dies] of steps) {
          const body = Array.from({ length: parts }, (_, i) => `# Part ${i}\n\n${'word '.repeat(150)}`).join('\n\n')
          const sent = made.driver.pipe({ key: `{"id":${id}}`, ...(parts > 0 && { bytes: json({ id, body }) }) })
          if (dies) await made.driver.crash()
          await sent
          expected.set(id, parts)
        }
        await made.driver.restart()

        const found = await latest(made)
        for (const [id, parts] of expected) {
          const there = [1, 2, 3, 4].filter((n) => found.get(n === 1 ? `acme/${id}` : `acme/${id}#${n}`))
          assert.equal(there.length, parts, `row ${id}`)
        }
        const positions = (await made.driver.records(documents)).map(({ headers }) => headers.source)
        assert.equal(new Set(positions).size * 4, positions.length, 'each source record once')
      },
    ),
    { numRuns: 15 },
  )
})

test('sections are cut before headings, and hold all of the text', () => {
  const text = ['# One', 'first '.repeat(100), '# Two', 'second '.repeat(100), 'x'.repeat(3_000)].join('\n\n')

  const parts = sectionsOf(text, 1_024)

  assert.ok(parts.every((part) => Buffer.byteLength(part) <= 1_024))
  assert.match(parts[1]!, /^# Two/)
  assert.equal(parts.join('').replace(/\s/g, ''), text.replace(/\s/g, ''))
})

const faulty: readonly [string, RegExp][] = [
  [
    'topic: products\ntenant: acme\nid: "{id}"\ntext: "{name}"\nattributes:\n  price: { field: price, type: money }\n',
    /^m\.yaml:6: attributes\.price\.type: "money": .*string/,
  ],
  [
    'topic: products\ntenant: acme\nid: "{id}"\ntext: "{name}"\ntitel: "{name}"\n',
    /titel is no setting of it; there are topic, tenant/,
  ],
  ['topic: products\ntenant: acme\nid: "{id}"\n', /^m\.yaml:1: text: is missing/],
  ['topic: products\ntenant: acme\nid: "{id"\ntext: "{name}"\n', /^m\.yaml:3: id: "\{id": a brace is not closed/],
  ['topic: products\n  tenant: acme\n', /^m\.yaml:\d: /],
  [
    '- topic: a\n  tenant: acme\n  id: "{id}"\n  text: "{t}"\n- topic: b\n  tenant: "UP per"\n  id: "{id}"\n  text: "{t}"\n',
    /^m\.yaml:6: tenant: "UP per"/,
  ],
  [
    "topic: products\ntenant: acme\nid: '{id}'\ntext: '{a}'\nclean:\n  redact:\n    - pattern: '(a+)+'\n",
    /^m\.yaml:7: clean\.redact\.0\.pattern: "\(a\+\)\+": .*cannot be bounded/,
  ],
]
for (const [text, fault] of faulty)
  test(`a mapping that is wrong is told with file, line, field and fix: ${String(fault).slice(1, 50)}`, () => {
    const { mappings, faults } = readMappings(text, 'm.yaml')

    assert.ok(mappings.length < 2)
    assert.match(faults[0]!, fault)
  })
