import { BUCKETS } from '../processors/index-contents.ts'
import { tokenOf } from '../search/freshness.ts'
import { auditPartition, type Finding, type PartitionReport } from './audit-partition.ts'
import type { DeepCheck } from './deep.ts'
import { faultKinds, type Kind, kinds } from './findings.ts'
import { type AuditWorld, atFullSpeed, type Bounds, type Cost, defaultBounds, type Pace } from './world.ts'

export interface AuditOptions {
  /** Default: all. */
  readonly partitions?: readonly number[]
  readonly repair?: boolean
  readonly renew?: boolean
  /** Which of the points without a payload are nobody's: default all, but none where only some partitions are audited, since they may be another's. */
  readonly strays?: (id: string) => boolean
  readonly deep?: { readonly documents: number; readonly check: DeepCheck }
  readonly bounds?: Partial<Bounds>
  readonly pace?: Pace
  readonly signal?: AbortSignal
  found?(finding: Finding): void
  /** The part that is done, 0 to 1. */
  progress?(share: number): void
}

export interface AuditReport {
  readonly collection: string
  /** Nothing is wrong any more, and nothing is behind. */
  readonly inSync: boolean
  /** What it is compared with: everything up to this token, of the partitions that are not behind. */
  readonly token: string
  readonly documents: number
  readonly chunks: number
  readonly differingBuckets: number
  readonly kinds: Readonly<Record<Kind, Counts>>
  /** Points without a payload that are left, the first of them. */
  readonly strays: readonly string[]
  /** Partitions that the index is behind in, in words. */
  readonly behind: readonly string[]
  readonly cost: Cost & { readonly seconds: number }
}

export interface Counts {
  readonly found: number
  readonly repaired: number
  /** Could not be repaired. */
  readonly left: number
  /** The first of those that are found, or where some are left, of these. */
  readonly examples: readonly string[]
}

/** Compares a collection with `documents` while both change, partition by partition, and repairs what it is told to. */
export async function audit(world: AuditWorld, options: AuditOptions = {}): Promise<AuditReport> {
  const { contents, clock, epoch } = world
  const { pace = atFullSpeed, signal = new AbortController().signal } = options
  const partitions = options.partitions ?? Array.from({ length: world.partitions }, (_, i) => i)
  const began = clock.now()
  const tally = new Tally()
  const found = (finding: Finding) => {
    tally.add(finding)
    options.found?.(finding)
  }
  await contents.prepare(world.partitions)
  const reports: PartitionReport[] = []
  for (const [i, partition] of partitions.entries()) {
    const report = await auditPartition(world, {
      partition,
      bounds: { ...defaultBounds, ...options.bounds },
      pace,
      repair: options.repair === true,
      renew: options.renew === true,
      deep: options.deep ? { ...options.deep, documents: Math.ceil(options.deep.documents / partitions.length) } : null,
      signal,
      found,
      progress: (buckets) => options.progress?.((i + buckets / BUCKETS) / partitions.length),
    })
    reports.push(report)
  }
  const emptied = new Set(reports.flatMap((report) => report.emptied))
  const { strays: isNobodys = () => options.partitions === undefined } = options
  const left = await strays(world, options.repair === true, (id) => !emptied.has(id) && isNobodys(id), found)
  const behind = reports.flatMap(({ partition, behind: how }) =>
    how === null ? [] : [`partition ${partition}: ${how}`],
  )
  const sum = (of: (report: PartitionReport) => number) => reports.reduce((total, report) => total + of(report), 0)
  return {
    collection: contents.collection,
    inSync: behind.length === 0 && tally.faultsOpen === 0,
    token: tokenOf({
      epoch,
      documents: Object.fromEntries(
        reports.flatMap(({ partition, asOf }) => (asOf === null ? [] : [[partition, asOf]])),
      ),
    }),
    documents: sum((report) => report.documents),
    chunks: sum((report) => report.chunks),
    differingBuckets: sum((report) => report.differing),
    kinds: tally.counts(),
    strays: left,
    behind,
    cost: {
      records: sum(({ cost }) => cost.records),
      bytes: sum(({ cost }) => cost.bytes),
      points: sum(({ cost }) => cost.points),
      seconds: (clock.now() - began) / 1_000,
    },
  }
}

/** Points that lost their payload; those of documents were told of, and left by their repair. Resolves with those that stay. */
async function strays(
  { contents }: AuditWorld,
  repair: boolean,
  isNobodys: (id: string) => boolean,
  found: (finding: Finding) => void,
): Promise<string[]> {
  const left: string[] = []
  for await (const page of contents.strays()) {
    const ids = page.filter(isNobodys)
    if (left.length < STRAYS_MAX) left.push(...(repair ? page.filter((id) => !isNobodys(id)) : page))
    if (ids.length === 0) continue
    const finding = {
      kind: 'garbage' as const,
      partition: -1,
      key: '',
      detail: `${ids.length} points that do not say what they are, ${ids[0]} the first`,
      count: ids.length,
    }
    found({ ...finding, state: 'found' })
    if (!repair) continue
    await contents.remove(ids)
    found({ ...finding, state: 'repaired' })
  }
  return left
}

const STRAYS_MAX = 1_000

/** Findings by kind. */
export class Tally {
  readonly #counts = new Map(kinds.map((kind) => [kind, { found: 0, repaired: 0, left: 0 }]))
  readonly #examples = new Map<string, string[]>()

  add({ kind, key, detail, state, count }: Finding): void {
    this.#counts.get(kind)![state] += count
    const examples = this.#examples.get(`${kind} ${state}`) ?? []
    if (examples.length < EXAMPLES_MAX) this.#examples.set(`${kind} ${state}`, [...examples, `${key}: ${detail}`])
  }

  /** Faults that were found and are not repaired. */
  get faultsOpen(): number {
    return faultKinds.reduce((sum, kind) => {
      const { found, repaired } = this.#counts.get(kind)!
      return sum + found - repaired
    }, 0)
  }

  counts(): Record<Kind, Counts> {
    const entries = [...this.#counts].map(([kind, counts]) => {
      const of = counts.left > 0 ? 'left' : 'found'
      return [kind, { ...counts, examples: this.#examples.get(`${kind} ${of}`) ?? [] }]
    })
    return Object.fromEntries(entries)
  }
}

const EXAMPLES_MAX = 5
