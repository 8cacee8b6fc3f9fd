import { embedDocuments } from '../../processors/embed-documents.ts'
import { indexVectors } from '../../processors/index-vectors.ts'
import { documents, vectors } from '../../schemas/topics.ts'
import type { Platform, Role } from '../platform.ts'
import { until } from '../until.ts'

/** Stages whose position is Kafka's committed offset, and what they read. */
export const stages = [
  [embedDocuments, documents],
  [indexVectors, vectors],
] as const

/** Resolves when the workers have handled all that is in the stages' topics: the work itself, not only the watermark, which the index remembers. */
export async function handled(
  { broker, topic: nameOf }: Platform,
  workers: readonly Role[],
  names: readonly string[] = stages.map(([{ name }]) => name),
): Promise<void> {
  const open = async (): Promise<true | string> => {
    for (const [{ name: stage }, topic] of stages.filter(([{ name }]) => names.includes(name))) {
      for (const { partition, end } of await broker.admin.offsets(nameOf(topic))) {
        const labels = { processor: stage, topic: nameOf(topic), partition: String(partition) }
        const lows = await Promise.all(workers.map((worker) => worker.metric('freshet_low_offset', labels)))
        if (Math.max(...lows) < end - 1) return `${stage} has ${Math.max(...lows)} of ${end} in partition ${partition}`
      }
    }
    return true
  }
  await until('everything is handled', open, HANDLED_MS_MAX)
}

const HANDLED_MS_MAX = 120_000
