import type { Broker } from '../broker.ts'
import { kafkaAdmin } from './kafka-admin.ts'
import type { KafkaOptions } from './kafka-client.ts'
import { consumeGroup } from './kafka-group.ts'
import { producer } from './kafka-producer.ts'
import { tail } from './kafka-tail.ts'
import { transactionalProducer } from './kafka-transactions.ts'

/**
 * Kafka behind the broker port. kafkajs 2.2.4 does connections, encoding and producing; reading and group membership are ours,
 * on its connections, below its consumer: most of what its consumer does wrong (the guards named K in the comments, one for
 * each fault that was found) cannot happen then. Nothing connects before it is used.
 */
export function kafkaBroker({ brokers, clientId, log = () => {} }: KafkaOptions): Broker {
  const kafka = { brokers, clientId, log }
  const admin = kafkaAdmin(kafka)
  const open = new Set<{ close(): Promise<void> }>()

  const opened = async <T extends { close(): Promise<void> }>(opening: Promise<T>): Promise<T> => {
    const one = await opening
    open.add(one)
    return one
  }

  return {
    admin,
    producer: () => opened(producer(kafka)),
    transactionalProducer: (id, options) => opened(transactionalProducer(kafka, id, options)),
    consumeGroup: (options) => opened(consumeGroup(kafka, options)),
    tail: (options) => opened(tail(kafka, options)),
    async close() {
      await Promise.allSettled([...open].map((one) => one.close()))
      admin.close()
    },
  }
}
