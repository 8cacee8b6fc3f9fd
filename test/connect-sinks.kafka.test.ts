import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import type { Receipt } from '../schemas/records.ts'
import { connectDeadLetters, indexed } from '../schemas/topics.ts'
import { atRest } from './at-rest.ts'
import { applied, configured, stackConnect } from './connectors.ts'
import { openPlatform } from './platform.ts'
import { NO_POSTGRES, postgresPrograms, startPostgres } from './postgres.ts'
import { deadLettersOf, recordsOf } from './topic-records.ts'
import { until } from './until.ts'

const platform = await openPlatform()
const folder = mkdtempSync(join(tmpdir(), 'freshet-sinks-'))
const own = `sink-${randomBytes(4).toString('hex')}`
const made: string[] = []
after(async () => {
  for (const name of made) await stackConnect().delete(name)
  await platform[Symbol.asyncDispose]()
  rmSync(folder, { recursive: true, force: true })
})
await Promise.all([platform.worker(), platform.query()])
const client = await platform.client()
const topics = {
  topics: platform.topic(indexed),
  'errors.deadletterqueue.topic.name': platform.topic(connectDeadLetters),
}

const apply = async (name: string, of: string, changes: Record<string, string>) => {
  made.push(name)
  await applied(configured(of, name, changes))
}

test('lines that are appended to a file are records of a topic', async () => {
  const file = join(folder, 'lines.txt')
  const topic = `${platform.scope.prefix}lines`
  writeFileSync(file, 'one\ntwo\n')

  await apply(`${own}-lines`, 'file-source', { file, topic })

  const read = { ...indexed, name: 'lines' }
  await until('the topic is there', async () =>
    (await platform.broker.admin.topics()).some(({ name }) => name === topic),
  )
  await until('both lines are there', async () => (await recordsOf(platform, read)).length === 2)
  assert.deepEqual(
    (await recordsOf(platform, read)).map(({ value }) => String(value)),
    ['one', 'two'],
  )
})

test('receipts are lines of a file', async () => {
  const file = join(folder, 'receipts.txt')
  await client.publish([{ id: 'filed', text: 'The bittern booms.' }])
  await atRest(platform)

  await apply(`${own}-file`, 'file-sink', { ...topics, file })

  await until('the receipt is written', () => readable(file).includes('outcome=indexed'))
})

test('receipts are rows, one for each document, with its latest revision', {
  skip: postgresPrograms() === null && NO_POSTGRES,
}, async () => {
  await using postgres = await startPostgres()
  const secrets = join(folder, 'secrets.properties')
  writeFileSync(secrets, `pg.password=${postgres.password}\n`, { mode: 0o600 })
  for (let round = 0; round < 3; round++)
    for (let i = 0; i < 10; i++) await client.publish([{ id: `row-${i}`, text: `Round ${round} of row ${i}.` }])
  await client.publish([{ id: 'row-3', delete: true }])
  await atRest(platform)

  await apply(`${own}-rows`, 'receipts-to-postgres', {
    ...topics,
    'connection.url': `jdbc:postgresql://127.0.0.1:${postgres.port}/postgres`,
    'connection.password': `\u0024{file:${secrets}:pg.password}`,
  })

  const latest = new Map<string, string>()
  for (const { key, value } of await recordsOf(platform, indexed)) {
    const receipt = (await platform.serde.decode(indexed, value!)) as Receipt
    latest.set(String(key), [key, receipt.presentOffset, receipt.presentDeleted ? 't' : 'f'].join(' '))
  }
  const wanted = [...latest.values()].sort()
  const rows = () =>
    postgres.sql('select document_key, revision, deleted from freshet_receipts').then(
      (all) => all.map((row) => row.join(' ')).sort(),
      () => [],
    )
  await until(
    'every receipt is a row',
    async () => (await rows()).join() === wanted.join() || (await rows()).join('\n'),
  )
  assert.equal((await rows()).length, 11)
  await stackConnect().delete(made.pop()!)
})

test('bytes that a sink cannot read are one dead letter of that connector, and the next record goes through', async () => {
  const topic = `${platform.scope.prefix}foreign`
  const file = join(folder, 'foreign.txt')
  const name = `${own}-foreign`
  await platform.broker.admin.createTopics([{ name: topic, partitions: 1, replicationFactor: 1, config: {} }])
  const producer = await platform.broker.producer()
  const send = (key: string, value: Buffer) => producer.send([{ topic, partition: 0, key, value, headers: {} }])
  await send('acme/bad', Buffer.from('these are no bytes of a registry'))
  await send('acme/good', (await recordsOf(platform, indexed)).find(({ value }) => value !== null)!.value!)

  await apply(name, 'file-sink', { ...topics, topics: topic, file })

  await until('the letter is there', async () => (await deadLettersOf(platform)).length > 0)
  await until('the sound one is written', () => readable(file).includes('outcome=indexed'))
  const [letter, ...others] = await deadLettersOf(platform)
  assert.deepEqual(others, [])
  assert.deepEqual(
    [letter!.stage, letter!.topic, letter!.offset, String(letter!.key)],
    [`connect/${name}`, topic, 0, 'acme/bad'],
  )
  assert.equal(String(letter!.value), 'these are no bytes of a registry')
  await producer.close()
})

function readable(file: string): string {
  try {
    return readFileSync(file, 'utf8')
  } catch {
    return ''
  }
}
