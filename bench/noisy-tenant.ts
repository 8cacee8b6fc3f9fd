import { setTimeout as delay } from 'node:timers/promises'
import type { InboxDocument } from '../schemas/records.ts'
import { control, documents, inbox, indexed, sourceNamed } from '../schemas/topics.ts'
import type { Topic } from '../streams/topic.ts'
import type { BenchContext } from './bench.ts'
import { shortTexts } from './latency.ts'
import type { Platform } from './platform.ts'
import { type Figure, percentile } from './report.ts'

/**
 * What a tenant that sends ten times its quota to a source of its own does to how fresh the others are, who send to `inbox`: without it, with it at
 * its quota, and at ten times that, in turn. Then how near to the quota it was admitted, by ingest and by HTTP.
 */
export async function noisyTenant({ rounds, open, say }: BenchContext): Promise<Figure[]> {
  await using platform = await open('noisy', {
    FRESHET_SOURCES: flood.name,
    FRESHET_TENANT_DOCUMENTS_PER_SECOND: String(HTTP_QUOTA),
  })
  await using seen = await follow(platform)
  const texts = shortTexts(TEXTS)
  let sent = 0
  const textOf = () => `${++sent} ${texts[sent % texts.length]}`
  const ages: Record<Side, Record<50 | 95, number[]>> = {
    without: { 50: [], 95: [] },
    share: { 50: [], 95: [] },
    tenfold: { 50: [], 95: [] },
  }
  const accuracy = { ingest: [] as number[], http: [] as number[] }

  await quota(platform, QUOTA)
  await side('without', WARM_UP_MS)
  for (let round = 0; round < rounds; round++) {
    // Each comes first in its turn: what else the machine does may grow or shrink within a round.
    for (const name of [...sides.slice(round % 3), ...sides.slice(0, round % 3)]) {
      const { quiet, loud } = await side(name, SIDE_MS)
      for (const percent of [50, 95] as const) ages[name][percent].push(percentile(quiet, percent))
      if (name === 'tenfold') accuracy.ingest.push(100 * (loud / allowed(SIDE_MS) - 1))
      say(`round ${round + 1}, ${name}: p50 ${percentile(quiet, 50).toFixed(1)} ms, ${loud} of the loud one admitted`)
    }
  }
  const door = await platform.door()
  for (let round = 0; round < rounds; round++) {
    const { admitted, ms } = await burst(door.url, door.sign(`burst-${round}`))
    accuracy.http.push(100 * (admitted / (2 * HTTP_QUOTA + (HTTP_QUOTA * ms) / 1_000) - 1))
  }

  const ratio = (of: Side, percent: 50 | 95, to: Side = 'without') =>
    ages[of][percent].map((ms, i) => ms / ages[to][percent][i]!)
  const off = (values: readonly number[]) => values.map(Math.abs)
  return [
    ...sides.flatMap((name) =>
      ([50, 95] as const).map((percent) => ({
        name: `others, sent → indexed, p${percent}: ${inWords[name]}`,
        unit: 'ms',
        values: ages[name][percent],
      })),
    ),
    { name: 'p50 at ten times ÷ without', unit: '', values: ratio('tenfold', 50), aim: { below: 1.2 } },
    { name: 'p95 at ten times ÷ without', unit: '', values: ratio('tenfold', 95), aim: { below: 1.2 } },
    { name: 'p50 at ten times ÷ at its quota', unit: '', values: ratio('tenfold', 50, 'share'), aim: { below: 1.2 } },
    { name: 'p50 at its quota ÷ without', unit: '', values: ratio('share', 50) },
    { name: 'admitted by ingest, off the quota', unit: '%', values: off(accuracy.ingest), aim: { below: 5 } },
    { name: 'admitted over HTTP, off the quota', unit: '%', values: off(accuracy.http), aim: { below: 5 } },
  ]

  /** The others send one by one for so long; their ages, and how many of the loud one were in `documents` when the time was over. */
  async function side(name: Side, ms: number): Promise<{ quiet: number[]; loud: number }> {
    const perTick = { without: 0, share: QUOTA / 10, tenfold: QUOTA }[name]
    const began = performance.now()
    const loudBefore = seen.loud()
    let loudSent = 0
    const flooding = (async () => {
      for (let tick = 0; performance.now() - began < ms; tick++) {
        const due = Math.floor((tick + 1) * perTick) - loudSent
        const records = Array.from({ length: due }, (_, i) =>
          recordOf(platform, flood, `${LOUD}/${sent}-${tick}-${i}`, (loudSent + i) % platform.partitions, textOf()),
        )
        loudSent += due
        if (due > 0) await platform.produce(records)
        await delay(Math.max(0, began + (tick + 1) * 100 - performance.now()))
      }
    })()
    const quiet: Promise<number>[] = []
    for (let i = 0; performance.now() - began < ms; i++) {
      const key = `quiet-${i % QUIET}/${name}-${sent}`
      const at = performance.now()
      const known = seen.indexed(key)
      await platform.produce([recordOf(platform, inbox, key, i % platform.partitions, textOf())])
      quiet.push(known.then((seenMs) => seenMs - at))
      await delay(Math.max(0, began + (i + 1) * QUIET_EVERY_MS - performance.now()))
    }
    await flooding
    const loud = seen.loud() - loudBefore
    const ages = await Promise.all(quiet)
    // What is left of the flood is no part of the next side: it is let through, and the bucket is full again after that.
    if (name !== 'without') {
      await quota(platform, DRAIN_QUOTA)
      while (seen.loudIndexed() < loudBefore + loudSent) await delay(50)
      await quota(platform, QUOTA)
      await delay(REFILL_MS)
    }
    return { quiet: ages, loud }
  }
}

const sides = ['without', 'share', 'tenfold'] as const
type Side = (typeof sides)[number]
const inWords: Readonly<Record<Side, string>> = {
  without: 'without it',
  share: 'it sends its quota',
  tenfold: 'it sends ten times its quota',
}

const flood = sourceNamed('flood')
const LOUD = 'loud'
/** Documents a second. */
const QUOTA = 8
const DRAIN_QUOTA = 1_000_000
const HTTP_QUOTA = 20
const SIDE_MS = 10_000
const WARM_UP_MS = 5_000
/** Until the bucket is full, and what was decided is known. */
const REFILL_MS = 3_000
const QUIET = 4
const QUIET_EVERY_MS = 125
const HTTP_MS = 10_000
const TEXTS = 1_000

const allowed = (ms: number): number => 2 * QUOTA + (QUOTA * ms) / 1_000

const recordOf = (platform: Platform, to: Topic<InboxDocument>, key: string, partition: number, text: string) => ({
  topic: platform.topic(to),
  partition,
  key,
  value: platform.encode(to === flood ? inbox : to, { ...nothing, text }),
})

const nothing = { title: null, contentType: null, url: null, language: null, attributes: {}, acl: null }

async function quota(platform: Platform, documentsPerSecond: number): Promise<void> {
  const tenant = { documentsPerSecond, bytesPerSecond: null, embeddedTokensPerMinute: null, erasedAt: null }
  const value = platform.encode(control, { tenant } as never)
  await platform.produce([{ topic: platform.topic(control), partition: 0, key: `tenants/${LOUD}`, value }])
}

/** One document a request, ten times as many as the configured quota of the tenant allows. */
async function burst(url: string, headers: Record<string, string>): Promise<{ admitted: number; ms: number }> {
  const began = performance.now()
  const answers: Promise<boolean>[] = []
  let last = 0
  while (performance.now() - began < HTTP_MS) {
    const body = JSON.stringify({ documents: [{ id: `b-${answers.length}`, text: `Document ${answers.length}.` }] })
    last = performance.now()
    answers.push(
      fetch(`${url}/v1/documents`, { method: 'POST', headers, body }).then(async (answer) => {
        await answer.arrayBuffer()
        if (answer.status !== 200 && answer.status !== 429) throw new Error(`the door answered ${answer.status}`)
        return answer.status === 200
      }),
    )
    await delay(Math.max(0, began + (answers.length * 1_000) / (10 * HTTP_QUOTA) - performance.now()))
  }
  return { admitted: (await Promise.all(answers)).filter(Boolean).length, ms: last - began }
}

/** What is in `documents` of the loud one, and when each key is in the index. */
async function follow(platform: Platform) {
  let loud = 0
  let loudIndexed = 0
  const waiting = new Map<string, (ms: number) => void>()
  const failed = (error: Error) => {
    throw error
  }
  const ingested = await platform.broker.tail({
    topics: [platform.topic(documents)],
    from: 'start',
    failed,
    fetched({ records }) {
      for (const { key } of records) if (key?.toString().startsWith(`${LOUD}/`)) loud++
    },
  })
  const receipts = await platform.broker.tail({
    topics: [platform.topic(indexed)],
    from: 'start',
    failed,
    fetched({ records }) {
      const now = performance.now()
      for (const { key } of records) {
        const name = key!.toString()
        if (name.startsWith(`${LOUD}/`)) loudIndexed++
        waiting.get(name)?.(now)
        waiting.delete(name)
      }
    },
  })
  return {
    loud: () => loud,
    loudIndexed: () => loudIndexed,
    indexed: (key: string) => new Promise<number>((resolve) => waiting.set(key, resolve)),
    async [Symbol.asyncDispose]() {
      await Promise.all([ingested.close(), receipts.close()])
    },
  }
}
