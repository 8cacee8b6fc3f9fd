import assert from 'node:assert/strict'
import { after, test } from 'node:test'
import { stackConnect } from './connectors.ts'
import { NO_POSTGRES, postgresPrograms } from './postgres.ts'
import { openPostgresLive } from './postgres-live.ts'
import { deadLettersOf } from './topic-records.ts'

const skip = postgresPrograms() === null ? NO_POSTGRES : false
const live = skip
  ? null
  : await openPostgresLive({
      before: `insert into notes (id, title, text) select g, 'Note ' || g, 'The bittern of row ' || g || ' booms.' from generate_series(1, 50) g;`,
    })
after(() => live?.[Symbol.asyncDispose]())

test('the rows that a table has when it is connected are found', { skip }, async () => {
  await live!.equal()

  const { hits } = await (await live!.platform.client()).search({ query: 'bittern of row 7', k: 50 })

  assert.ok(hits.some(({ documentId, text }) => documentId === '7' && text === 'The bittern of row 7 booms.'))
})

test('an insert, an update, a delete and a change of the primary key reach the index', { skip }, async () => {
  await live!.postgres.sql(`
    insert into notes (id, title, text) values (9007199254740993, 'Long', 'An id beyond a double.');
    update notes set text = 'The curlew of row 3 calls.' where id = 3;
    delete from notes where id = 4;
    update notes set id = 1005 where id = 5;`)

  await live!.equal()

  assert.equal((await live!.postgres.sql('select count(*) from notes'))[0]![0], '50')
})

test('a table that gets another column goes on', { skip }, async () => {
  await live!.postgres.sql(`
    alter table notes add column url text default 'https://example.test/';
    insert into notes (id, title, text) values (2001, 'Evolved', 'The ruff dances.');
    alter table notes drop column url;
    insert into notes (id, title, text) values (2002, 'Shrunk', 'The ruff rests.');`)

  await live!.equal()

  assert.deepEqual(await deadLettersOf(live!.platform), [])
})

test('a transaction of 5,000 rows arrives whole while the connector is started again', {
  skip,
}, async () => {
  await live!.postgres.sql(
    `insert into notes (id, title, text) select g, 'Bulk', 'Short row ' || g from generate_series(10001, 15000) g;`,
  )
  await stackConnect().restart(live!.connector, { all: true })
  await live!.postgres.sql(`update notes set text = 'Changed row ' || id where id between 10001 and 10100;`)

  await live!.equal()

  assert.deepEqual(await deadLettersOf(live!.platform), [])
})

test('a connector goes on where it was after PostgreSQL was started again', { skip }, async () => {
  await live!.postgres.restart()
  await live!.postgres.sql('delete from notes where id between 14901 and 15000;')

  await live!.equal()

  assert.deepEqual(await deadLettersOf(live!.platform), [])
})

test('a table of documents needs no mapping', { skip }, async () => {
  await using documents = await openPostgresLive({
    by: 'documents',
    before:
      "insert into notes (id, title, text) values (1, 'One', 'The bittern booms.'), (2, null, 'The ruff dances.');",
  })

  await documents.postgres.sql(
    "update notes set text = 'The curlew calls.' where id = 1; delete from notes where id = 2;",
  )

  await documents.equal()
})
