import { hostname, userInfo } from 'node:os'
import { ensureTopics } from '../schemas/ensure-topics.ts'
import type { Control } from '../schemas/records.ts'
import { actions, control } from '../schemas/topics.ts'
import { loadConfig, workerConfig } from '../services/config.ts'
import { partitionOf } from '../streams/partitioner.ts'
import { nameIn } from '../streams/topic.ts'
import { withOutside } from './outside.ts'

/** `control`, for whoever may write to it by their rights in Kafka. */
export interface Administration {
  /** Who it is, for what is written down. */
  readonly by: string
  readonly control: ReadonlyMap<string, Control>
  /** Resolves when the decision is in every replica, and that it was made is in `actions`. null takes it back. */
  decide(subject: string, record: Partial<Control> | null, action: { what: string; detail?: string }): Promise<void>
}

export function administer<T>(work: (administration: Administration) => Promise<T>): Promise<T> {
  const { topicPrefix: prefix, partitions, replicationFactor } = loadConfig(workerConfig, { env: process.env })
  const scope = { prefix, space: '' }
  const by = `${userInfo().username}@${hostname()}`
  return withOutside(async (outside) => {
    const { broker } = outside
    const serde = outside.serde(scope)
    await serde.register([control, actions])
    await ensureTopics(broker.admin, { scope, partitions, replicationFactor }, [control, actions])
    const decided = await outside.controlNow(scope)
    const producer = await broker.producer()
    try {
      return await work({
        by,
        control: decided,
        async decide(subject, record, { what, detail = '' }) {
          const value = record === null ? null : serde.encode(control, record)
          const action = serde.encode(actions, { at: Date.now(), by, what, subject, detail })
          const at = (key: string, topic: typeof control | typeof actions) => ({
            topic: nameIn(scope, topic),
            partition: partitionOf(key, topic.partitions as number),
            key,
          })
          await producer.send([
            { ...at(subject, actions), value: action },
            { ...at(subject, control), value },
          ])
        },
      })
    } finally {
      await producer.close()
    }
  })
}
