import { hostname, userInfo } from 'node:os'
import { ensureTopics } from '../schemas/ensure-topics.ts'
import { actions, control } from '../schemas/topics.ts'
import { type Administration, decidingFor } from '../services/administration.ts'
import { loadConfig, workerConfig } from '../services/config.ts'
import { withOutside } from './outside.ts'

/** With `control` as it is, for whoever may write to it by their rights in Kafka. */
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
        decide: decidingFor({ by, requestId: null }, { producer, serde, scope, now: Date.now }),
      })
    } finally {
      await producer.close()
    }
  })
}
