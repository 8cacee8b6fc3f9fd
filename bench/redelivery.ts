import { setTimeout as delay } from 'node:timers/promises'
import { documents as documentsTopic, vectors } from '../schemas/topics.ts'
import type { BenchContext } from './bench.ts'
import { paragraphs } from './corpus.ts'
import type { Platform } from './platform.ts'
import type { Figure } from './report.ts'

/**
 * The same documents for the first time, produced again (by a worker that remembers their vectors, and by one that has just
 * started), and the whole log delivered again because the groups' offsets were set back.
 */
export async function redelivery({ rounds, documents, open, say }: BenchContext): Promise<Figure[]> {
  const values = { first: [] as number[], warm: [] as number[], cold: [] as number[], reset: [] as number[] }
  const again = { produced: [] as number[], reset: [] as number[] }
  const corpus = paragraphs(documents + WARM_UP)
  for (let round = 1; round <= rounds; round++) {
    await using platform = await open('redelivery')
    const all = corpus.map((document, i) => platform.record(`document-${i}`, document))
    await produced(platform, all.slice(0, WARM_UP))
    const records = all.slice(WARM_UP)
    const first = await produced(platform, records)
    const warm = await produced(platform, records)
    await platform.stopWorker()
    await platform.startWorker()
    await produced(platform, all.slice(0, WARM_UP))
    const cold = await produced(platform, records)
    const reset = await deliveredAgain(platform, WARM_UP * 2 + records.length * 3)
    values.first.push(first.perS)
    values.warm.push(warm.perS / first.perS)
    values.cold.push(cold.perS / first.perS)
    values.reset.push(reset.perS / first.perS)
    again.produced.push((100 * (warm.embedded + cold.embedded)) / (2 * first.embedded))
    again.reset.push((100 * reset.embedded) / first.embedded)
    say(
      `round ${round}: first ${first.perS.toFixed(0)}/s, again ${warm.perS.toFixed(0)}/s and ${cold.perS.toFixed(0)}/s, offsets set back ${reset.perS.toFixed(0)}/s`,
    )
  }
  return [
    { name: 'first delivery', unit: 'documents/s', values: values.first },
    { name: 'produced again, vectors cached', unit: '× the first', values: values.warm, aim: { atLeast: 3 } },
    { name: 'produced again, worker restarted', unit: '× the first', values: values.cold, aim: { atLeast: 3 } },
    { name: 'offsets set back', unit: '× the first', values: values.reset, aim: { atLeast: 20 } },
    { name: 'embedded again when produced again', unit: '%', values: again.produced, aim: { below: 5 } },
    { name: 'embedded again when offsets are set back', unit: '%', values: again.reset, aim: { below: 5 } },
  ]
}

const WARM_UP = 200

async function produced(platform: Platform, records: Parameters<Platform['produce']>[0]) {
  const before = platform.receipts.count
  const embeddedBefore = await embedded(platform)
  const began = performance.now()
  await platform.produce(records)
  const ended = await platform.receipts.reached(before + records.length)
  return { perS: (records.length * 1_000) / (ended - began), embedded: (await embedded(platform)) - embeddedBefore }
}

const embedded = (platform: Platform) => platform.metric('freshet_chunks_total', { from: 'model' })

/** Both groups begin at the start of their logs; it ends when both stages have handled everything again. */
async function deliveredAgain(platform: Platform, records: number) {
  await platform.stopWorker()
  const { admin } = platform.broker
  for (const topic of [documentsTopic, vectors].map(platform.topic)) {
    const stage = topic === platform.topic(documentsTopic) ? 'embed-documents' : 'index-vectors'
    const group = `${platform.scope.prefix}freshet.${stage}.${platform.scope.space}`
    const offsets = await admin.offsets(topic)
    await admin.resetCommitted(
      group,
      offsets.map(({ partition, start }) => ({ topic, partition, offset: start })),
    )
  }
  const began = platform.startWorker()
  const handled = async () => {
    const [embed, index] = await Promise.all(
      ['embed-documents', 'index-vectors'].map((processor) => platform.metric('freshet_records_total', { processor })),
    )
    return Math.min(embed!, index!)
  }
  // The worker is ready a moment after its groups have their partitions, so its first records are missed: they do not count.
  let first: { count: number; atMs: number } | null = null
  for (;;) {
    const count = await handled().catch(() => 0)
    const atMs = performance.now()
    if (count > 0) first ??= { count, atMs }
    if (first !== null && count >= records) {
      await began
      return { perS: ((count - first.count) * 1_000) / (atMs - first.atMs), embedded: await embedded(platform) }
    }
    await delay(10)
  }
}
