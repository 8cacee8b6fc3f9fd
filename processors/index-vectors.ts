import type { DocumentVectors, Receipt } from '../schemas/records.ts'
import { indexed, progress, vectors } from '../schemas/topics.ts'
import { NotOwner, Retry, StartOver } from '../streams/errors.ts'
import { epochIn, FIRST_EPOCH, laterLow, noLow } from '../streams/low.ts'
import { type Batch, type Input, type Outcome, processor, put, type StartAt } from '../streams/processor.ts'
import type { Place } from '../streams/start.ts'
import { compareFences, type Fence } from './fence.ts'
import { judge, type KeyPlan, planKey, type Revision } from './index-plan.ts'
import type { Standing } from './standing.ts'
import type { Compare, IndexRead, LeftChunks, Marker, VectorIndex } from './vector-index.ts'

export interface IndexPorts {
  readonly index: VectorIndex
  readonly now: () => number
  /** The last marker that this process read or wrote, by partition: where the index says less, it was restored from an older copy. */
  readonly markers: Map<number, Marker>
  readonly compare: Compare
  /** What the collection is for, where there may be several; without it, it serves. */
  readonly standing?: Standing
}

/**
 * Keeps one collection equal to `vectors`: the only writer of manifests, chunks and markers. A batch is: read, plan, write
 * chunks and manifests, read back, delete what is left over, marker, read that back; then receipts and progress; then the commit. Nothing
 * later begins before what comes before it is certain, so a crash at any point leads to a repetition that changes nothing.
 */
export const indexVectors = processor<IndexPorts>({
  name: 'index-vectors',
  from: [vectors],
  to: [indexed, progress],
  batch: { recordsMax: 64, bytesMax: 4 * 1024 * 1024 },
  onReject: 'nothing',
  watermark: {
    kind: 'published',
    record({ partition, state, now }, { index, markers, standing }) {
      const { collection } = index
      const { epoch, low, applied, written } = markers.get(partition)!
      const { receipts, behind, rejected } = standing?.told(partition) ?? ALONE
      return put(
        progress,
        `${collection}/${partition}`,
        {
          collection,
          partition,
          epoch: Math.max(epoch, FIRST_EPOCH),
          low,
          applied,
          at: now,
          state: state ?? 'following',
          receipts,
          behind,
          rejected,
          written,
        },
        {},
        0,
      )
    },
  },

  /** At the marker or the committed offset, whichever is lower: after a restored copy the first, after a crash before the receipts the second. */
  async start(at, { index, markers, standing }) {
    const { partition, stillOurs } = at
    const { marker, connection } = await index.read([], partition)
    if (!stillOurs()) throw new NotOwner(`partition ${partition} was given away while its marker was read`)
    // From here on it can only grow: less means an older copy, also before this task has written its first.
    if (marker === null) markers.delete(partition)
    else markers.set(partition, marker)
    const own = await placeOf(at, { marker, connection }, index, markers)
    const begin = standing === undefined ? own.offset : await standing.begin(at, own.offset)
    return begin < own.offset ? { ...own, offset: begin, at: 0 } : own
  },

  letters({ partition, rejected }, { standing }) {
    standing?.rejected(partition, rejected)
    return standing?.speaks(partition) ?? true
  },

  away: { compare: (compared, { compare }) => compare({ ...compared, follows: true }) },

  watch: {
    everyMs: 2_000,
    async check(partition, { index, markers, standing }) {
      standing?.check(partition)
      checkMarker((await index.read([], partition)).marker?.applied ?? -1, partition, markers)
      const written = markers.get(partition)?.written
      return written !== undefined && (standing?.isTalkedOver(partition, written) ?? false)
    },
  },

  async process(batch, ports) {
    const { standing } = ports
    await standing?.admit(batch)
    const sound = batch.records.map((record) => revisionOf(record, ports))
    const revisions = sound.filter((each): each is Read => 'fence' in each)
    const plans = await applyAll(revisions, batch, ports)
    standing?.applied(batch)
    const told = standing?.speaks(batch.partition) ?? true
    const outcomesByKey = new Map([...plans].map(([key, { outcomes }]) => [key, [...outcomes]]))
    return sound.map((each): Outcome => {
      if ('reject' in each) return each
      if (!told) return { publish: [] }
      const outcome = outcomesByKey.get(each.key)!.shift()!
      return {
        publish: [put(indexed, each.key, receipt(each, outcome, plans.get(each.key)!, ports), traceOf(each.input))],
      }
    })
  },
})

/** Of the only collection: all that is applied has its receipt. */
const ALONE = { receipts: null, behind: null, rejected: null }

/** Where the index and the group say. */
async function placeOf(
  { topicId, committed, committedAt, start, end }: StartAt,
  { marker, connection }: Pick<IndexRead, 'marker' | 'connection'>,
  index: VectorIndex,
  markers: Map<number, Marker>,
): Promise<Place> {
  if (marker === null) return { offset: Math.min(start, committed ?? start), at: 0 }
  if (marker.topicId !== topicId) {
    const reason = 'vectors.<space> is another topic than the one that the index was filled from'
    return { offset: start, at: 0, hold: { state: 'source-recreated', reason } }
  }
  const next = marker.applied + 1
  if (next > end) {
    // What is written from now on gets offsets that the marker counts as applied: it must not.
    const lowered = { ...marker, applied: end - 1, at: 0 }
    await index.settle([], lowered, marker, connection)
    markers.set(marker.partition, lowered)
    return { offset: next, at: 0 }
  }
  if (committed === null) return { offset: start, at: 0 }
  if (committed <= next) return { offset: committed, at: committedAt }
  return { offset: next, at: marker.at, gone: 'marker-behind-log' }
}

interface Read extends Revision {
  readonly input: Input
  readonly appended: number
}

function revisionOf(input: Input, { index }: IndexPorts): Read | { reject: string; class: 'schema' } {
  const value = input.value as DocumentVectors | null
  if (value !== null && value.space !== index.space) {
    return {
      reject: `space: is ${value.space}, and this collection holds ${index.space}; write to vectors.${value.space}`,
      class: 'schema',
    }
  }
  const [, offset, appended] = (input.headers.position ?? '').split(':').map(Number)
  if (value === null && (offset === undefined || !Number.isSafeInteger(offset))) {
    return {
      reject: `position: the header is ${JSON.stringify(input.headers.position ?? '')} and must be partition:offset:timestamp of the deleting record in documents`,
      class: 'schema',
    }
  }
  const fence: Fence =
    value === null
      ? { epoch: epochIn(input.headers), offset: offset!, derivation: Number(input.headers.derivation ?? 0) }
      : { epoch: value.epoch, offset: value.offset, derivation: value.derivation }
  return {
    key: input.key,
    partition: input.at.partition,
    fence,
    vectors: value,
    rejected: value === null ? (input.headers.reason ?? null) : null,
    input,
    appended: appended ?? 0,
  }
}

/** Applies the batch and the marker; resolves with what became of each key. */
async function applyAll(
  revisions: readonly Read[],
  batch: Batch,
  { index, markers, standing, now }: IndexPorts,
): Promise<Map<string, KeyPlan>> {
  // Who goes over to this collection later has seen a document's latest revision, and must not see the one that it is equal to.
  const whole = standing?.speaks(batch.partition) === false
  const byKey = Map.groupBy(revisions, ({ key }) => key)
  const plans = new Map<string, KeyPlan>()
  const left: LeftChunks[] = []
  let open = [...byKey.keys()]
  let before = undefined as Marker | null | undefined
  let connection: number | null = null
  // The index may be replaced at any moment, by a copy that has the very marker that was read: then it is another connection.
  const readSince = async (keys: readonly string[]) => {
    const read = await index.read(keys, batch.partition)
    connection ??= read.connection
    if (read.connection !== connection)
      throw new StartOver(`${index.collection} was connected anew in the midst of a batch: it may be another copy`)
    checkMarker(read.marker?.applied ?? -1, batch.partition, markers)
    if (before !== undefined && isOlderMarker(read.marker, before))
      throw new StartOver(
        `the marker of partition ${batch.partition} in ${index.collection} is an older one than when the batch began: it was restored`,
      )
    before = read.marker
    return read
  }
  for (let round = 1; round === 1 || open.length > 0; round++) {
    if (round > ROUNDS_MAX)
      throw new Retry(
        `another writer keeps changing ${open.length} manifests of ${index.collection}, ${open[0]} among them`,
      )
    const { manifests } = await readSince(open)
    for (const [i, key] of open.entries()) plans.set(key, planKey(byKey.get(key)!, manifests[i]!, whole))
    const writing = open.filter((key) => plans.get(key)!.write !== null)
    for (const key of open) if (plans.get(key)!.write === null) left.push(...plans.get(key)!.left)
    if (writing.length === 0) break
    batch.signal.throwIfAborted()
    await index.apply(
      writing.map((key) => plans.get(key)!.write!),
      connection!,
    )
    // A refused compare-and-set answers `completed` too: only reading back tells. One read must see the whole batch in place,
    // also what an earlier round wrote: the index may have been replaced between two of them.
    const keys = [...byKey.keys()]
    const seen = (await readSince(keys)).manifests
    open = keys.filter((key, i) => {
      const { write, left: leftOver, present } = plans.get(key)!
      const isWritten = writing.includes(key)
      const verdict = judge({ manifest: present }, seen[i]!)
      if (!isWritten) return verdict === 'again'
      if (verdict === 'written') {
        left.push(...leftOver)
        return false
      }
      if (write!.chunks !== null) left.push({ key, fence: write!.manifest.fence, count: write!.chunks.chunks.length })
      return true
    })
  }
  batch.signal.throwIfAborted()
  // What the index holds, it holds: a marker never says less because a batch is repeated.
  const marker: Marker = {
    partition: batch.partition,
    topicId: batch.topicId,
    applied: Math.max(batch.through, before?.topicId === batch.topicId ? before.applied : -1),
    // A watermark is about `documents`: one of an older epoch does not outlive it, one of another `vectors` does.
    ...laterLow(before ?? noLow, { epoch: batch.lowEpoch, low: batch.low }),
    at: batch.asOf,
    written: Math.max(now(), Math.max(before?.written ?? 0, standing?.written(batch.partition) ?? 0) + 1),
  }
  await index.settle(
    left.filter(({ key, fence }) => !isServed(fence, plans.get(key)!)),
    marker,
    before ?? null,
    connection!,
  )
  if (batch.signal.aborted) return plans
  // Refused, where it is another owner's, or was written by an earlier request of ours: what it would have said is not to be published.
  const there = (await index.read([], batch.partition)).marker
  if (!isSameMarker(there, marker))
    throw new StartOver(
      `the marker of partition ${batch.partition} in ${index.collection} is not the one that was written`,
    )
  // Given away meanwhile, perhaps to another task of this process: what that one has seen is later.
  if (!batch.signal.aborted) markers.set(batch.partition, marker)
  return plans
}

const isServed = (fence: Fence, { present }: KeyPlan): boolean =>
  present.content !== null && compareFences(present.content, fence) === 0

const isSameMarker = (a: Marker | null, b: Marker | null): boolean =>
  a === null || b === null
    ? a === b
    : a.written === b.written && a.applied === b.applied && a.epoch === b.epoch && a.low === b.low && a.at === b.at

/** Each write of a marker has a higher number: less, or the same on another one, is a copy's. */
const isOlderMarker = (marker: Marker | null, before: Marker | null): boolean =>
  before !== null && !isSameMarker(marker, before) && (marker?.written ?? -1) <= before.written

function checkMarker(applied: number, partition: number, markers: Map<number, Marker>): void {
  const written = markers.get(partition)?.applied
  if (written !== undefined && applied < written) {
    throw new StartOver(
      `the index says that partition ${partition} is applied up to ${applied}, and ${written} was written: it was restored from an older copy`,
    )
  }
}

function receipt(
  { fence, rejected, input, appended }: Read,
  outcome: Receipt['outcome'],
  { present }: KeyPlan,
  { index, now }: IndexPorts,
): Receipt {
  return {
    collection: index.collection,
    epoch: fence.epoch,
    partition: input.at.partition,
    offset: fence.offset,
    derivation: fence.derivation,
    outcome,
    reason: rejected,
    presentOffset: present.fence.offset,
    presentDerivation: present.fence.derivation,
    presentDeleted: present.deleted,
    chunks: present.chunks,
    vectorsOffset: input.at.offset,
    timings: timingsOf(input, appended, now()),
  }
}

function timingsOf({ headers, timestamp }: Input, appended: number, applied: number): Record<string, number> {
  const timings: Record<string, number> = { appended, written: timestamp, applied }
  for (const name of ['received', 'embedded']) if (headers[name] !== undefined) timings[name] = Number(headers[name])
  return timings
}

const traceOf = ({ headers }: Input): Record<string, string> =>
  headers.traceparent === undefined ? {} : { traceparent: headers.traceparent }

/** How often a batch is planned again because another writer was faster (a zombie, for as long as it lives). */
const ROUNDS_MAX = 8
