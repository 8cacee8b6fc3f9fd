import type { ControlRecords } from '../processors/collections.ts'
import { control } from '../schemas/topics.ts'
import type { Broker } from '../streams/broker.ts'
import { nameIn } from '../streams/topic.ts'
import { addresses } from './connection.ts'

/** What `control` says now, by key. */
export async function controlNow(broker: Broker, prefix: string): Promise<ControlRecords> {
  const scope = { prefix, space: '' }
  const topics = await broker.admin.topics()
  if (!topics.some(({ name }) => name === nameIn(scope, control))) return new Map()
  // Loaded here, so that the other commands start faster.
  const { avroSerde } = await import('../streams/serde.ts')
  const { confluentRegistry } = await import('../streams/registry.ts')
  const { openTable } = await import('../streams/table.ts')
  const failure = Promise.withResolvers<never>()
  const serde = avroSerde(confluentRegistry(addresses().registry), scope)
  const table = await openTable(control, { broker, serde, scope, failed: failure.reject })
  try {
    await Promise.race([table.sync(), failure.promise])
    return new Map(table.entries())
  } finally {
    await table.close()
  }
}
