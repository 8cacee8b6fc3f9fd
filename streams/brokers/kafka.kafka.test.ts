import { randomUUID } from 'node:crypto'
import { brokerContract } from './contract.ts'
import { kafkaBroker } from './kafka.ts'

const address = process.env.FRESHET_KAFKA ?? `127.0.0.1:${Number(process.env.FRESHET_PORT_BASE ?? 18_000) + 92}`

brokerContract('Kafka', async () => {
  const broker = kafkaBroker({ brokers: [address], clientId: 'contract' })
  const names: string[] = []
  return {
    broker,
    uniqueTopic(prefix) {
      const name = `${prefix}-${randomUUID()}`
      names.push(name)
      return name
    },
    async cleanup() {
      await broker.admin.deleteTopics(names)
      await broker.close()
    },
  }
})
