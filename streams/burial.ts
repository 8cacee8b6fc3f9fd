import type { Broker, NewRecord, Producer } from './broker.ts'
import { Fatal, Reject, Retry } from './errors.ts'

/**
 * Puts dead letters where they belong, or rejects with `Retry` in the state dead-letters-unavailable, whatever the broker
 * has against them: a record is never passed over because its letter cannot be kept. Their topic is asked for first: a producer
 * tries for half a minute, with everything behind it that others send, before it says that a topic is not there. Without a
 * producer the letters go with a transaction, and that is all.
 */
export async function bury(
  letters: readonly NewRecord[],
  topic: string,
  broker: Pick<Broker, 'admin'>,
  producer: Producer | null,
): Promise<void> {
  try {
    await broker.admin.offsets(topic)
    await producer?.send(letters)
  } catch (error) {
    const expected = error instanceof Retry || error instanceof Reject || error instanceof Fatal
    if (!expected || (error instanceof Retry && error.state === 'kafka-unreachable')) throw error
    throw new Retry(`${letters.length} dead letters cannot be put into ${topic}`, {
      cause: error,
      retryAfterMs: 500,
      state: 'dead-letters-unavailable',
    })
  }
}
