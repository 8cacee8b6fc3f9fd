import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Fence } from '../processors/fence.ts'
import { memoryPipeline } from '../processors/memory-pipeline.ts'
import type { Redo } from '../schemas/records.ts'
import { documents, redo } from '../schemas/topics.ts'
import { localRegistry } from '../streams/registry.ts'
import { avroSerde } from '../streams/serde.ts'
import { redoRecord } from './redo.ts'

const scope = { prefix: '', space: 'es_test' }
const serde = avroSerde(localRegistry(), scope)
await serde.register([redo])

const derivationOver = async (present: Fence | null): Promise<number> => {
  const again = { key: 'acme/a', revision: { epoch: 1, offset: 7 }, present, value: null, why: 'repair' }
  const { value } = redoRecord(again, { serde, scope, partitions: 4 })
  return ((await serde.decode(redo, value!)) as Redo).derivation
}

test('a revision that is derived again gets a derivation above the one that the index has', async () => {
  assert.equal(await derivationOver({ epoch: 1, offset: 7, derivation: 0 }), 1)
  assert.equal(await derivationOver({ epoch: 1, offset: 7, derivation: 4 }), 5)
})

test('where the index has an older revision, or none, the first derivation after the normal one is enough', async () => {
  assert.equal(await derivationOver({ epoch: 1, offset: 3, derivation: 9 }), 1)
  assert.equal(await derivationOver(null), 1)
})

test('the value goes along byte for byte', async () => {
  const again = {
    key: 'acme/a',
    revision: { epoch: 1, offset: 7 },
    present: null,
    value: Buffer.from('as it was'),
    why: 'replay',
  }

  const { value, key } = redoRecord(again, { serde, scope, partitions: 4 })

  const record = (await serde.decode(redo, value!)) as Redo
  assert.deepEqual([key, record.document], ['acme/a', Buffer.from('as it was')])
})

test('a document that ends the process when it is derived again becomes one dead letter and is deleted with the reason; others are derived', async () => {
  await using run = await memoryPipeline({ from: 'documents', partitions: 1 })
  const { driver, index, engine } = run
  const document = (text: string) => ({ title: null, text, url: null, language: null, attributes: {}, cleaning: 'c1' })
  const keys = ['acme/a', 'acme/bomb', 'acme/c']
  await driver.pipe(...keys.map((key) => ({ key, value: document(`The text of ${key}.`) })))
  const embed = engine.embed.bind(engine)
  const embedsOrDies: typeof embed = (texts, options) =>
    texts.some((text) => text.includes('bomb')) ? new Promise(() => {}) : embed(texts, options)
  Object.assign(engine, { embed: embedsOrDies })
  const manifests = () => new Map(index.copy().manifests)
  const stored = driver.broker.records(documents.name)

  await driver.pipe(
    ...keys.map((key, offset) => {
      const again = {
        key,
        revision: { epoch: 1, offset },
        present: manifests().get(key)!.fence,
        value: stored[offset]!.value,
      }
      const { value, headers } = redoRecord(
        { ...again, why: 'repair' },
        { serde: driver.serde, scope: driver.scope, partitions: 1 },
      )
      return { topic: redo, key, bytes: value!, headers: headers as Record<string, string> }
    }),
  )
  for (let i = 0; i < 10 && (await driver.rejected()).length === 0; i++) await driver.crash()
  await driver.advance(1_000)

  assert.deepEqual(
    (await driver.rejected()).map(({ key }) => key),
    ['acme/bomb'],
  )
  const { deleted, rejected, fence } = manifests().get('acme/bomb')!
  assert.deepEqual([deleted, fence], [true, { epoch: 1, offset: 1, derivation: 1 }])
  assert.match(rejected!, /^the process ended 3 times while it worked on this record alone/)
  const others = keys.filter((key) => key !== 'acme/bomb')
  assert.deepEqual(
    others.map((key) => manifests().get(key)!.fence.derivation),
    [1, 1],
  )
  assert.deepEqual([...new Set(index.served().map(({ key }) => key))].sort(), others)
})
