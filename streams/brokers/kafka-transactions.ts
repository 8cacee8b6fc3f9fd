import type { Producer as KafkaJsProducer, Transaction } from 'kafkajs'
import type { NewRecord, Position, TransactionalProducer } from '../broker.ts'
import { Retry } from '../errors.ts'
import { createClient, type KafkaOptions, type Log } from './kafka-client.ts'
import { asInstruction } from './kafka-errors.ts'
import { explicitPartitioner, parts, sendBatch } from './kafka-producer.ts'

/**
 * Guards K2 to K6: no `sendOffsets`, one transaction at a time, and after any doubt the producer is spent. Its transaction
 * is ended by whoever makes the next one of the same id, or by the broker after `timeoutMs`.
 */
export async function transactionalProducer(
  kafka: KafkaOptions & { readonly log: Log },
  id: string,
  { timeoutMs }: { timeoutMs: number },
): Promise<TransactionalProducer> {
  const client = createClient(kafka)
  const producer: KafkaJsProducer = client.kafka.producer({
    transactionalId: id,
    idempotent: true,
    maxInFlightRequests: 1,
    transactionTimeout: timeoutMs,
    allowAutoTopicCreation: false,
    createPartitioner: explicitPartitioner,
    retry: RETRY,
  })
  client.replaceSilent(producer)
  let spent: unknown = null
  /** kafkajs takes its epoch with the first transaction, so one is always begun ahead: that is what fences. */
  let next: Transaction
  try {
    await producer.connect()
    next = await producer.transaction()
  } catch (error) {
    client.destroy()
    throw asInstruction(error, `beginning transactions of ${id}`)
  }

  const commit = async (records: readonly NewRecord[]) => {
    const transaction = next
    const positions: Position[] = []
    for (const part of parts(records)) positions.push(...(await sendBatch(transaction, part)))
    await transaction.commit()
    next = await producer.transaction()
    return positions
  }

  return {
    async commit(records) {
      if (spent !== null) throw new Retry(`the producer of ${id} is spent`, { cause: spent })
      if (records.length === 0) return []
      spent = new Error('one transaction at a time')
      try {
        const positions = await commit(records)
        spent = null
        return positions
      } catch (error) {
        spent = error
        client.destroy()
        throw asInstruction(error, `a transaction of ${id}`)
      }
    },
    async close() {
      spent ??= new Error('the producer is closed')
      client.destroy()
    },
  }
}

/** Else each transaction waits 130-290 ms for the end of the one before (CONCURRENT_TRANSACTIONS). */
const RETRY = { initialRetryTime: 5, factor: 0, multiplier: 1.5, retries: 30, maxRetryTime: 1_000 }
