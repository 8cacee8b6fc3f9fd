import assert from 'node:assert/strict'
import { after, test } from 'node:test'
import { repositoryDir } from '../infra/local/settings.ts'
import { deadLetters, documents, inbox } from '../schemas/topics.ts'
import type { Topic } from '../streams/topic.ts'
import { atRest } from './at-rest.ts'
import { differences } from './oracle/platform-world.ts'
import { openPlatform, type Role } from './platform.ts'
import { startProcess } from './process.ts'
import { ownQdrant } from './qdrant-process.ts'
import { deadLettersOf } from './topic-records.ts'
import { until } from './until.ts'

const qdrant = await ownQdrant()
const platform = await openPlatform({ partitions: 2, qdrantUrl: qdrant.url })
after(async () => {
  await platform[Symbol.asyncDispose]()
  await qdrant[Symbol.asyncDispose]()
})
await qdrant.start()
const [worker, query] = await Promise.all([platform.worker(), platform.query()])
const client = await platform.client()
const producer = await platform.broker.producer()

const raw = (text: string) => ({ text, contentType: null, title: null, url: null, language: null, attributes: {} })
const put = (topic: Topic, key: string, value: Buffer | null) =>
  producer.send([{ topic: platform.topic(topic), partition: platform.partitionOf(key), key, value }])
const send = (key: string, text: string) => put(inbox, key, platform.serde.encode(inbox, raw(text)))
const nothing = { served: [], garbage: [] }

interface Health {
  readonly status: string
  readonly missing?: readonly string[]
  readonly states: readonly { name: string; subject: string; detail: string; since: string; advice: string }[]
}

async function health({ adminUrl }: Role): Promise<Health> {
  const response = await fetch(`${adminUrl}/health/ready`)
  const body = (await response.json()) as Health
  assert.equal(response.status, body.status === 'ready' ? 200 : 503)
  return body
}

const statesOf = async (role: Role): Promise<string[]> => [
  ...new Set((await health(role)).states.map(({ name }) => name)),
]

const inState = (role: Role, ...names: string[]) =>
  until(
    `${role.name} is in ${names.join() || 'no state'}`,
    async () => {
      const present = await statesOf(role)
      return present.sort().join() === names.sort().join() || `it is in ${present.join() || 'none'}`
    },
    60_000,
  )

test('both roles say that the index is out of reach, also without any work, and see it come back', async () => {
  await qdrant.stop('SIGKILL')

  await inState(worker, 'index-unreachable')
  await inState(query, 'index-unreachable')
  const metric = await query.metric('freshet_state', { state: 'index-unreachable', subject: 'query' })
  await until('neither is ready', async () =>
    (await Promise.all([health(worker), health(query)])).every(({ status }) => status === 'not ready'),
  )
  const { missing, states } = await health(query)
  await qdrant.start()
  await inState(worker)
  await inState(query)

  assert.equal(metric, 1)
  assert.match(missing![0]!, /^query: index-unreachable for \d+ s: /)
  assert.match(states[0]!.advice, /Start Qdrant/)
  assert.equal(await query.metric('freshet_state'), 0)
  assert.match(query.log(), /state index-unreachable begins[\s\S]*state index-unreachable ends/)
})

test('with the dead-letter topic gone a stage that needs it stops, skips nothing, says so, and goes on when it is back', async () => {
  const name = platform.topic(deadLetters)
  const config = await platform.broker.admin.topicConfig(name)
  await send('acme/good', 'A good text.')
  await atRest(platform)
  await platform.broker.admin.deleteTopics([name])

  await send('acme/bad', ' ')
  await send('acme/bad', 'And a good one after it, of the same key.')
  await inState(worker, 'dead-letters-unavailable')
  const during = await client.search({ query: 'good text', k: 5 })
  await platform.broker.admin.createTopics([
    { name, partitions: 1, replicationFactor: 1, config: { 'max.message.bytes': config['max.message.bytes']! } },
  ])
  await inState(worker)
  await atRest(platform)

  assert.deepEqual(
    during.hits.map(({ documentId }) => documentId),
    ['good'],
  )
  assert.equal((await deadLettersOf(platform)).length, 1)
  const { hits } = await client.search({ query: 'good text', k: 5 })
  assert.deepEqual(hits.map(({ documentId }) => documentId).sort(), ['bad', 'good'])
  assert.deepEqual(await differences(platform), nothing)
})

test('a documents that was created again is not touched before it is accepted, and then becomes the truth by itself', async () => {
  const { token } = await client.publish([{ id: 'old', text: 'Of the old topic.' }], { ack: 'indexed' })
  const name = platform.topic(documents)
  const config = await platform.broker.admin.topicConfig(name)
  const kept = ['cleanup.policy', 'min.compaction.lag.ms', 'delete.retention.ms', 'message.timestamp.type']
  await platform.broker.admin.deleteTopics([name])
  await platform.broker.admin.createTopics([
    {
      name,
      partitions: 2,
      replicationFactor: 1,
      config: Object.fromEntries(kept.map((setting) => [setting, config[setting]!])),
    },
  ])

  await inState(worker, 'source-recreated')
  await inState(query, 'source-recreated')
  await send('acme/new', 'Of the new topic.')
  await assert.rejects(client.publish([{ id: 'x', text: 'Not now.' }]), { code: 'unavailable' })
  const written = (await platform.broker.admin.offsets(name)).map(({ end }) => end)
  const found = await client.search({ query: 'old topic' })
  const shown = await freshet('epoch')
  const accepted = await freshet('epoch', '--accept', '--json')
  await inState(worker)
  await inState(query)
  const published = await client.publish([{ id: 'door', text: 'By the door.' }], { ack: 'indexed' })
  await atRest(platform)

  assert.deepEqual(written, [0, 0])
  assert.equal(found.hits[0]?.documentId, 'old')
  assert.equal(found.asOf.complete, false)
  assert.match(shown, /was deleted and created again[\s\S]*freshet epoch --accept/)
  assert.equal(JSON.parse(accepted).epoch, 2)
  assert.notEqual(published.token, token)
  await assert.rejects(client.search({ query: 'x', freshness: { after: token } }), { code: 'position_expired' })
  const { hits } = await client.search({ query: 'topic', k: 10 })
  assert.deepEqual(hits.map(({ documentId }) => documentId).sort(), ['door', 'new'])
})

/** What the command writes, whatever its exit code. */
async function freshet(...args: string[]): Promise<string> {
  const env = {
    FRESHET_KAFKA: platform.urls.kafka,
    FRESHET_REGISTRY: platform.urls.registry,
    FRESHET_TOPIC_PREFIX: platform.scope.prefix,
    FRESHET_PARTITIONS: '2',
  }
  const command = startProcess('freshet', process.execPath, ['cli/freshet.js', ...args], { cwd: repositoryDir, env })
  await command.ended
  return command.log()
}
