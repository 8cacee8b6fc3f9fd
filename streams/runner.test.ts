import assert from 'node:assert/strict'
import { test } from 'node:test'
import { memoryBroker } from './brokers/memory.ts'
import { virtualClock } from './clock.ts'
import { Retry, StartOver } from './errors.ts'
import { silent } from './observer.ts'
import { processor } from './processor.ts'
import { localRegistry } from './registry.ts'
import { groupOf, runProcessor } from './runner.ts'
import { avroSerde } from './serde.ts'
import { type AvroSchema, topic } from './topic.ts'

const schema: AvroSchema = { type: 'record', name: 'Text', fields: [{ name: 'text', type: 'string' }] }
const source = topic<{ text: string }>({ name: 'source', about: '', schema, partitions: 1, keyed: true, config: {} })
const letters = topic({ name: 'letters', about: '', schema, partitions: 1, keyed: false, config: {} })
const scope = { prefix: '', space: 'es_test' }

test('a task that starts over while its group rebalances is started once, and an unwell world ends no stage', async () => {
  const broker = memoryBroker()
  const clock = virtualClock()
  const serde = avroSerde(localRegistry(), scope)
  await broker.admin.createTopics(
    [source, letters].map(({ name, config }) => ({ name, partitions: 1, replicationFactor: 1, config })),
  )
  await serde.register([source])
  let starts = 0
  let handled = 0
  const failures: Error[] = []
  const reading = processor<object>({
    name: 'read-source',
    from: [source],
    to: [],
    batch: { recordsMax: 10, bytesMax: 10_000 },
    onReject: 'nothing',
    async start() {
      // The start of the rebalance finds the world unwell, after another has had the time to begin.
      if (++starts !== 2) return null
      await turns(200)
      throw new Retry('the index did not answer')
    },
    async process({ records }) {
      if (handled === 0 && records.length > 0 && starts === 1) throw new StartOver('a doubt')
      handled += records.length
      return records.map(() => ({ publish: [] }))
    },
  })
  let rebalanced = false
  const admin = {
    ...broker.admin,
    async committed(group: string, name: string) {
      if (!rebalanced) {
        rebalanced = true
        const on = { assigned: async () => 0, fetched() {}, revoked() {}, failed() {} }
        const other = await broker.consumeGroup({ group: groupOf(scope, reading), topics: [source.name], on })
        await other.close()
        await turns(20)
      }
      return broker.admin.committed(group, name)
    },
  }
  const runner = await runProcessor(
    reading,
    {},
    {
      broker: { ...broker, admin },
      serde,
      scope,
      partitions: 1,
      deadLetters: letters as never,
      clock,
      observer: silent,
      failed: (error) => failures.push(error),
    },
  )

  const producer = await broker.producer()
  await producer.send([{ topic: 'source', partition: 0, key: 'a', value: serde.encode(source, { text: 'a' }) }])
  for (let i = 0; i < 100 && handled === 0; i++) {
    await turns(30)
    clock.advance(500)
  }

  assert.deepEqual([failures, rebalanced, handled], [[], true, 1])
  await runner.close()
})

const turns = async (count: number): Promise<void> => {
  for (let i = 0; i < count; i++) await new Promise((resolve) => setImmediate(resolve))
}
