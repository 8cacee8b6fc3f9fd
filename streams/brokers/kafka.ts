import type { Broker } from '../broker.ts'
import { kafkaAdmin } from './kafka-admin.ts'
import type { KafkaOptions } from './kafka-client.ts'
import { openGroup } from './kafka-group.ts'
import { producer } from './kafka-producer.ts'
import { readRange } from './kafka-read.ts'
import { tail } from './kafka-tail.ts'
import { transactionalProducer } from './kafka-transactions.ts'

/**
 * Kafka behind the broker port. kafkajs 2.2.4 does connections, encoding and producing; reading and group membership are ours,
 * on its connections, below its consumer: most of what its consumer does wrong (the guards named K in the comments, one for
 * each fault that was found) cannot happen then. Nothing connects before it is used.
 */
export function kafkaBroker(options: KafkaOptions): Broker {
  const kafka = { log: () => {}, ...options }
  const admin = kafkaAdmin(kafka)
  const open = new Set<{ close(): Promise<void> }>()

  /** Closed with the broker, if it was not before. */
  const kept = <T extends { close(): Promise<void> }>(one: T): T => {
    const close = one.close.bind(one)
    open.add(one)
    return Object.assign(one, {
      close() {
        open.delete(one)
        return close()
      },
    })
  }

  return {
    admin,
    producer: async () => kept(await producer(kafka)),
    transactionalProducer: async (id, options) => kept(await transactionalProducer(kafka, id, options)),
    async consumeGroup(options) {
      const { consumer, joined } = await openGroup(kafka, options)
      kept(consumer)
      await joined
      return consumer
    },
    tail: async (options) => kept(await tail(kafka, options)),
    read: (range) => readRange(kafka, range),
    async close() {
      await Promise.allSettled([...open].map((one) => one.close()))
      admin.close()
    },
  }
}
