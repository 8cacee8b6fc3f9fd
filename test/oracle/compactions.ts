import { parseFence } from '../../processors/fence.ts'
import { kindOf } from '../index-points.ts'
import type { Mutation } from './mutations.ts'
import type { RightWorld } from './right-world.ts'
import type { Compacted, Stored, World } from './world.ts'

/**
 * The right world as it is when compaction took some deletions, and what they deleted, before any stage had seen them, and
 * the comparison removed the orphans that they left.
 */
export function compactedWorld(right: RightWorld): World {
  const { world } = right
  const gone = deletions(right).flatMap(({ key, deletion, seen }) =>
    world.documents.records.filter(
      (record) => String(record.key) === key && record.offset > seen && record.offset <= deletion.offset,
    ),
  )
  const seenOf = new Map(deletions(right).map(({ key, seen }) => [key, seen]))
  const without = unseen(world, gone, seenOf)
  const removals = deletions(right).map(({ deletion: { partition }, seen }) => ({
    ...world.receipts.find((receipt) => isAt(receipt, { partition, offset: seen }))!,
    derivation: 1,
    outcome: 'deleted' as const,
  }))
  return { ...without, receipts: [...without.receipts, ...removals] }
}

export const compactionMutations: readonly Mutation[] = [
  {
    name: 'an orphan whose deletion was compacted away unseen',
    invariant: 'I2',
    mutate(right, next) {
      const { key, seen } = one(deletions(right), next)
      const { manifest, chunks } = right.pointsOf(key, seen)!
      const world = compactedWorld(right)
      return {
        ...world,
        points: [...world.points.filter(({ payload }) => payload.key !== key), manifest, ...chunks],
      }
    },
  },
  {
    name: 'an answer with a document whose deletion was compacted away unseen, and that the watermark has passed',
    invariant: 'I4',
    mutate(right, next) {
      const { key, seen } = one(deletions(right), next)
      const world = compactedWorld(right)
      const ends = new Map(world.documents.ends.map(({ partition, end }) => [partition, end - 1]))
      const hits = right.pointsOf(key, seen)!.chunks.map(({ payload }) => ({
        key,
        offset: seen,
        ordinal: Number(payload.ordinal),
        text: String(payload.text),
      }))
      const answer = { ...world.answers[0]!, reader: 'a new reader', tenant: key.split('/')[0]!, lows: ends, hits }
      return { ...world, answers: [...world.answers, { ...answer, whole: [], deleted: [] }] }
    },
  },
  {
    name: 'a document that is said to be deleted, beside others whose deletion was compacted away unseen',
    invariant: 'I5',
    mutate(right, next) {
      const world = compactedWorld(right)
      const untouched = world.receipts.filter(
        (receipt) =>
          receipt.outcome === 'indexed' && !world.receipts.some((each) => isAt(each, receipt) && each.derivation > 0),
      )
      const removal = { ...one(untouched, next), derivation: 1, outcome: 'deleted' as const }
      return { ...world, receipts: [...world.receipts, removal] }
    },
  },
  {
    name: 'the last record of a document that is gone from the log',
    invariant: 'I6',
    mutate(right, next) {
      const lasting = one(lastOnes(right.world), next)
      return unseen(right.world, [lasting])
    },
  },
  {
    name: 'a record without a receipt that was compacted away after it was seen',
    invariant: 'I5',
    mutate(right, next) {
      const world = compactedWorld(right)
      const some = one(world.compacted!, next)
      return {
        ...world,
        compacted: world.compacted!.map((each) => (each === some ? { ...each, unseen: false } : each)),
      }
    },
  },
  {
    name: 'a record that is still in the log and has no receipt, beside others that were compacted away',
    invariant: 'I5',
    mutate(right, next) {
      const world = compactedWorld(right)
      const { partition, offset } = one(
        world.documents.records.filter((each) => world.receipts.some((receipt) => isAt(receipt, each))),
        next,
      )
      return { ...world, receipts: world.receipts.filter((receipt) => !isAt(receipt, { partition, offset })) }
    },
  },
  {
    name: 'an acknowledged record that was in no log at any time, beside others that were compacted away',
    invariant: 'I6',
    mutate(right, next) {
      const world = compactedWorld(right)
      const lost = one(world.compacted!, next)
      return { ...world, compacted: world.compacted!.filter((each) => each !== lost) }
    },
  },
]

/** Nobody saw these: no receipts, no dead letters; manifests (of a deletion by the comparison) say what was seen last. */
function unseen(world: World, gone: readonly Stored[], seen: ReadonlyMap<string, number> = new Map()): World {
  const isGone = (at: Place) => gone.some((each) => isAt(each, at))
  return {
    ...world,
    documents: { ...world.documents, records: world.documents.records.filter((record) => !isGone(record)) },
    compacted: gone.map((record): Compacted => ({ ...record, unseen: true })),
    receipts: world.receipts.filter((receipt) => !isGone(receipt)),
    deadLetters: world.deadLetters.filter((letter) => letter.topic !== world.documents.topic || !isGone(letter)),
    points: world.points.map((point) => {
      const last = seen.get(String(point.payload.key))
      if (kindOf(point) !== 'manifest' || last === undefined) return point
      const { epoch } = parseFence(String(point.payload.fence))!
      return { ...point, payload: { ...point.payload, fence: `${epoch}:${last}:1` } }
    }),
  }
}

interface Deleted {
  readonly key: string
  readonly deletion: Stored
  /** The revision that was served before. */
  readonly seen: number
}

/** Documents that a producer deleted at last, and that were served before. */
function deletions(right: RightWorld): Deleted[] {
  const { records } = right.world.documents
  return [...Map.groupBy(records, ({ key }) => String(key))].flatMap(([key, own]) => {
    const deletion = own.at(-1)!
    const seen = own.findLast(({ offset }) => right.pointsOf(key, offset) !== null)
    return deletion.value === null && seen !== undefined ? [{ key, deletion, seen: seen.offset }] : []
  })
}

/** Records that are a key's last, and delete nothing. */
const lastOnes = ({ documents: { records } }: World): Stored[] =>
  [...Map.groupBy(records, ({ partition, key }) => `${partition} ${key}`).values()]
    .map((own) => own.at(-1)!)
    .filter(({ value }) => value !== null)

type Place = Pick<Stored, 'partition' | 'offset'>

const isAt = (a: Place, b: Place): boolean => a.partition === b.partition && a.offset === b.offset

function one<T>(of: readonly T[], next: () => number): T {
  if (of.length === 0) throw new Error('the world has nothing of the kind that is to be mutated; let it be larger')
  return of[Math.floor(next() * of.length)]!
}
