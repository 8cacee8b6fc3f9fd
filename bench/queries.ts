import type { BenchContext } from './bench.ts'
import { paragraphs, questions } from './corpus.ts'
import type { Platform } from './platform.ts'
import { type Figure, percentile } from './report.ts'

/** Searches one after the other, the three kinds in turn, over an index of this many short documents: idle, and while as many more are indexed. */
export async function queries({ rounds, documents, open, say }: BenchContext): Promise<Figure[]> {
  await using platform = await open('queries')
  const corpus = paragraphs(documents)
  const asked = questions(corpus, SEARCHES)
  await platform.produce(corpus.map((document, i) => platform.record(`base-${i}`, document)))
  await platform.receipts.reached(documents)
  await searches(platform, asked.slice(0, 50), () => false)
  const figures = new Map<string, number[]>()
  const note = (when: string, samples: Samples) => {
    for (const mode of modes) {
      for (const percent of [50, 99]) {
        const name = `${mode}, ${when}, p${percent}`
        figures.set(name, [...(figures.get(name) ?? []), percentile(samples[mode], percent)])
      }
    }
  }
  for (let round = 1; round <= rounds; round++) {
    note('idle', await searches(platform, asked, () => false))
    const before = platform.receipts.count
    // Another text each, so that all of it is embedded.
    const more = corpus.map((document, i) =>
      platform.record(`round-${round}-${i}`, { ...document, text: `${round} ${document.text}` }),
    )
    let done = false
    await platform.produce(more)
    const bulk = platform.receipts.reached(before + more.length).then(() => {
      done = true
    })
    const busy = await searches(platform, [...asked, ...asked, ...asked], () => done)
    note('while indexing', busy)
    say(`round ${round}: ${busy.hybrid.length * modes.length} searches while indexing`)
    await bulk
  }
  return [...figures].map(([name, values]) => ({ name, unit: 'ms', values }))
}

const modes = ['hybrid', 'dense', 'keyword'] as const
type Samples = Record<(typeof modes)[number], number[]>
const SEARCHES = 200

async function searches(platform: Platform, asked: readonly string[], enough: () => boolean): Promise<Samples> {
  const samples: Samples = { hybrid: [], dense: [], keyword: [] }
  for (const query of asked) {
    if (enough()) break
    for (const mode of modes) {
      const began = performance.now()
      await platform.client.search({ query, mode, k: 10 })
      samples[mode].push(performance.now() - began)
    }
  }
  return samples
}
