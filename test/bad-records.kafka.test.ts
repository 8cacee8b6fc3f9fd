import assert from 'node:assert/strict'
import { after, test } from 'node:test'
import type { Document } from '../schemas/records.ts'
import { documents, inbox } from '../schemas/topics.ts'
import { Reject } from '../streams/errors.ts'
import type { Topic } from '../streams/topic.ts'
import { atRest } from './at-rest.ts'
import { differences, unaccounted } from './oracle/platform-world.ts'
import { openPlatform } from './platform.ts'
import { producePython } from './python.ts'
import { deadLettersOf } from './topic-records.ts'

const platform = await openPlatform()
after(() => platform[Symbol.asyncDispose]())
await Promise.all([platform.worker(), platform.query()])
const client = await platform.client()
const producer = await platform.broker.producer()

const fields = { title: null, url: null, language: null, attributes: {}, acl: null }
const document = (text: string): Buffer =>
  platform.serde.encode(documents, { ...fields, text, cleaning: '' } satisfies Document)
const fromInbox = (text: string, contentType: string | null = null): Buffer =>
  platform.serde.encode(inbox, { ...fields, text, contentType })

/** The text's bytes, found by a marker of the same length, replaced by what is no UTF-8. */
function withBadText(): Buffer {
  const bytes = document('marker is here')
  Buffer.from([0xff, 0xfe, 0xc3, 0x28]).copy(bytes, bytes.indexOf('marker'))
  return bytes
}
const withSchemaId = (bytes: Buffer, id: number): Buffer => {
  const copy = Buffer.from(bytes)
  copy.writeUInt32BE(id, 1)
  return copy
}

interface BadRecord {
  readonly what: string
  readonly topic: Topic
  readonly key?: string | Buffer | null
  readonly value: Buffer | null
  readonly misplaced?: true
  readonly class: string
  readonly reason: RegExp
}

const badRecords: readonly BadRecord[] = [
  {
    what: 'no key in inbox',
    topic: inbox,
    key: null,
    value: fromInbox('fine'),
    class: 'key',
    reason: /key: is empty.*tenant\/id/,
  },
  {
    what: 'a key without a tenant',
    topic: documents,
    key: 'handbook',
    value: document('fine'),
    class: 'key',
    reason: /key: has no slash \("handbook"\)/,
  },
  {
    what: 'a key with a tenant that is none',
    topic: documents,
    key: 'Acme Inc/a',
    value: document('fine'),
    class: 'key',
    reason: /tenant "Acme Inc"/,
  },
  {
    what: 'a key that is too long',
    topic: documents,
    key: `acme/${'x'.repeat(600)}`,
    value: document('fine'),
    class: 'key',
    reason: /605 bytes.*512/,
  },
  {
    what: 'a key that is not UTF-8',
    topic: documents,
    key: Buffer.from([0x61, 0x2f, 0xff, 0xfe]),
    value: document('fine'),
    class: 'key',
    reason: /not UTF-8 \(612ffffe\)/,
  },
  {
    what: 'the wrong partition',
    topic: documents,
    misplaced: true,
    value: document('fine'),
    class: 'partition',
    reason: /murmur2.*murmur2_random/,
  },
  {
    what: 'a value that is not Avro',
    topic: documents,
    value: Buffer.from('{"text":"json"}'),
    class: 'schema',
    reason: /is not Avro in the schema registry's wire format \(it begins with 7b22746578\)/,
  },
  {
    what: 'Avro that was cut off',
    topic: documents,
    value: document('this ends too early').subarray(0, 14),
    class: 'schema',
    reason: /ends early|is not a valid Document/,
  },
  {
    what: 'Avro with more behind it',
    topic: documents,
    value: Buffer.concat([document('fine'), Buffer.from('more')]),
    class: 'schema',
    reason: /4 bytes after the end/,
  },
  {
    what: 'a schema id that is not in the registry',
    topic: documents,
    value: withSchemaId(document('fine'), 987_654),
    class: 'schema',
    reason: /schema id 987654 is not in the registry/,
  },
  {
    what: 'text that is not UTF-8',
    topic: documents,
    value: withBadText(),
    class: 'schema',
    reason: /text that is not UTF-8/,
  },
  {
    what: 'no text',
    topic: documents,
    value: document(''),
    class: 'content',
    reason: /text: has no letters or digits/,
  },
  {
    what: 'white space for text',
    topic: documents,
    value: document(' \u00a0\n\n\t '),
    class: 'content',
    reason: /text: has no letters or digits/,
  },
  {
    what: 'more than 1,000 chunks',
    topic: documents,
    value: document('many words '.repeat(150_000)),
    class: 'size',
    reason: /makes \d{4,} chunks, and 1000 is the limit/,
  },
  { what: 'blank text in inbox', topic: inbox, value: fromInbox(' \n\t '), class: 'content', reason: /text/ },
  {
    what: 'HTML without text',
    topic: inbox,
    value: fromInbox('<html><script>var a = 1</script><style>p {}</style>', 'text/html'),
    class: 'content',
    reason: /text/,
  },
  {
    what: 'a content type that nobody reads',
    topic: inbox,
    value: fromInbox('%PDF-1.7', 'application/pdf'),
    class: 'content',
    reason: /contentType.*application\/pdf/,
  },
  {
    what: 'a key without a tenant in inbox',
    topic: inbox,
    key: 'handbook',
    value: fromInbox('fine'),
    class: 'key',
    reason: /key: has no slash/,
  },
  {
    what: 'a value that is not Avro in inbox',
    topic: inbox,
    value: Buffer.from([0, 1]),
    class: 'schema',
    reason: /is not Avro/,
  },
]

for (const [i, bad] of badRecords.entries()) {
  test(`${bad.what} leads to one dead letter with the untouched bytes, and the next record goes through`, async () => {
    const key = bad.key === undefined ? `acme/bad-${i}` : bad.key
    const { partition, offset } = await writeBad(bad, key)
    const next = { id: sentinelIn(partition, i), text: `The record after bad record ${i}.` }
    const value = bad.topic === inbox ? fromInbox(next.text) : document(next.text)

    await producer.send([{ topic: platform.topic(bad.topic), partition, key: `acme/${next.id}`, value }])
    await atRest(platform, 10_000)

    const letters = (await deadLettersOf(platform)).filter(
      (letter) =>
        letter.topic === platform.topic(bad.topic) && letter.partition === partition && letter.offset === offset,
    )
    assert.equal(letters.length, 1)
    const [letter] = letters
    assert.match(letter!.reason, bad.reason)
    assert.equal(letter!.class, bad.class)
    assert.deepEqual(letter!.key, key === null ? null : Buffer.from(key))
    assert.deepEqual(letter!.value, bad.value)
    assert.equal(letter!.stage, bad.topic === inbox ? 'ingest-documents' : 'embed-documents')
    const { hits } = await client.search({ query: next.text, k: 1 })
    assert.equal(hits[0]?.documentId, next.id)
  })
}

test('a document whose newest revision is bad is gone from the index, and one that is bad in inbox keeps its former version', async () => {
  await client.publish([{ id: 'was-good', text: 'It was a good revision.' }], { ack: 'indexed' })
  await client.publish([{ id: 'stays', text: 'The former version stays.' }], { ack: 'indexed' })

  await writeBad({ topic: documents, value: Buffer.from('bad') }, 'acme/was-good')
  await writeBad({ topic: inbox, value: Buffer.from('bad') }, 'acme/stays')
  await atRest(platform)

  const { hits } = await client.search({ query: 'good revision former version stays', k: 100 })
  const ids = hits.map(({ documentId }) => documentId)
  assert.ok(!ids.includes('was-good') && ids.includes('stays'), ids.join(', '))
})

test('broken HTML goes through with the text that it has', async () => {
  const html = '<div><p>Unclosed <b>and <i>nested</b> wrongly &amp; &nope; <table><tr><td>a cell<a href="'

  await writeBad({ topic: inbox, value: fromInbox(html, 'text/html') }, 'acme/broken-html')
  await atRest(platform)

  const { hits } = await client.search({ query: 'unclosed nested wrongly', k: 1 })
  assert.equal(hits[0]?.documentId, 'broken-html')
  assert.match(hits[0]!.text, /Unclosed and nested wrongly & &nope;[^<]*a cell/)
})

test('a record above the limit of its topic is refused to its producer, and nothing is written', async () => {
  const before = await platform.broker.admin.offsets(platform.topic(documents))
  const value = Buffer.alloc(10 * 1024 * 1024, 'x')
  const key = 'acme/huge'

  const sending = producer.send([
    { topic: platform.topic(documents), partition: platform.partitionOf(key), key, value },
  ])
  await assert.rejects(sending, Reject)
  const [python] = await producePython(platform, documents, [{ key, value }], { partitioner: 'murmur2_random' })

  assert.match(python !== undefined && 'error' in python ? python.error : '', /MSG_SIZE_TOO_LARGE/)
  assert.deepEqual(await platform.broker.admin.offsets(platform.topic(documents)), before)
})

test('after all of that every record has its outcome, and the index is as the log says', async () => {
  await atRest(platform)

  assert.deepEqual(await differences(platform), { served: [], garbage: [] })
  assert.deepEqual(await unaccounted(platform), [])
  assert.equal((await deadLettersOf(platform)).length, badRecords.length + 2)
})

async function writeBad(
  { topic, value, misplaced }: Pick<BadRecord, 'topic' | 'value' | 'misplaced'>,
  key: string | Buffer | null,
): Promise<{ partition: number; offset: number }> {
  if (Buffer.isBuffer(key)) {
    const [place] = await producePython(platform, topic, [{ key, value }], { partitioner: 'murmur2_random' })
    if (place === undefined || !('partition' in place)) throw new Error(`not written: ${JSON.stringify(place)}`)
    return place
  }
  const right = key === null ? 0 : platform.partitionOf(key)
  const partition = misplaced ? (right + 1) % platform.partitions : right
  const [position] = await producer.send([{ topic: platform.topic(topic), partition, key, value }])
  return position!
}

/** An id whose document lies in this partition. */
function sentinelIn(partition: number, i: number): string {
  for (let n = 0; ; n++) if (platform.partitionOf(`acme/after-${i}-${n}`) === partition) return `after-${i}-${n}`
}
