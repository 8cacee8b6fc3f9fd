import type { Progress } from '../schemas/records.ts'
import { StartOver } from '../streams/errors.ts'
import type { Batch, StartAt } from '../streams/processor.ts'
import type { Role } from './collections.ts'

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
  /** What was published last about the partition is not of this marker or a later one: it is to be said again. */
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

  return {
    async begin({ partition }, own) {
      await world.sync()
      const role = world.role()
      const progress = world.progress(partition)
      const before = progress.find((each) => each.collection === collection)
      const receipted = progress.length === 0 ? null : Math.max(...progress.map(receiptsIn))
      const receipts = role.serving ? receipted : before === undefined ? null : receiptsIn(before)
      began.set(partition, { role, receipts: receipts ?? -1, rejected: before?.rejected ?? 0 })
      return role.serving && receipted !== null ? Math.min(own, receipted + 1) : own
    },
    check,
    async admit({ partition, records, through, signal }) {
      check(partition)
      const { behind } = roleOf(partition)
      const isAhead = (): boolean =>
        world.progress(partition).some((each) => each.collection === behind && each.applied >= through)
      while (behind !== null && !isAhead()) {
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
    applied({ partition, through }) {
      const task = began.get(partition)!
      if (task.role.serving) task.receipts = Math.max(task.receipts, through)
    },
    rejected(partition, records) {
      const task = began.get(partition)!
      if (!task.role.serving) task.rejected += records
    },
    written,
    isTalkedOver: (partition, own) => world.isTalkedOver(partition) || written(partition) > own,
    told(partition) {
      const { role, receipts, rejected } = began.get(partition)!
      return { receipts, behind: role.behind, rejected: role.serving ? null : rejected }
    },
  }
}

interface Began {
  readonly role: Role
  receipts: number
  rejected: number
}

/** Records without the field are of a time when there was one collection, which had written them all. */
const receiptsIn = ({ receipts, applied }: Progress): number => receipts ?? applied
