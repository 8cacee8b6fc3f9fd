import type { Assignment, Broker } from './broker.ts'
import type { Clock } from './clock.ts'
import { decodeNote } from './commit-note.ts'
import { isOpen, noCrashes, startAgain } from './crashes.ts'
import { FIRST_EPOCH } from './low.ts'
import type { PositionStore } from './positions.ts'
import type { Processor } from './processor.ts'
import { deletionsKeptMs, type Place, type Start, startAt, tombstonesMayBeLost } from './start.ts'
import type { TaskOpening } from './task.ts'

export interface OpeningContext<Ports> {
  readonly processor: Processor<Ports>
  readonly ports: Ports
  readonly broker: Broker
  readonly clock: Clock
  readonly topicId: string
  /** The first source, which the stage keeps something equal to. */
  readonly isFirst: boolean
  /** Above the first there was another topic of this name, and what was made of it may still be there. */
  readonly epoch: number
  /** Our id in the group. */
  readonly own: string
  /** Those of all that are in the group, and those that this process had before. */
  living(): Promise<ReadonlySet<string>>
  /** False when the partition was given away meanwhile, or is being started once more. */
  stillOurs(): boolean
}

/** Where a task begins, and what is to be told of it. */
export interface Opened {
  readonly opening: TaskOpening
  readonly hold: Start['hold']
  readonly lost: Start['lost']
}

/**
 * Where a task begins: where the processor says, else at its transactional position, else at the committed offset, else at
 * the log's start. With it, whether its watermark must be held there, and how many starts this place has seen.
 */
export async function openingOf<Ports>(
  at: Assignment,
  store: PositionStore | null,
  context: OpeningContext<Ports>,
): Promise<Opened> {
  const { processor, ports, topicId, isFirst, epoch, own, living, stillOurs } = context
  const noted = decodeNote(at.metadata)
  // An offset in a topic of the same name that is gone says nothing of this one.
  const known = noted === null || noted.topicId === topicId
  const note = known ? noted : null
  const committed = known ? at.committed : null
  const ask = { ...at, topicId, committed, committedAt: note?.at ?? 0, stillOurs }
  const wanted = store
    ? placeOf(await store.next())
    : ((await processor.start?.(ask, ports)) ?? placeOf(committed, note?.at))
  const compared = processor.away !== undefined && isFirst
  const start = startAt(wanted, at, store ? 'transactional' : compared ? 'compared' : 'repeatable')
  const hold = compared ? (start.hold ?? (await reasonToHold())) : null
  const before = note ?? noCrashes
  const alive = isOpen(before) && (await living()).has(before.by)
  const crashes = startAgain(before, { alive, own, offset: start.offset })
  return {
    opening: { offset: start.offset, at: start.at, held: hold?.state ?? null, crashes, end: at.end },
    hold,
    lost: start.lost,
  }

  async function reasonToHold(): Promise<Start['hold']> {
    if (note?.held != null && start.offset <= at.committed!)
      return { state: note.held, reason: `at ${start.offset} since before this start` }
    if (epoch > FIRST_EPOCH && committed === null)
      return { state: 'tombstones-may-be-lost', reason: `${at.topic} is topic ${epoch} of this name` }
    if (start.offset >= at.end) return null
    return mayHaveMissed(at, start, context)
  }
}

const placeOf = (offset: number | null, at = 0): Place | null => (offset === null ? null : { offset, at })

/** Only where the age of the place is not known to be young is the log itself asked. */
async function mayHaveMissed<Ports>(
  { topic, partition, end }: Assignment,
  { offset, at }: Start,
  { broker, clock }: OpeningContext<Ports>,
): Promise<Start['hold']> {
  const keptMs = deletionsKeptMs(await broker.admin.topicConfig(topic))
  const now = clock.now()
  if (keptMs === null || !tombstonesMayBeLost({ at, firstAt: null, keptMs, now })) return null
  let firstAt: number | null = null
  for await (const { records } of broker.read({ topic, partition, from: offset, to: offset + 1 }))
    firstAt = records[0]?.timestamp ?? null
  if (!tombstonesMayBeLost({ at, firstAt, keptMs, now })) return null
  const age = at === 0 ? 'of unknown age' : `${days(now - at)} days old`
  return {
    state: 'tombstones-may-be-lost',
    reason: `it begins at ${offset}, which is ${age}, of ${end}, and deletions are kept for ${days(keptMs)} days`,
  }
}

const days = (ms: number): string => (ms / 86_400_000).toFixed(1)
