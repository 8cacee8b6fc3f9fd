import assert from 'node:assert/strict'
import { test } from 'node:test'
import { erase, processor, put } from '../streams/processor.ts'
import { testDriver } from '../streams/test-driver.ts'
import { topic } from '../streams/topic.ts'

// This file is the example in ARCHITECTURE.md; `docs.test.ts` compares the two.
const schema = { type: 'record', name: 'Text', fields: [{ name: 'text', type: 'string' }] }
const shape = { schema, partitions: 1, keyed: true, config: {} }
const texts = topic<{ text: string }>({ name: 'texts', about: 'What people wrote.', ...shape })
const shouts = topic<{ text: string }>({ name: 'shouts', about: 'The same, louder.', ...shape })

const shoutTexts = processor<{ mark: string }>({
  name: 'shout-texts',
  from: [texts],
  to: [shouts],
  batch: { recordsMax: 100, bytesMax: 1024 * 1024 },
  onReject: 'erase',
  async process({ records }, { mark }) {
    return records.map(({ key, value }) => {
      if (value === null) return { publish: [erase(shouts, key)] }
      const { text } = value as { text: string }
      if (text.trim() === '') return { reject: 'text: is empty; send some text' }
      return { publish: [put(shouts, key, { text: text.toUpperCase() + mark })] }
    })
  },
})

test('an empty text is a dead letter and a tombstone, and the next text goes through', async () => {
  await using driver = await testDriver(shoutTexts, { mark: '!' })

  await driver.pipe({ key: 'a', value: { text: ' ' } }, { key: 'b', value: { text: 'hello' } })

  assert.deepEqual(await driver.rejected(), [{ key: 'a', reason: 'text: is empty; send some text' }])
  const texted = (await driver.records(shouts)).map(({ key, value }) => [key, (value as { text: string } | null)?.text])
  assert.deepEqual(Object.fromEntries(texted), { a: undefined, b: 'HELLO!' })
})
