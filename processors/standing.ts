import type { Progress } from '../schemas/records.ts'
import { StartOver } from '../streams/errors.ts'
import type { Low } from '../streams/low.ts'
import type { Batch, StartAt } from '../streams/processor.ts'
import type { Role } from './collections.ts'
import { covers, type Highest, highestIn, type Pending, pendingWith } from './standing-elsewhere.ts'

/**
 * What a collection is for while it is kept: it serves, or it is on its way to, or it follows so that one can go back to it.
 * A task acts by the role that it began with; when `control` gives the collection another one, the task begins again.
 */
export interface Standing {
  /** Where to begin, given where the index says: one that serves begins no later than where receipts end. */
  begin(at: StartAt, own: number): Promise<number>
  /** Throws `StartOver` when the role is not the one that the partition's task began with. */
  check(partition: number): void
  /** Resolves when the batch's turn has come. Throws `StartOver` as `check` does. */
  admit(batch: Batch): Promise<void>
  /** Whether what becomes of records is told: by receipts, and dead letters. */
  speaks(partition: number): boolean
  /** The batch is applied. */
  applied(batch: Batch): void
  rejected(partition: number, records: number): void
  /** The latest marker that was published, by when it was written; 0: none. */
  written(partition: number): number
  /** What was published last about the partition is not of this marker or a later one, or would be another thing now: it is to be said again. */
  isTalkedOver(partition: number, written: number): boolean
  /** For the partition's progress record. */
  told(partition: number): Pick<Progress, 'receipts' | 'behind' | 'rejected'>
}

/** What a process knows of its collections. */
export interface StandingWorld {
  readonly collection: string
  /** What `control` says, now. */
  role(): Role
  /** Resolves when all that is in `progress` at the time of the call is known. */
  sync(): Promise<void>
  /** What all collections of the space have published last about a partition. */
  progress(partition: number): readonly Progress[]
  /** The same of collections of other spaces. Their offsets of `vectors` are of another topic; positions in `documents` are the same for all. */
  elsewhere(partition: number): readonly Progress[]
  /** Whether a collection is of the same space, and so filled from the same log. */
  sharesLog(collection: string): boolean
  /** Where `documents` ends now, in the partition: whatever was derived of it lies before. */
  end(partition: number): Promise<Low>
  /** What was published last about a partition of the collection does not count. */
  isTalkedOver(partition: number): boolean
  /** Resolves when something of the above has changed since the call, or the signal is aborted. */
  changed(signal: AbortSignal): Promise<void>
  /** Resolves when a collection that is being filled may apply so many records more, or the signal is aborted. */
  pace(records: number, signal: AbortSignal): Promise<void>
}

export function standingIn(world: StandingWorld): Standing {
  const { collection } = world
  const began = new Map<number, Began>()
  const roleOf = (partition: number): Role => began.get(partition)!.role

  const check = (partition: number): void => {
    const now = world.role()
    const { serving, behind } = roleOf(partition)
    if (now.serving !== serving)
      throw new StartOver(`${collection} ${now.serving ? 'serves' : 'does not serve'} from now on`)
    if (now.behind !== behind)
      throw new StartOver(`${collection} follows ${now.behind ?? 'nobody'} and followed ${behind ?? 'nobody'}`)
  }

  const written = (partition: number): number =>
    world.progress(partition).find((each) => each.collection === collection)?.written ?? 0

  /** The one that must not be overtaken has applied what the batch bears: where it is of another space, by positions. */
  const isAhead = ({ partition, records, through }: Batch, behind: string): boolean => {
    const isOf = (each: Progress): boolean => each.collection === behind
    if (world.sharesLog(behind)) return world.progress(partition).some((each) => isOf(each) && each.applied >= through)
    const highest = highestIn(records)
    return world.elsewhere(partition).some((each) => isOf(each) && covers(each, highest))
  }

  /** All that this collection shows by now, the other one does too; from then on that stays so. */
  const isBehindIndeed = (partition: number): boolean => {
    const task = began.get(partition)!
    const { behind } = task.role
    if (behind === null || task.shown === null) return true
    const other = world.elsewhere(partition).find((each) => each.collection === behind)
    if (other === undefined || !covers(other, task.shown)) return false
    task.shown = null
    return true
  }

  /**
   * Receipts are by position, whichever space they are written from: what another collection has applied and says to have its receipts
   * needs none from here. So one that serves from now on begins about where the former ended.
   */
  const settle = (partition: number): void => {
    const task = began.get(partition)!
    if (task.role.serving) return
    const told = world.elsewhere(partition).filter((each) => receiptsIn(each) >= each.applied)
    while (task.pending.length > 0 && told.some((each) => covers(each, task.pending[0]!.upTo)))
      task.receipts = Math.max(task.receipts, task.pending.shift()!.through)
  }

  return {
    async begin({ partition }, own) {
      await world.sync()
      const role = world.role()
      const progress = world.progress(partition)
      const before = progress.find((each) => each.collection === collection)
      const receipted = progress.length === 0 ? null : Math.max(...progress.map(receiptsIn))
      const receipts = (role.serving ? receipted : before === undefined ? null : receiptsIn(before)) ?? -1
      const isElsewhere = role.behind !== null && !world.sharesLog(role.behind)
      // What this collection has applied before bears positions that nobody remembers: all of them lie before the end.
      const { epoch, low } = await world.end(partition)
      const end: Highest = { epoch, offset: low }
      began.set(partition, {
        role,
        receipts,
        rejected: before?.rejected ?? 0,
        shown: isElsewhere ? end : null,
        pending: !role.serving && own - 1 > receipts ? [{ through: own - 1, upTo: end }] : [],
      })
      return role.serving && receipted !== null ? Math.min(own, receipted + 1) : own
    },
    check,
    async admit(batch) {
      const { partition, records, signal } = batch
      check(partition)
      const { behind } = roleOf(partition)
      while (behind !== null && !isAhead(batch, behind)) {
        await world.changed(signal)
        signal.throwIfAborted()
        check(partition)
      }
      if (!world.role().filling || records.length === 0) return
      await world.pace(records.length, signal)
      signal.throwIfAborted()
      check(partition)
    },
    speaks: (partition) => roleOf(partition).serving,
    applied({ partition, records, through }) {
      const task = began.get(partition)!
      if (task.role.serving) task.receipts = Math.max(task.receipts, through)
      else if (through > task.receipts) task.pending = pendingWith(task.pending, { through, upTo: highestIn(records) })
    },
    rejected(partition, records) {
      const task = began.get(partition)!
      if (!task.role.serving) task.rejected += records
    },
    written,
    isTalkedOver(partition, own) {
      if (world.isTalkedOver(partition) || written(partition) > own) return true
      const published = world.progress(partition).find((each) => each.collection === collection)
      if (published === undefined) return false
      settle(partition)
      const { role, receipts } = began.get(partition)!
      const isBehind = role.behind !== published.behind && isBehindIndeed(partition)
      return isBehind || receipts > receiptsIn(published)
    },
    told(partition) {
      settle(partition)
      const { role, receipts, rejected } = began.get(partition)!
      const behind = isBehindIndeed(partition) ? role.behind : null
      return { receipts, behind, rejected: role.serving ? null : rejected }
    },
  }
}

interface Began {
  readonly role: Role
  receipts: number
  rejected: number
  /** What the collection may have applied before it was put behind one of another space; null: that one is known to have it. */
  shown: Highest | null
  /** Applied, and not known to have receipts. */
  pending: Pending[]
}

/** Records without the field are of a time when there was one collection, which had written them all. */
const receiptsIn = ({ receipts, applied }: Progress): number => receipts ?? applied
