import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type Processor, processor } from './processor.ts'
import { type AvroSchema, topic } from './topic.ts'
import { faultsOf } from './topology.ts'

const schema: AvroSchema = { type: 'record', name: 'R', fields: [] }
const named = (name: string, partitions: 'shared' | number = 'shared', lowSchema?: AvroSchema) =>
  topic({ name, about: '', schema, partitions, keyed: true, config: {}, ...(lowSchema && { lowSchema }) })
const [source, sink] = [named('source'), named('sink', 'shared', schema)]
const sound: Processor<object> = {
  name: 'copy-records',
  from: [source],
  to: [sink],
  batch: { recordsMax: 1, bytesMax: 1 },
  onReject: 'nothing',
  process: async () => [],
}

const faults: [string, Partial<Processor<object>>, RegExp][] = [
  ['a name that is not verb-topic', { name: 'copy' }, /verb-topic/],
  ['no source', { from: [] }, /reads no topic/],
  ['an empty batch', { batch: { recordsMax: 0, bytesMax: 1 } }, /bounds of a batch/],
  ['erasing without a topic to erase in', { onReject: 'erase', to: [] }, /no topic to erase in/],
  [
    'a watermark in a topic that it does not write',
    { watermark: { kind: 'carried', topic: named('other', 'shared', schema) } },
    /does not declare/,
  ],
  [
    'a watermark in a topic without progress records',
    { to: [named('plain')], watermark: { kind: 'carried', topic: named('plain') } },
    /does not declare|no schema for progress records/,
  ],
  [
    'several lanes for a stage that tells how far it is',
    { transactional: { positions: named('positions', 1) }, lanesMax: 2 },
    /lanesMax 1/,
  ],
  ['reading what it writes', { to: [source] }, /reads what it writes/],
]

test('a sound declaration has no faults', () => {
  const found = faultsOf([processor(sound)])

  assert.deepEqual(found, [])
})

for (const [what, change, expected] of faults) {
  test(`${what} is a fault of the topology`, () => {
    const found = faultsOf([{ ...sound, ...change }])

    assert.match(found.join('\n'), expected)
  })
}

test('two processors of one name are a fault', () => {
  const found = faultsOf([sound, sound])

  assert.match(found.join('\n'), /two processors have this name/)
})
