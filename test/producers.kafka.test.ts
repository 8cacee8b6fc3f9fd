import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { delimiter, join } from 'node:path'
import { after, test } from 'node:test'
import { localSettings, repositoryDir } from '../infra/local/settings.ts'
import { setUp } from '../infra/local/setup.ts'
import { deadLetters, documents } from '../schemas/topics.ts'
import { partitionOf } from '../streams/partitioner.ts'
import { openPlatform } from './platform.ts'
import { deadLettersOf, recordsOf } from './topic-records.ts'
import { until } from './until.ts'

/** The examples of docs/producers.md, as they are, on the real platform. */
const { toolsDir, dataDir } = localSettings(process.env)
const tools = setUp({
  toolsDir,
  tools: ['kafka', 'connect', 'test-python'],
  logDir: join(dataDir, 'logs'),
  signal: new AbortController().signal,
  report: () => {},
})
const platform = await openPlatform()
after(() => platform[Symbol.asyncDispose]())
await Promise.all([platform.worker(), platform.query()])
const client = await platform.client()

const examples = join(repositoryDir, 'docs', 'examples')
const vectorsFile = join(examples, 'partitioner-vectors.json')
const { vectors } = JSON.parse(readFileSync(vectorsFile, 'utf8')) as { vectors: { key: string }[] }
const keys = vectors.map(({ key }) => key).filter((key) => key.startsWith('acme/'))

const jars = (folder: string) => join(folder, '*')
const programs = [
  {
    by: 'python',
    command: async () => [join(await tools['test-python'], 'bin', 'python'), join(examples, 'producer.py')],
  },
  { by: 'node', command: async () => [process.execPath, join(examples, 'producer.js')] },
  {
    by: 'java',
    command: async () => {
      const classPath = [jars(await tools.kafka), jars(join(await tools.connect, 'avro'))].join(delimiter)
      return ['java', '-cp', classPath, join(examples, 'Producer.java')]
    },
    last: [vectorsFile],
  },
] satisfies readonly { by: string; command: () => Promise<string[]>; last?: string[] }[]

for (const { by, command, last = [] } of programs)
  test(`the example in ${by} writes documents that are found, in the partitions of their keys, and deletes one`, async () => {
    const [program = '', ...args] = await command()
    const { kafka, registry } = platform.urls

    const places = await output(program, [
      ...args,
      kafka,
      registry,
      platform.topic(documents),
      platform.tenant,
      ...last,
    ])

    // librdkafka tells of them in the order of its partitions.
    assert.deepEqual(places.map(({ key }) => key).sort(), [...keys, keys.at(-1)].sort())
    const stored = await recordsOf(platform, documents)
    for (const { key, partition, offset } of places) {
      assert.equal(partition, partitionOf(key, platform.partitions), key)
      assert.ok(
        stored.some((each) => String(each.key) === key && each.partition === partition && each.offset === offset),
      )
    }
    const kept = keys.slice(0, -1).map((key) => key.slice('acme/'.length))
    await until(`what ${by} wrote is found, and nothing else`, async () => {
      const { hits } = await client.search({ query: 'booms calls dances', k: 100 })
      const found = hits.map(({ documentId, attributes }) => `${documentId} ${attributes.by}`).sort()
      const wanted = kept.map((id) => `${id} ${by}`).sort()
      return JSON.stringify(found) === JSON.stringify(wanted) || `found ${found.join(', ')}`
    })
    assert.deepEqual(await deadLettersOf(platform), [])
  })

test('a record in another partition than that of its key is exactly one dead letter, which names the partitioner', async () => {
  const key = 'acme/misplaced'
  const fields = { title: null, url: null, language: null, attributes: {}, acl: null, cleaning: '' }
  const value = platform.serde.encode(documents, { ...fields, text: 'It lies in the wrong place.' })
  const producer = await platform.broker.producer()

  const partition = (platform.partitionOf(key) + 1) % platform.partitions
  await producer.send([{ topic: platform.topic(documents), key, value, partition }])
  await producer.close()

  await until('there is a dead letter', async () => (await recordsOf(platform, deadLetters)).length > 0)
  const [letter, ...others] = await deadLettersOf(platform)
  assert.deepEqual(
    [letter?.class, String(letter?.key), letter?.partition, others.length],
    ['partition', key, partition, 0],
  )
  assert.match(letter!.reason, /murmur2.*partitioner=murmur2_random/)
})

interface Place {
  readonly key: string
  readonly partition: number
  readonly offset: number
}

async function output(program: string, args: readonly string[]): Promise<Place[]> {
  const child = spawn(program, args, { cwd: repositoryDir, timeout: EXAMPLE_MS_MAX })
  const [printed, faults]: Buffer[][] = [[], []]
  child.stdout.on('data', (chunk: Buffer) => printed!.push(chunk))
  child.stderr.on('data', (chunk: Buffer) => faults!.push(chunk))
  const [code] = await once(child, 'close')
  if (code !== 0) throw new Error(`${args[0]} ended with exit code ${code}:\n${Buffer.concat(faults!)}`)
  const lines = Buffer.concat(printed!).toString('utf8').trim().split('\n')
  return lines.map((line) => JSON.parse(line) as Place)
}

const EXAMPLE_MS_MAX = 60_000
