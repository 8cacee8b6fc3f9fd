import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { indexed } from '../schemas/topics.ts'
import { atRest } from './at-rest.ts'
import { applied, configured, stackConnect } from './connectors.ts'
import { openPlatform } from './platform.ts'
import { NO_POSTGRES, postgresPrograms, startPostgres } from './postgres.ts'
import { receiptsOf, recordsOf } from './topic-records.ts'
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
  'errors.deadletterqueue.topic.name': `${platform.topic(indexed)}-dead`,
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

  const receipts = await recordsOf(platform, indexed)
  const latest = new Map(receipts.map(({ key }, i) => [String(key), i]))
  const values = await receiptsOf(platform)
  const wanted = [...latest]
    .map(([key, i]) => [key, values[i]!.presentOffset, values[i]!.presentDeleted ? 't' : 'f'].join(' '))
    .sort()
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

function readable(file: string): string {
  try {
    return readFileSync(file, 'utf8')
  } catch {
    return ''
  }
}
