import { setTimeout as delay } from 'node:timers/promises'
import type { Document } from '../schemas/records.ts'
import type { BenchContext } from './bench.ts'
import { paragraphs } from './corpus.ts'
import { type Followers, followersOf } from './followers.ts'
import type { Held } from './inspector.ts'
import type { Platform } from './platform.ts'
import { type Figure, Figures, percentile } from './report.ts'
import { touching } from './touching.ts'
import { cpuByThread, usageOf } from './usage.ts'

/**
 * Many standing queries beside one document after another that changes: how soon whoever follows is told, and what it costs the
 * query service, its memory too. What it would cost to ask all of them again at each change follows from what one evaluation costs.
 */
export async function standing({
  rounds,
  documents,
  standing: count,
  stack,
  open,
  say,
}: BenchContext): Promise<Figure[]> {
  await using platform = await open('standing', { FRESHET_STANDING_QUERIES_MAX: String(2 * count) })
  const texts = paragraphs(documents + rounds * CHANGES)
  const base = texts.slice(0, documents)
  const asked = wordsOf(base, count)
  const figures = new Figures()
  touching(figures, asked, base)
  await platform.produce(base.map((document, i) => platform.record(`base-${i}`, document)))
  await platform.receipts.reached(documents)
  const followers = followersOf(`ws://127.0.0.1:${stack.ports.query}/v1/ws`, OF_ONE_CONNECTION)

  const empty = await platform.queryHolds()
  await followers.connect(IDLE_CONNECTIONS)
  addHeld(figures, 'an idle connection', empty, await platform.queryHolds(), IDLE_CONNECTIONS)
  const steps = [0.25, 0.5, 1].map((part) => Math.round(count * part))
  for (const [i, upTo] of steps.entries()) {
    const from = steps[i - 1] ?? 0
    const [before, began, used] = [await platform.queryHolds(), performance.now(), costs(platform, stack)]
    await followers.subscribe(asked.slice(from, upTo), K)
    const more = upTo - from
    const seconds = (performance.now() - began) / 1_000
    const spent = less(costs(platform, stack), used)
    figures.add('start: snapshots', 'per s', more / seconds)
    figures.add('start: CPU of the query service for one, embedded and searched', 'ms', (1_000 * spent.query) / more)
    figures.add('start: CPU of its event loop for one', 'ms', (1_000 * spent.loop) / more)
    figures.add('start: CPU of Qdrant for one', 'ms', (1_000 * spent.qdrant) / more)
    addHeld(figures, `a standing query, ${from} to ${upTo}`, before, await platform.queryHolds(), more)
    say(`${upTo} standing queries, the last ${more} in ${seconds.toFixed(1)} s`)
  }
  for (let round = 0; round < rounds; round++) {
    const changes = texts.slice(documents + round * CHANGES).slice(0, CHANGES)
    const idle = await during(platform, stack, () => delay(IDLE_MS))
    figures.add('at rest: CPU of the query service', '% of a core', (100 * idle.query) / idle.seconds)
    figures.add('at rest: evaluations', 'per s', idle.evaluations / idle.seconds)
    const pushes: number[] = []
    const live = await during(platform, stack, async () => {
      pushes.push(...(await change(platform, followers, changes, round)))
      await atRest(platform)
    })
    const per = (value: number) => value / changes.length
    figures.add('pushes of a change', '', per(pushes.length))
    figures.add('in the index → told, p50', 'ms', percentile(pushes, 50))
    figures.add('in the index → told, p99', 'ms', percentile(pushes, 99))
    figures.add('evaluations of a change: touched', '', per(live.touched))
    figures.add('evaluations of a change: renewed beside it', '', per(live.evaluations - live.touched))
    figures.add('CPU of the query service for a changed chunk', 'ms', 1_000 * per(live.query))
    figures.add('CPU of its event loop for a changed chunk', 'ms', 1_000 * per(live.loop))
    figures.add('CPU of Qdrant for a changed chunk', 'ms', 1_000 * per(live.qdrant))
    const each = (1_000 * live.query) / live.evaluations
    figures.add('CPU of the query service for one evaluation', 'ms', each)
    figures.add('evaluations: all of them ÷ those that are made', '×', count / per(live.touched))
    figures.add('CPU: of all of them, computed ÷ what it is', '×', (count * each) / (1_000 * per(live.query)))
    say(
      `round ${round + 1}: ${per(live.touched).toFixed(0)} of ${count} touched by a change, p50 ${percentile(pushes, 50).toFixed(0)} ms`,
    )
  }
  figures.add('notices that hits may be stale', '', followers.notices)
  await followers.close()
  return figures.all()
}

/** Changes documents one after the other, evenly, each to a text that was never there; answers how long each push took from its receipt on. */
async function change(
  platform: Platform,
  followers: Followers,
  texts: readonly Document[],
  round: number,
): Promise<number[]> {
  const seen: { revision: string; seenMs: number }[] = []
  for (const [i, document] of texts.entries()) {
    const next = delay(EVERY_MS)
    const [position] = await platform.produce([platform.record(`base-${round * texts.length + i}`, document)])
    const { receipt, seenMs } = await platform.receipts.of(position!.partition, position!.offset)
    seen.push({ revision: `${receipt.epoch}:${receipt.offset}`, seenMs })
    await next
  }
  await atRest(platform)
  return seen.flatMap(({ revision, seenMs }) => followers.told(revision).map((at) => Math.max(0, at - seenMs)))
}

/** No standing query is behind, twice in a row. */
async function atRest(platform: Platform): Promise<void> {
  for (let quiet = 0; quiet < 2; ) {
    await delay(LOOK_MS)
    quiet = (await platform.queryMetric('freshet_standing_queries', { state: 'behind' })) === 0 ? quiet + 1 : 0
  }
}

type Costs = Readonly<Record<'query' | 'loop' | 'qdrant', number>>

/** Seconds of CPU so far. */
function costs({ pids }: Platform, stack: BenchContext['stack']): Costs {
  return {
    query: usageOf(pids.query).cpuS,
    loop: cpuByThread(pids.query).get('MainThread') ?? Number.NaN,
    qdrant: usageOf(stack.part('qdrant').pid!).cpuS,
  }
}

const less = (after: Costs, before: Costs): Costs => ({
  query: after.query - before.query,
  loop: after.loop - before.loop,
  qdrant: after.qdrant - before.qdrant,
})

async function during(platform: Platform, stack: BenchContext['stack'], work: () => Promise<void>) {
  const count = (why: string) => platform.queryMetric('freshet_standing_evaluation_seconds_count', { why })
  const counted = async () => ({ touched: await count('touched'), renewed: await count('renewed') })
  const [began, before, used] = [performance.now(), await counted(), costs(platform, stack)]
  await work()
  const after = await counted()
  const touched = after.touched - before.touched
  return {
    ...less(costs(platform, stack), used),
    seconds: (performance.now() - began) / 1_000,
    touched,
    evaluations: touched + after.renewed - before.renewed,
  }
}

/** What people type: two to five words of real texts, each query another one. */
function wordsOf(documents: readonly Document[], count: number): string[] {
  const found = new Set<string>()
  const words = documents.map(({ text }) =>
    text
      .replace(/[^\p{L}\p{N}\s]+/gu, ' ')
      .trim()
      .split(/\s+/),
  )
  for (let at = 0; found.size < count && at < 100; at++)
    for (const [i, each] of words.entries()) {
      const length = 2 + ((i + at) % 4)
      if (found.size < count && at * 5 + length <= each.length) found.add(each.slice(at * 5, at * 5 + length).join(' '))
    }
  if (found.size < count) throw new Error(`${documents.length} documents have ${found.size} queries, not ${count}`)
  return [...found]
}

/** What each of so many more takes. */
function addHeld(figures: Figures, what: string, before: Held, after: Held, more: number): void {
  for (const part of ['heap', 'buffers', 'rss'] as const)
    figures.add(`${what}: ${part}`, 'KiB', (after[part] - before[part]) / more / 1_024)
}

const K = 10
/** As many as the protocol lets one have. */
const OF_ONE_CONNECTION = 256
const IDLE_CONNECTIONS = 500
/** Of one round. */
const CHANGES = 12
const EVERY_MS = 2_000
const IDLE_MS = 10_000
const LOOK_MS = 100
