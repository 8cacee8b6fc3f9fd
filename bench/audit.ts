import { setTimeout as delay } from 'node:timers/promises'
import { connectQdrant } from '../connectors/qdrant/client.ts'
import { spaceOf } from '../connectors/qdrant/collection.ts'
import { qdrantContents } from '../connectors/qdrant/contents.ts'
import { audit as auditNow } from '../maintenance/audit.ts'
import { systemClock } from '../streams/clock.ts'
import { confluentRegistry } from '../streams/registry.ts'
import { avroSerde } from '../streams/serde.ts'
import type { BenchContext } from './bench.ts'
import { paragraphs } from './corpus.ts'
import { shortTexts } from './latency.ts'
import type { Platform } from './platform.ts'
import { type Figure, percentile } from './report.ts'
import { usageOf } from './usage.ts'

/**
 * A whole audit at full speed: documents and points per second. Then the worker with its continuous audit at the default rate,
 * always under way, in turn with one that audits nothing: CPU while idle, and publish → searchable.
 */
export async function audit({ rounds, documents, stack, open, say }: BenchContext): Promise<Figure[]> {
  const noted = new Map<string, Figure & { values: number[] }>()
  const note = (name: string, unit: string, value: number) => {
    const figure = noted.get(name) ?? { name, unit, values: [] }
    figure.values.push(value)
    noted.set(name, figure)
  }
  const corpus = paragraphs(Math.min(documents, DOCUMENTS_MAX))
  for (let round = 1; round <= rounds; round++) {
    const sides = {
      'with the audit': { FRESHET_AUDIT_EVERY_MS: '1000' },
      without: { FRESHET_AUDIT_POINTS_PER_SECOND_MAX: '0' },
    }
    for (const [side, env] of Object.entries(sides)) {
      await using platform = await open('audit', env)
      await platform.produce(corpus.map((document, i) => platform.record(`document-${i}`, document)))
      await platform.receipts.reached(corpus.length)
      await delay(SETTLE_MS)
      const pids = { worker: platform.pids.worker, qdrant: stack.part('qdrant').pid! }
      const before = Object.entries(pids).map(([name, pid]) => ({ name, pid, cpuS: usageOf(pid).cpuS }))
      const points = await platform.metric('freshet_audit_points_total')
      const began = performance.now()
      await delay(IDLE_MS)
      const seconds = (performance.now() - began) / 1_000
      for (const { name, pid, cpuS } of before)
        note(`${name}, idle, ${side}`, '% of a core', (100 * (usageOf(pid).cpuS - cpuS)) / seconds)
      const read = (await platform.metric('freshet_audit_points_total')) - points
      if ((side === 'without') !== (read === 0)) throw new Error(`${side}: the worker's audit read ${read} points`)
      const ms = await latencies(platform, round)
      for (const percent of [50, 95]) note(`publish → searchable, p${percent}, ${side}`, 'ms', percentile(ms, percent))
      if (side === 'without') await wholeAudit(platform, stack, note)
      say(`round ${round}, ${side}: p50 ${percentile(ms, 50).toFixed(1)} ms`)
    }
  }
  return [...noted.values()].sort((a, b) => (a.name < b.name ? -1 : 1))
}

async function latencies(platform: Platform, round: number): Promise<number[]> {
  const texts = shortTexts(WARM_UP + SAMPLES)
  const ms: number[] = []
  for (const [i, text] of texts.entries()) {
    await delay(PAUSE_MS + (i % 7) * 5)
    const began = performance.now()
    await platform.client.publish([{ id: `short-${i}`, text: `${round} ${text}` }], { ack: 'indexed' })
    if (i >= WARM_UP) ms.push(performance.now() - began)
  }
  return ms
}

async function wholeAudit(
  { broker, scope, partitions }: Platform,
  stack: BenchContext['stack'],
  note: (name: string, unit: string, value: number) => void,
): Promise<void> {
  const qdrant = connectQdrant({ url: stack.urls.qdrant })
  const collection = `${scope.prefix}${scope.space}`
  const { id: space } = await spaceOf(qdrant, collection)
  const cpu = () => process.cpuUsage().user + process.cpuUsage().system
  const before = { own: cpu(), qdrant: usageOf(stack.part('qdrant').pid!).cpuS }
  const report = await auditNow({
    broker,
    contents: qdrantContents(qdrant, { collection, space }),
    serde: avroSerde(confluentRegistry(`${stack.urls.registry}/apis/ccompat/v7`), scope),
    scope,
    partitions,
    epoch: 1,
    clock: systemClock,
    check: async () => {},
    send: async () => Promise.reject(new Error('nothing is to be repaired')),
  })
  if (!report.inSync) throw new Error(`not in sync: ${JSON.stringify(report.kinds)} ${report.behind}`)
  const { points, records, seconds } = report.cost
  note('whole audit, documents', 'per s', report.documents / seconds)
  note('whole audit, points', 'per s', points / seconds)
  const cpuMs = (cpu() - before.own) / 1_000 + (usageOf(stack.part('qdrant').pid!).cpuS - before.qdrant) * 1_000
  note('whole audit, CPU per 1,000 points, Qdrant counted', 'ms', cpuMs / (points / 1_000))
  note('whole audit, points and records read', '', points + records)
}

const DOCUMENTS_MAX = 1_000
const SETTLE_MS = 4_000
const IDLE_MS = 10_000
const WARM_UP = 20
const SAMPLES = 80
const PAUSE_MS = 60
