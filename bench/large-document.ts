import { setTimeout as delay } from 'node:timers/promises'
import { CHUNKS_MAX } from '../processors/embed-documents.ts'
import type { Document } from '../schemas/records.ts'
import { partitionOf } from '../streams/partitioner.ts'
import type { BenchContext } from './bench.ts'
import { longText } from './corpus.ts'
import { shortTexts } from './latency.ts'
import { ownEngine, type Platform, tenant } from './platform.ts'
import { type Figure, percentile } from './report.ts'

/** A document of as many chunks as are allowed, and short ones behind it in the same partition while it is at work. */
export async function largeDocument({ rounds, stack, open, say }: BenchContext): Promise<Figure[]> {
  const engine = await ownEngine(stack, 1)
  const text = longText(CHUNKS_MAX * 1_200)
  const chunks = await engine.split(text)
  await engine.close()
  const large = text.slice(0, chunks[Math.min(chunks.length, CHUNKS_MAX - 10) - 1]!.end)
  const texts = shortTexts(2_000)
  let used = 0
  const next = () => ({ ...plain, text: texts[used % texts.length]!, title: String(used++) })
  const values = { idle: [] as number[], idle95: [] as number[], behind: [] as number[], behind95: [] as number[] }
  const times: number[] = []
  const counts: number[] = []

  for (let round = 0; round < rounds; round++) {
    // A worker that has not seen the text: all of it is embedded.
    await using platform = await open('large-document')
    for (let i = 0; i < 20; i++) await through(platform, next(), 0)
    const idle: number[] = []
    for (let i = 0; i < 40; i++) {
      await delay(50)
      idle.push(await through(platform, next(), 0))
    }
    const began = performance.now()
    let done = false
    const whole = through(platform, { ...plain, text: large, title: null }, 0).finally(() => {
      done = true
    })
    const behind: number[] = []
    while (!done) {
      behind.push(await through(platform, next(), 0))
      await delay(50)
    }
    await whole
    times.push((performance.now() - began) / 1_000)
    counts.push(behind.length)
    values.idle.push(percentile(idle, 50))
    values.idle95.push(percentile(idle, 95))
    values.behind.push(percentile(behind, 50))
    values.behind95.push(percentile(behind, 95))
    say(`round ${round + 1}: ${behind.length} short documents while the large one took ${times.at(-1)!.toFixed(1)} s`)
  }
  return [
    { name: `the large document (${Math.min(chunks.length, CHUNKS_MAX - 10)} chunks)`, unit: 's', values: times },
    { name: 'short ones that passed it', unit: '', values: counts },
    { name: 'short one on an idle platform, p50', unit: 'ms', values: values.idle },
    { name: 'short one on an idle platform, p95', unit: 'ms', values: values.idle95 },
    { name: 'short one behind the large one, p50', unit: 'ms', values: values.behind },
    { name: 'short one behind the large one, p95', unit: 'ms', values: values.behind95 },
  ]
}

const plain = { url: null, language: null, attributes: {}, acl: null, cleaning: '' }

/** ms until its receipt is seen, by a document of this partition. */
async function through(platform: Platform, document: Document, partition: number): Promise<number> {
  let id = `p${++ids}`
  while (partitionOf(`${tenant}/${id}`, platform.partitions) !== partition) id = `p${++ids}`
  const record = platform.record(id, document)
  const began = performance.now()
  const [at] = await platform.produce([record])
  return (await platform.receipts.of(partition, at!.offset)).seenMs - began
}

let ids = 0
