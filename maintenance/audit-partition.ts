import { BUCKETS } from '../processors/index-contents.ts'
import { confirm, type Judged } from './confirm.ts'
import { type DeepCheck, Sample } from './deep.ts'
import { type FaultKind, garbageOf, type Kind } from './findings.ts'
import { firstLook } from './first-look.ts'
import { LatestRevisions } from './latest-revisions.ts'
import { repairAll, type Todo } from './repair.ts'
import {
  type AuditWorld,
  type Bounds,
  type Cost,
  documentsIn,
  lowOf,
  offsetsOf,
  type Pace,
  RECORDS_PER_POINT,
} from './world.ts'

export interface PartitionOptions {
  readonly partition: number
  readonly bounds: Bounds
  readonly pace: Pace
  /** What is wrong is derived again, and garbage removed. */
  readonly repair: boolean
  /** What an older F made is derived again too. */
  readonly renew: boolean
  /** So many documents are derived again and compared. */
  readonly deep: { readonly documents: number; readonly check: DeepCheck } | null
  readonly signal: AbortSignal
  /** Each difference, once it is certain, and once more when it is repaired or could not be. */
  found(finding: Finding): void
  /** Buckets that are done, of `BUCKETS`. */
  progress(buckets: number): void
}

export interface Finding {
  readonly kind: Kind
  readonly partition: number
  /** Empty where points do not say whose they are. */
  readonly key: string
  readonly detail: string
  readonly state: 'found' | 'repaired' | 'left'
  /** Points of garbage; 1 for everything else. */
  readonly count: number
}

export interface PartitionReport {
  readonly partition: number
  /** Every position up to this is compared; null: the index is behind it. */
  readonly asOf: number | null
  /** How far behind; null: it is not. */
  readonly behind: string | null
  readonly documents: number
  readonly chunks: number
  /** Buckets whose digests were not the same at the first look. */
  readonly differing: number
  /** Points without a payload that are told as part of a document's fault. */
  readonly emptied: readonly string[]
  readonly cost: Cost
}

/** An audit of one partition, while both sides change. It says nothing of a document that it has not seen to be wrong in one moment. */
export async function auditPartition(world: AuditWorld, options: PartitionOptions): Promise<PartitionReport> {
  const { partition, bounds, signal } = options
  await world.check()
  const { end } = await offsetsOf(world, partition)
  const cost: Cost = { records: 0, bytes: 0, points: 0 }
  const report = { partition, documents: 0, chunks: 0, differing: 0, emptied: [] as string[], cost }
  const behind = await waitFor(world, partition, end - 1, bounds.waitMs, signal)
  if (behind !== null) return { ...report, asOf: null, behind }
  for (let from = 0; from < BUCKETS; ) {
    const pass = await auditPass(world, options, from, cost)
    from = pass.to
    report.documents += pass.documents
    report.chunks += pass.chunks
    report.differing += pass.differing
    report.emptied.push(...pass.emptied)
  }
  return { ...report, asOf: end - 1, behind: null }
}

/** As many buckets as fit into memory. */
async function auditPass(world: AuditWorld, options: PartitionOptions, first: number, cost: Cost) {
  const { partition, bounds, signal, repair, renew, pace, found, progress, deep } = options
  const read = async (points: number) => {
    cost.points += points
    await pace(points)
  }
  const { start, end } = await offsetsOf(world, partition)
  const latest = new LatestRevisions({
    broker: world.broker,
    topic: documentsIn(world.scope),
    partition,
    partitions: world.partitions,
    from: first,
    start,
    keysMax: bounds.keysMax,
    signal,
    async read(records, bytes) {
      cost.records += records
      cost.bytes += bytes
      await pace(records / RECORDS_PER_POINT)
    },
  })
  await latest.readTo(end)
  const points = await world.contents.count(partition)
  const width = Math.min(BUCKETS, Math.max(1, Math.floor((BUCKETS * bounds.slicePointsMax) / Math.max(1, points))))
  const todo: Todo[] = []
  const seen = { documents: 0, chunks: 0, differing: 0, emptied: [] as string[] }
  const tell = (kind: Kind, key: string, detail: string, state: Finding['state'], count = 1) =>
    found({ kind, partition, key, detail, state, count })
  const sample = new Sample(deep?.documents ?? 0)
  let from = first
  for (; from < latest.to; ) {
    signal.throwIfAborted()
    const slice = { partition, from, to: Math.min(from + width, latest.to) }
    const looked = await firstLook(world, { slice, latest, read })
    seen.documents += looked.documents
    seen.chunks += looked.chunks
    seen.differing += looked.differing
    for (const key of looked.serving) sample.offer(key)
    const context = { world, partition, latest, read }
    for await (const judged of confirm(context, looked.suspects)) {
      if (judged.fault !== null) {
        tell(judged.fault.kind, judged.key, judged.fault.detail, 'found')
        todo.push(todoOf(judged, judged.fault.kind, judged.fault.detail))
        seen.emptied.push(...judged.held.chunks.flatMap(({ id, payload }) => (payload === null ? [id] : [])))
      } else await collect(world, judged, repair, tell)
    }
    for (const { key, manifest } of looked.older) {
      tell('older', key, `was made by ${manifest.pipeline}`, 'found')
      const latestOf = latest.of(key)
      if (renew && latestOf !== null)
        todo.push({ kind: 'older', key, present: manifest.fence, latest: latestOf, detail: manifest.pipeline })
    }
    from = slice.to
    progress(from)
  }
  const context = { world, partition, latest, read }
  if (deep !== null && sample.keys.length > 0) {
    for await (const { judged, detail } of deep.check.differing(context, sample.keys)) {
      tell('corrupted', judged.key, detail, 'found')
      todo.push(todoOf(judged, 'corrupted', detail))
    }
  }
  const toRepair = repair || renew ? todo.filter(({ kind }) => (kind === 'older' ? renew : repair)) : []
  for await (const { kind, key, detail, left } of repairAll(context, toRepair.slice(0, bounds.repairsMax), {
    signal,
    waitMs: bounds.waitMs,
  }))
    tell(kind, key, left ?? detail, left === null ? 'repaired' : 'left')
  for (const { kind, key, detail } of toRepair.slice(bounds.repairsMax))
    tell(kind, key, `${detail}; more than ${bounds.repairsMax} repairs in one audit of a partition`, 'left')
  return { ...seen, to: from }
}

/** Garbage is removed at once: what was read together is as fresh as it can be. That of a document with a fault goes with its repair. */
async function collect(
  { contents }: AuditWorld,
  judged: Judged,
  repair: boolean,
  tell: (kind: Kind, key: string, detail: string, state: Finding['state'], count: number) => void,
): Promise<void> {
  const garbage = garbageOf(judged.held, judged.expected)
  if (garbage.length === 0) return
  const detail = `${garbage.length} chunks that nobody is shown, ${garbage[0]!.payload!.fence} the first`
  tell('garbage', judged.key, detail, 'found', garbage.length)
  if (!repair) return
  await contents.remove(garbage.map(({ id }) => id))
  tell('garbage', judged.key, detail, 'repaired', garbage.length)
}

const todoOf = ({ key, held, expected }: Judged, kind: FaultKind, detail: string): Todo => ({
  kind,
  key,
  detail,
  present: held.manifest?.fence ?? null,
  latest: expected.latest,
})

/** null once the index has the position; else how far it is. */
async function waitFor(
  world: AuditWorld,
  partition: number,
  offset: number,
  waitMs: number,
  signal: AbortSignal,
): Promise<string | null> {
  const deadline = world.clock.now() + waitMs
  for (;;) {
    signal.throwIfAborted()
    const low = await lowOf(world, partition)
    if (low >= offset) return null
    if (world.clock.now() >= deadline) return `the index has positions up to ${low} of ${offset}`
    await world.clock.wait(LOOK_EVERY_MS, signal)
  }
}

const LOOK_EVERY_MS = 200
