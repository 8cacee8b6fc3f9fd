import { randomUUID } from 'node:crypto'
import kafkajs from 'kafkajs'
import { brokerContract } from './contract.ts'
import { kafkaBroker } from './kafka.ts'
import { createClient } from './kafka-client.ts'
import { sendBatch } from './kafka-producer.ts'
import { ADDRESS } from './kafka-test-address.ts'

brokerContract('Kafka', async () => {
  const options = { brokers: [ADDRESS], clientId: 'contract' }
  const broker = kafkaBroker(options)
  const names: string[] = []
  return {
    broker,
    uniqueTopic(prefix) {
      const name = `${prefix}-${randomUUID()}`
      names.push(name)
      return name
    },
    async truncate({ topic, partition, offset }) {
      const client = createClient(options)
      const admin = client.kafka.admin()
      try {
        await admin.connect()
        await admin.fetchTopicOffsets(topic)
        await admin.deleteTopicRecords({ topic, partitions: [{ partition, offset: String(offset) }] })
      } finally {
        client.destroy()
      }
    },
    async abandon(id, records) {
      const client = createClient(options)
      const producer = client.kafka.producer({
        transactionalId: id,
        idempotent: true,
        maxInFlightRequests: 1,
        createPartitioner: kafkajs.Partitioners.DefaultPartitioner,
      })
      await producer.connect()
      await sendBatch(await producer.transaction(), records)
      client.destroy()
    },
    async cleanup() {
      await broker.admin.deleteTopics(names)
      await broker.close()
    },
  }
})
