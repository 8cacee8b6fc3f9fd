import assert from 'node:assert/strict'
import { test } from 'node:test'
import { memoryBroker } from './brokers/memory.ts'
import { bury } from './burial.ts'

const letter = { topic: 'dead-letters', partition: 0, key: 'a', value: null }

test('that the topic is gone is said before a producer is asked, which would hold up whoever sends behind it', async () => {
  const broker = memoryBroker({})
  const asked: string[] = []
  const producer = {
    async send() {
      asked.push('send')
      return new Promise<never>(() => {})
    },
    async close() {},
  }

  const burial = bury([letter], 'dead-letters', broker, producer)

  await assert.rejects(burial, { name: 'Retry', state: 'dead-letters-unavailable' })
  assert.deepEqual(asked, [])
})
