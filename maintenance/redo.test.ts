import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Fence } from '../processors/fence.ts'
import type { Redo } from '../schemas/records.ts'
import { redo } from '../schemas/topics.ts'
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
