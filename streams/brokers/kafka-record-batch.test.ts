import { strict as assert } from 'node:assert'
import { test } from 'node:test'
import { internal } from './kafka-client.ts'
import { registerCodecs } from './kafka-codecs.ts'
import { committedOf } from './kafka-fetch.ts'
import { decodeBatches } from './kafka-record-batch.ts'

registerCodecs()

interface Encoder {
  readonly buffer: Buffer
}

const { RecordBatch } = internal<{ RecordBatch(batch: object): Promise<Encoder> }>('protocol/recordBatch/v0/index.js')
const Record = internal<(record: object) => Encoder>('protocol/recordBatch/record/v0/index.js')

const AT = { topic: 't', partition: 3 }
const NONE = 0

interface BatchOptions {
  readonly first?: number
  readonly compression?: number
  readonly producerId?: number
  readonly transactional?: boolean
  readonly control?: boolean
  readonly lastOffsetDelta?: number
  readonly records: readonly { key: Buffer | string | null; value: Buffer | string | null; headers?: object }[]
}

/** As a broker would send it: encoded by kafkajs, then given its place in the log. */
async function batch({ first = 0, records, control = false, ...options }: BatchOptions): Promise<Buffer> {
  const { compression = NONE, producerId = 7, transactional = false, lastOffsetDelta = records.length - 1 } = options
  const { buffer } = await RecordBatch({
    compression,
    firstTimestamp: 1_000,
    maxTimestamp: 2_000,
    producerId,
    producerEpoch: 0,
    firstSequence: 0,
    transactional,
    lastOffsetDelta,
    records: records.map((record, i) => Record({ offsetDelta: i, timestampDelta: i * 10, headers: {}, ...record })),
  })
  const bytes = Buffer.from(buffer)
  bytes.writeBigInt64BE(BigInt(first), 0)
  if (control) bytes.writeInt16BE(bytes.readInt16BE(21) | 0x20, 21)
  return bytes
}

const marker = (type: 'commit' | 'abort', first: number, producerId = 7) =>
  batch({
    first,
    producerId,
    transactional: true,
    control: true,
    records: [{ key: Buffer.from([0, 0, 0, type === 'commit' ? 1 : 0]), value: Buffer.alloc(6) }],
  })

const committed = async (
  from: number,
  aborted: { producerId: bigint; first: number }[],
  batches: readonly Buffer[],
) => {
  const fetched = await committedOf(
    { ...AT, errorCode: 0, end: 99, lastStable: 99, aborted, records: Buffer.concat(batches) },
    from,
  )
  return { offsets: fetched.records.map(({ offset }) => offset), next: fetched.next }
}

for (const [compression, name] of ['no compression', 'gzip', 'snappy', 'lz4', 'zstd'].entries()) {
  test(`records with ${name} are read with key, value, headers, time and place`, async () => {
    const bytes = await batch({
      first: 40,
      compression,
      records: [
        { key: 'a', value: 'x'.repeat(500), headers: { h: ['first', 'last'], empty: '' } },
        { key: null, value: null },
      ],
    })

    const [decoded] = await decodeBatches(bytes, AT)

    assert.equal(decoded!.next, 42)
    assert.deepEqual(decoded!.records, [
      {
        ...AT,
        offset: 40,
        timestamp: 1_000,
        key: Buffer.from('a'),
        value: Buffer.from('x'.repeat(500)),
        headers: { h: Buffer.from('last'), empty: Buffer.alloc(0) },
      },
      { ...AT, offset: 41, timestamp: 1_010, key: null, value: null, headers: {} },
    ])
  })
}

test('a fetch that ends in the middle of a batch gives the whole ones', async () => {
  const whole = await batch({ records: [{ key: 'a', value: '1' }] })
  const cut = (await batch({ first: 1, records: [{ key: 'b', value: '2' }] })).subarray(0, -1)

  const batches = await decodeBatches(Buffer.concat([whole, cut]), AT)

  assert.equal(batches.length, 1)
})

test('a corrupt batch is an error, not an endless loop or a wrong record', async () => {
  const bytes = await batch({ records: [{ key: 'a', value: '1' }] })
  bytes.writeInt32BE(1_000, 57)

  await assert.rejects(decodeBatches(bytes, AT), RangeError)
})

test('what was aborted is left out, also when a record of it has the key of an abort marker', async () => {
  const zeros = Buffer.alloc(4)
  const bytes = [
    await batch({
      first: 0,
      transactional: true,
      records: [
        { key: zeros, value: '1' },
        { key: 'b', value: '2' },
      ],
    }),
    await batch({ first: 2, producerId: 8, transactional: true, records: [{ key: 'c', value: '3' }] }),
    await marker('abort', 3),
    await marker('commit', 4, 8),
    await batch({ first: 5, transactional: true, records: [{ key: 'd', value: '4' }] }),
    await marker('commit', 6),
  ]

  const { offsets, next } = await committed(0, [{ producerId: 7n, first: 0 }], bytes)

  assert.deepEqual(offsets, [2, 5])
  assert.equal(next, 7)
})

test('an empty batch that compaction left behind moves the reader past it', async () => {
  const bytes = await batch({ first: 10, lastOffsetDelta: 5, records: [] })

  const { offsets, next } = await committed(12, [], [bytes])

  assert.deepEqual(offsets, [])
  assert.equal(next, 16)
})

test('records of a batch that lie before the offset that was asked for are left out', async () => {
  const bytes = await batch({ first: 10, records: ['a', 'b', 'c'].map((key) => ({ key, value: 'v' })) })

  const { offsets, next } = await committed(11, [], [bytes])

  assert.deepEqual(offsets, [11, 12])
  assert.equal(next, 13)
})
