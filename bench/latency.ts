import { setTimeout as delay } from 'node:timers/promises'
import type { BenchContext } from './bench.ts'
import { paragraphs } from './corpus.ts'
import { ownEngine } from './platform.ts'
import { type Figure, median, percentile } from './report.ts'

/**
 * One short document at a time on an idle platform: from `publish` to the answer that it can be found, in turn with the
 * embedding of the same text alone. The stages are from the receipts.
 */
export async function latency({ rounds, stack, open, say }: BenchContext): Promise<Figure[]> {
  await using platform = await open('latency')
  const engine = await ownEngine(stack, 1)
  const texts = shortTexts(rounds * SAMPLES + WARM_UP)
  const stages = Object.fromEntries(stageNames.map((name) => [name, [] as number[]]))
  const quantiles: Record<number, number[]> = { 50: [], 95: [], 99: [] }
  const excess: number[] = []
  const alone: number[] = []

  const once = async (i: number) => {
    // Commits and watermarks of the one before are done.
    await delay(PAUSE_MS + (i % 7) * 5)
    const began = performance.now()
    const { documents } = await platform.client.publish([{ id: `short-${i}`, text: texts[i]! }], { ack: 'indexed' })
    const doneMs = performance.now() - began
    const { receipt } = await platform.receipts.of(documents[0]!.partition, documents[0]!.offset)
    const embedding = performance.now()
    await engine.embed([texts[i]!], { as: 'document' })
    return { doneMs, embedMs: performance.now() - embedding, timings: receipt.timings }
  }
  for (let i = 0; i < WARM_UP; i++) await once(i)
  for (let round = 0; round < rounds; round++) {
    const samples = []
    for (let i = 0; i < SAMPLES; i++) samples.push(await once(WARM_UP + round * SAMPLES + i))
    const done = samples.map(({ doneMs }) => doneMs)
    for (const percent of [50, 95, 99]) quantiles[percent]!.push(percentile(done, percent))
    alone.push(median(samples.map(({ embedMs }) => embedMs)))
    excess.push(median(samples.map(({ doneMs, embedMs }) => doneMs - embedMs)))
    for (const [i, name] of stageNames.entries()) {
      const from = i === 0 ? 'appended' : ends[i - 1]!
      stages[name]!.push(mean(samples.map(({ timings }) => timings[ends[i]!]! - timings[from]!)))
    }
    say(`round ${round + 1}: p50 ${median(done).toFixed(1)} ms`)
  }
  await engine.close()
  return [
    { name: 'publish → searchable, p50', unit: 'ms', values: quantiles[50]! },
    { name: 'publish → searchable, p95', unit: 'ms', values: quantiles[95]! },
    { name: 'publish → searchable, p99', unit: 'ms', values: quantiles[99]! },
    { name: 'embedding alone, p50', unit: 'ms', values: alone },
    { name: 'excess over embedding, p50', unit: 'ms', values: excess, aim: { below: 30 } },
    ...stageNames.map((name) => ({ name, unit: 'ms', values: stages[name]! })),
  ]
}

/** Means, since the receipts count whole milliseconds. */
const stageNames = ['appended → received', 'received → embedded', 'embedded → written', 'written → applied']
const ends = ['received', 'embedded', 'written', 'applied']
const mean = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0) / values.length

const SAMPLES = 100
const WARM_UP = 30
const PAUSE_MS = 60

/** At most 64 tokens each: 30 words of real text. */
export function shortTexts(count: number): string[] {
  return paragraphs(count).map(({ text }, i) => `${i} ${text.split(/\s+/).slice(0, 30).join(' ')}`)
}
