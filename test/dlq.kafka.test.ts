import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { once } from 'node:events'
import { createServer } from 'node:http'
import { after, test } from 'node:test'
import { portsFrom } from '../infra/local/ports.ts'
import { localSettings, repositoryDir } from '../infra/local/settings.ts'
import { documents, inbox } from '../schemas/topics.ts'
import { confluentRegistry } from '../streams/registry.ts'
import type { Topic } from '../streams/topic.ts'
import { atRest } from './at-rest.ts'
import { differences, unaccounted } from './oracle/platform-world.ts'
import { openPlatform } from './platform.ts'
import { receiptsOf } from './topic-records.ts'

/** The stack's registry, without some schemas until they are "registered". */
const direct = `http://127.0.0.1:${portsFrom(localSettings(process.env).portBase).registry}`
const hidden = new Set<number>()
const registry = createServer(async (request, response) => {
  const id = Number(/\/schemas\/ids\/(\d+)/.exec(request.url ?? '')?.[1])
  if (hidden.has(id)) {
    response.writeHead(404, { 'content-type': 'application/json' })
    return response.end(JSON.stringify({ error_code: 40403, message: `no schema ${id}` }))
  }
  const body = await new Response(request as never).arrayBuffer()
  const answer = await fetch(direct + request.url, {
    method: request.method ?? 'GET',
    headers: { 'content-type': request.headers['content-type'] ?? 'application/json' },
    ...(body.byteLength > 0 && { body }),
  })
  response.writeHead(answer.status, { 'content-type': answer.headers.get('content-type') ?? 'application/json' })
  response.end(Buffer.from(await answer.arrayBuffer()))
}).listen(0, '127.0.0.1')
await once(registry, 'listening')
const { port } = registry.address() as { port: number }

const platform = await openPlatform({ registryUrl: `http://127.0.0.1:${port}/apis/ccompat/v7` })
after(async () => {
  await platform[Symbol.asyncDispose]()
  registry.close()
})
await Promise.all([platform.worker(), platform.query()])
const client = await platform.client()
const producer = await platform.broker.producer()

const fields = { title: null, url: null, language: null, attributes: {} }
const document = (text: string): Buffer => platform.serde.encode(documents, { ...fields, text, cleaning: '' })
const fromInbox = (text: string): Buffer => platform.serde.encode(inbox, { ...fields, text, contentType: null })

/** A schema of the producer's own, which the registry does not have yet as far as the platform can see. */
async function unknownSchema(topic: Topic): Promise<(bytes: Buffer) => Buffer> {
  const schema = { ...topic.schema, doc: `Of a producer, ${platform.scope.prefix}` }
  const id = await confluentRegistry(`${direct}/apis/ccompat/v7`).register(`${platform.topic(topic)}-own`, schema)
  hidden.add(id)
  return (bytes) => {
    const copy = Buffer.from(bytes)
    copy.writeUInt32BE(id, 1)
    return copy
  }
}
const [ofDocuments, ofInbox] = [await unknownSchema(documents), await unknownSchema(inbox)]

test('a poison of each class is listed once, shown as far as it can be read, and says what a replay would do', async () => {
  await client.publish([{ id: 'was-good', text: 'The former version of it.' }], { ack: 'indexed' })
  await write(documents, 'acme/later-readable', ofDocuments(document('A heron stands in the reeds.')))
  await write(documents, 'acme/was-good', ofDocuments(document('The otter swims upstream.')))
  await write(inbox, 'acme/from-inbox', ofInbox(fromInbox('The kingfisher dives.')))
  await write(inbox, 'acme/blank', fromInbox(' \n '))
  await write(documents, 'acme/huge', document('many words '.repeat(150_000)))
  await write(inbox, 'no-tenant', fromInbox('Fine but for its key.'))
  await write(documents, 'acme/misplaced', document('Fine but for its place.'), 1)
  await atRest(platform)

  const { entries } = await freshet<Listed>('list')
  const shown = await Promise.all(entries.map(({ id }) => freshet<Shown>('show', id.slice(0, 12))))

  const byKey = Object.fromEntries(entries.map((entry) => [entry.key, entry]))
  assert.deepEqual(Object.fromEntries(entries.map((entry) => [entry.key, [entry.class, entry.count, entry.state]])), {
    'acme/later-readable': ['schema', 1, 'open'],
    'acme/was-good': ['schema', 1, 'open'],
    'acme/from-inbox': ['schema', 1, 'open'],
    'acme/blank': ['content', 1, 'open'],
    'acme/huge': ['size', 1, 'open'],
    'no-tenant': ['key', 1, 'open'],
    'acme/misplaced': ['partition', 1, 'open'],
  })
  assert.match(byKey['acme/later-readable']!.reason, /schema id \d+ is not in the registry/)
  const of = (key: string) => shown.find((each) => each.key === key)!
  assert.equal(of('acme/huge').value.as, 'avro')
  assert.equal(of('acme/blank').value.value!.text, ' \n ')
  assert.match(of('acme/blank').replay, /send the record again, byte for byte, to .*inbox/)
  assert.match(of('acme/later-readable').value.note!, /not in the registry/)
  assert.match(of('acme/later-readable').replay, /derive documents .* again/)
  assert.match(of('acme/was-good').index!.rejected!, /not in the registry/)
  assert.match(of('no-tenant').replay, /no replay can help: .*tenant\/id/)
  assert.match(of('acme/misplaced').replay, /no replay can help: .*murmur2_random/)
})

test('before the fix a replay fails again, and stays one entry with a count', async () => {
  const [entry] = (await freshet<Listed>('list', '--key', 'acme/blank')).entries

  const outcomes = await freshet<Replayed[]>('replay', entry!.id)

  assert.deepEqual(
    outcomes.map(({ id, outcome, count }) => [id, outcome, count]),
    [[entry!.id, 'rejected', 2]],
  )
  const again = (await freshet<Listed>('list', '--key', 'acme/blank')).entries
  assert.deepEqual(
    again.map(({ id, count, state }) => [id, count, state]),
    [[entry!.id, 2, 'open']],
  )
})

test('after the fix the replay brings the documents back, and their receipts say so', async () => {
  hidden.clear()

  const outcomes = await freshet<Replayed[]>('replay', '--reason', 'not in the registry')

  assert.deepEqual(Object.fromEntries(outcomes.map(({ key, outcome }) => [key, outcome])), {
    'acme/later-readable': 'indexed',
    'acme/was-good': 'indexed',
    'acme/from-inbox': 'indexed',
  })
  await atRest(platform)
  for (const [query, id] of [
    ['heron reeds', 'later-readable'],
    ['otter upstream', 'was-good'],
    ['kingfisher dives', 'from-inbox'],
  ] as const)
    assert.equal((await client.search({ query, k: 1 })).hits[0]?.documentId, id)
  const derived = (await receiptsOf(platform)).filter(({ derivation }) => derivation > 0)
  assert.deepEqual(
    derived.map(({ outcome, derivation, offset, presentOffset, presentDeleted }) => [
      outcome,
      derivation,
      offset === presentOffset,
      presentDeleted,
    ]),
    [
      ['indexed', 1, true, false],
      ['indexed', 1, true, false],
    ],
  )
  assert.equal((await freshet<Listed>('list', '--class', 'schema')).entries.length, 0)
})

test('a replay does not take the place of anything newer, and says that it is superseded', async () => {
  await write(inbox, 'acme/overtaken', fromInbox(' '))
  await atRest(platform)
  const [entry] = (await freshet<Listed>('list', '--key', 'acme/overtaken')).entries
  await client.publish([{ id: 'overtaken', text: 'The newer version.' }], { ack: 'indexed' })

  const outcomes = await freshet<Replayed[]>('replay', entry!.id)

  assert.deepEqual(
    outcomes.map(({ outcome }) => outcome),
    ['superseded'],
  )
  const listed = await freshet<Listed>('list', '--key', 'acme/overtaken')
  assert.deepEqual([listed.entries.length, listed.hidden.superseded], [0, 1])
})

test('what is discarded is listed no more, but for those who ask for all, with who and why', async () => {
  const [entry] = (await freshet<Listed>('list', '--class', 'key')).entries

  await freshet('discard', entry!.id, '--why', 'a test of the importer')

  const listed = await freshet<Listed>('list', '--class', 'key')
  assert.deepEqual([listed.entries.length, listed.hidden.discarded], [0, 1])
  const [all] = (await freshet<Listed>('list', '--class', 'key', '--all')).entries
  assert.deepEqual([all!.state, all!.why], ['discarded', 'a test of the importer'])
})

test('wrong use ends with 2 and a failure with 1, and both say what to do', async () => {
  const cases = [
    [['list', '--since', 'yesterday'], 2, /--since: give an age like/],
    [['discard', 'abcd'], 2, /--why/],
    [['show', 'abcd0000'], 1, /no dead letter begins with abcd0000; dlq list/],
    [['show', 'xyz'], 1, /"xyz" is not one; give 4 or more/],
    [['replay'], 1, /give ids, or one of --reason/],
    [['replay', '--class', 'size'], 1, /say --yes/],
  ] as const

  const results = await Promise.all(cases.map(([args]) => run(['dlq', ...args])))

  for (const [i, { code, stderr }] of results.entries()) {
    assert.equal(code, cases[i]![1], stderr)
    assert.match(stderr, cases[i]![2])
  }
})

test('in the end the index is as the log says, and each record has come to one end', async () => {
  await atRest(platform)

  assert.deepEqual(await differences(platform), { served: [], garbage: [] })
  assert.deepEqual(await unaccounted(platform), [])
})

interface Listed {
  readonly entries: readonly {
    readonly id: string
    readonly key: string | null
    readonly class: string
    readonly reason: string
    readonly count: number
    readonly state: string
    readonly why?: string
  }[]
  readonly hidden: Readonly<Record<string, number>>
}
interface Shown {
  readonly key: string
  readonly replay: string
  readonly value: { readonly as: string; readonly note?: string; readonly value?: { readonly text: string } }
  readonly index: { readonly rejected: string | null } | null
}
interface Replayed {
  readonly id: string
  readonly key: string
  readonly outcome: string
  readonly count: number
}

async function write(topic: Topic, key: string, value: Buffer, away = 0): Promise<void> {
  const partition = (platform.partitionOf(key) + away) % platform.partitions
  await producer.send([{ topic: platform.topic(topic), partition, key, value }])
}

async function freshet<T>(...args: string[]): Promise<T> {
  const { stdout, stderr } = await run(['dlq', ...args, '--json'])
  assert.notEqual(stdout, '', stderr)
  return JSON.parse(stdout) as T
}

function run(args: readonly string[]): Promise<{ code: number; stdout: string; stderr: string }> {
  const { kafka, registry: url, qdrant } = platform.urls
  const env = {
    ...process.env,
    FRESHET_KAFKA: kafka,
    FRESHET_REGISTRY: url,
    FRESHET_QDRANT_URL: qdrant,
    FRESHET_TOPIC_PREFIX: platform.scope.prefix,
    FRESHET_PARTITIONS: String(platform.partitions),
    FRESHET_ENGINE: 'hash',
  }
  return new Promise((resolve) => {
    execFile(process.execPath, ['cli/main.ts', ...args], { cwd: repositoryDir, env }, (error, stdout, stderr) =>
      resolve({ code: typeof error?.code === 'number' ? error.code : 0, stdout, stderr }),
    )
  })
}
