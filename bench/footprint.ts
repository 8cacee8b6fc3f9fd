import { setTimeout as delay } from 'node:timers/promises'
import type { BenchContext } from './bench.ts'
import { paragraphs } from './corpus.ts'
import type { Figure } from './report.ts'
import { usageOf } from './usage.ts'

/** Memory and CPU of every process: idle for a while after start, under load, and idle again. */
export async function footprint({ rounds, documents, stack, open, say }: BenchContext): Promise<Figure[]> {
  const figures = new Map<string, { unit: string; values: number[] }>()
  const note = (name: string, unit: string, value: number) => {
    if (!figures.has(name)) figures.set(name, { unit, values: [] })
    figures.get(name)!.values.push(value)
  }
  const corpus = paragraphs(documents)
  await using platform = await open('footprint')
  const pids: Record<string, number> = { ...platform.pids }
  for (const part of ['kafka', 'registry', 'qdrant']) pids[part] = stack.part(part).pid!
  for (let round = 1; round <= rounds; round++) {
    await delay(SETTLE_MS)
    const before = usages(pids)
    const began = performance.now()
    await delay(IDLE_MS)
    const seconds = (performance.now() - began) / 1_000
    for (const [name, { cpuS, rssMiB }] of Object.entries(usages(pids))) {
      note(`${name}, idle, CPU`, '% of a core', (100 * (cpuS - before[name]!.cpuS)) / seconds)
      note(`${name}, idle, memory`, 'MiB', rssMiB)
    }
    const most: Record<string, number> = {}
    const seen = platform.receipts.count
    const records = corpus.map((document, i) =>
      platform.record(`document-${i}`, { ...document, text: `${round} ${document.text}` }),
    )
    await platform.produce(records)
    let done = false
    const all = platform.receipts.reached(seen + records.length).then(() => {
      done = true
    })
    while (!done) {
      for (const [name, { rssMiB }] of Object.entries(usages(pids))) most[name] = Math.max(most[name] ?? 0, rssMiB)
      await delay(200)
    }
    await all
    for (const name of Object.keys(pids)) note(`${name}, under load, memory at most`, 'MiB', most[name]!)
    say(`round ${round}: worker ${most.worker!.toFixed(0)} MiB under load`)
  }
  return [...figures].sort(([a], [b]) => (a < b ? -1 : 1)).map(([name, { unit, values }]) => ({ name, unit, values }))
}

const usages = (pids: Readonly<Record<string, number>>) =>
  Object.fromEntries(Object.entries(pids).map(([name, pid]) => [name, usageOf(pid)]))

const SETTLE_MS = 3_000
const IDLE_MS = 30_000
