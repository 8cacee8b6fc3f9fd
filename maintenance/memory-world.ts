import type { MemoryPipeline } from '../processors/memory-pipeline.ts'
import type { Clock } from '../streams/clock.ts'
import type { AuditWorld } from './world.ts'

/** The world of an audit of the pipeline in memory. Its clock moves when the audit waits, and `meanwhile` happens then. */
export async function memoryWorld(
  { driver, index }: Pick<MemoryPipeline, 'driver' | 'index'>,
  { partitions, meanwhile = async () => {} }: { partitions: number; meanwhile?: () => Promise<void> },
): Promise<AuditWorld> {
  const producer = await driver.broker.producer()
  const clock: Clock = {
    now: driver.now,
    async wait(ms) {
      await meanwhile()
      await driver.advance(ms)
    },
  }
  const { broker, serde, scope } = driver
  return {
    broker,
    contents: index.contents,
    serde,
    scope,
    partitions,
    epoch: 1,
    check: async () => {},
    clock,
    send: (records) => producer.send(records),
  }
}
