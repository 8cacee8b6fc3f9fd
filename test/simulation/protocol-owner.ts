import { compareFences, type Fence } from '../../processors/fence.ts'
import { judge, type KeyPlan, planKey, type Revision } from '../../processors/index-plan.ts'
import type { LeftChunks, Manifest, Marker, Write } from '../../processors/vector-index.ts'
import { laterLow, noLow } from '../../streams/low.ts'
import type { Batch } from '../../streams/processor.ts'
import type { Rules } from './protocol-rules.ts'

/** What an owner asks of the index, in order. A conformance test compares it with what `index-vectors` asks. */
export type Operation =
  | { readonly kind: 'read'; readonly keys: readonly string[] }
  | { readonly kind: 'apply'; readonly writes: readonly Write[] }
  | {
      readonly kind: 'settle'
      readonly left: readonly LeftChunks[]
      readonly marker: Marker
      readonly expected: Marker | null
    }

/** The answer to a read; to a write there is none but that it was done. */
export interface ReadAnswer {
  readonly manifests: readonly (Manifest | null)[]
  readonly marker: Marker | null
}

export type Conversation<Result> = Generator<Operation, Result, ReadAnswer | undefined>

export type OwnedBatch = Pick<Batch, 'partition' | 'topicId' | 'through' | 'lowEpoch' | 'low' | 'asOf'> & {
  readonly revisions: readonly Revision[]
  /** Never the same twice. */
  readonly now: number
}

/** What the owner remembers: the marker that it last read or wrote. */
export interface Memory {
  written: Marker | null
}

/** Where an owner begins. */
export function* begin(committed: number, memory: Memory, rules: Rules): Conversation<number> {
  const { marker } = (yield { kind: 'read', keys: [] })!
  memory.written = marker
  const next = marker === null ? 0 : marker.applied + 1
  return rules.minStart ? Math.min(next, committed) : next
}

/** Applies one batch: read, plan, write, read back, delete what is left, marker, read that back. `start over`: the index is not what was believed. */
export function* applyBatch(batch: OwnedBatch, memory: Memory, rules: Rules): Conversation<'applied' | 'start over'> {
  const byKey = Map.groupBy(batch.revisions, ({ key }) => key)
  const keys = [...byKey.keys()]
  const plans = new Map<string, KeyPlan>()
  const left: LeftChunks[] = []
  let open = keys
  let marker: Marker | null = null
  let isFirst = true
  while (isFirst || open.length > 0) {
    const read = (yield { kind: 'read', keys: open })!
    if ((isFirst || rules.markerCheckedAtEachRead) && isOlder(read.marker, memory)) return 'start over'
    if (!isFirst && rules.markerCheckedAtEachRead && isReplaced(read.marker, marker)) return 'start over'
    isFirst = false
    marker = read.marker
    for (const [i, key] of open.entries()) plans.set(key, planned(byKey.get(key)!, read.manifests[i]!, rules))
    const writing = open.filter((key) => plans.get(key)!.write !== null)
    for (const key of open) if (plans.get(key)!.write === null) left.push(...plans.get(key)!.left)
    if (writing.length === 0) break
    yield { kind: 'apply', writes: writing.map((key) => plans.get(key)!.write!) }
    const looking = rules.wholeReadBack ? keys : writing
    let seen: readonly (Manifest | null)[] = looking.map((key) => plans.get(key)!.present)
    if (rules.readBack) {
      const back = (yield { kind: 'read', keys: looking })!
      if (rules.markerCheckedAtEachRead && (isOlder(back.marker, memory) || isReplaced(back.marker, marker)))
        return 'start over'
      marker = back.marker
      seen = back.manifests
    }
    open = looking.filter((key, i) => {
      const { write, left: leftOver, present } = plans.get(key)!
      const verdict = judged(present, seen[i]!, rules)
      if (!writing.includes(key)) return verdict === 'again'
      if (verdict === 'written') {
        left.push(...leftOver)
        return false
      }
      if (write!.chunks !== null) left.push({ key, fence: write!.manifest.fence, count: write!.chunks.chunks.length })
      return true
    })
  }
  const written: Marker = {
    partition: batch.partition,
    topicId: batch.topicId,
    applied: Math.max(batch.through, marker?.topicId === batch.topicId ? marker.applied : -1),
    ...laterLow(marker ?? noLow, { epoch: batch.lowEpoch, low: batch.low }),
    at: batch.asOf,
    written: Math.max(batch.now, (marker?.written ?? 0) + 1),
  }
  const isServed = ({ key, fence }: LeftChunks) => {
    const { content } = plans.get(key)!.present
    return content !== null && compareFences(content, fence) === 0
  }
  yield { kind: 'settle', left: left.filter((each) => !isServed(each)), marker: written, expected: marker }
  const there = (yield { kind: 'read', keys: [] })!.marker
  if (!isSame(there, written)) return 'start over'
  memory.written = written
  return 'applied'
}

const isOlder = (marker: Marker | null, { written }: Memory): boolean =>
  written !== null && (marker?.applied ?? -1) < written.applied

const isReplaced = (marker: Marker | null, before: Marker | null): boolean =>
  before !== null && !isSame(marker, before) && (marker?.written ?? -1) <= before.written

const isSame = (a: Marker | null, b: Marker | null): boolean =>
  a === null || b === null
    ? a === b
    : a.written === b.written && a.applied === b.applied && a.epoch === b.epoch && a.low === b.low && a.at === b.at

/** Without the fence the last record of a key is written, whatever the index holds. */
function planned(revisions: readonly Revision[], manifest: Manifest | null, { fence }: Rules): KeyPlan {
  if (fence || manifest === null) return planKey(fence ? revisions : revisions.slice(-1), manifest)
  const plan = planKey(revisions.slice(-1), { ...manifest, fence: BEFORE_ALL })
  return plan.write === null ? plan : { ...plan, write: { ...plan.write, expected: manifest.fence } }
}

const BEFORE_ALL: Fence = { epoch: -1, offset: -1, derivation: -1 }

function judged(present: Manifest, seen: Manifest | null, { sameContent }: Rules): ReturnType<typeof judge> {
  const verdict = judge({ manifest: present }, seen)
  const isSameRevision = seen !== null && compareFences(seen.fence, present.fence) === 0
  return isSameRevision && !sameContent ? 'written' : verdict
}
